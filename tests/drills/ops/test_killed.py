"""A worker that is killed, alone and with all that it started; a run that only seems dead."""

import time

import pytest

from storage.locks import holders
from tests.drills.ops.plant import made, under_way, until

pytestmark = pytest.mark.xdist_group("operations_drills")
CRASHED_WITHIN_S = 120
WAITS_S = 5


@pytest.mark.slow
@pytest.mark.server
def test_a_run_whose_whole_process_tree_is_killed_is_crashed_and_ends_as_if_it_never_was(
    plant, undisturbed, place, measured
):
    run = plant.ask(place)
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    plant.kill(plant.runners())
    began = time.monotonic()
    assert plant.ended(run, CRASHED_WITHIN_S) == "Crashed"
    crashed = time.monotonic() - began
    until(plant.slot_is_free, "a free slot", CRASHED_WITHIN_S - crashed)
    free = time.monotonic() - began
    plant.work()
    retried = plant.retry(run)
    assert undisturbed.differs(place) == {}
    measured(
        f"whole tree killed: Crashed after {crashed:.1f} s, slot free after {free:.1f} s, retry "
        f"Completed after {retried:.1f} s (undisturbed {undisturbed.seconds:.1f} s), same digests"
    )


@pytest.mark.slow
@pytest.mark.server
def test_a_run_whose_worker_alone_is_killed_ends_and_no_other_shares_its_gpu(
    plant, undisturbed, place, tmp_path, measured
):
    other = plant.workspace(f"{tmp_path.name}-other")
    first = plant.ask(place)
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    worker, *left = plant.runners()
    plant.kill([worker])
    began = time.monotonic()
    plant.work()
    second = plant.ask(other)
    at_once = []

    def are_over():
        at_once.append([at for at in (place, other) if at_work(at)])
        return plant.is_over(first) and plant.is_over(second)

    until(lambda: plant.is_over(first) or are_over(), "the end of the worker's run")
    ended = time.monotonic() - began
    until(lambda: not any(one.is_running() for one in left) or are_over(), "its processes' end")
    gone = time.monotonic() - began
    until(are_over, "the end of the next run")
    assert plant.state(second) == "Completed"
    assert max(map(len, at_once)) == 1
    how = plant.state(first)
    assert how in {"Completed", "Crashed"}
    if how == "Crashed":
        plant.retry(first)
    assert undisturbed.differs(place) == undisturbed.differs(other) == {}
    measured(
        f"worker alone killed: its run {how} after {ended:.1f} s, its processes gone after "
        f"{gone:.1f} s, never two at work ({len(at_once)} looks), next run Completed, same digests"
    )


@pytest.mark.slow
@pytest.mark.server
def test_a_run_that_is_called_crashed_and_lives_keeps_the_gpu_from_the_next(
    plant, undisturbed, place, tmp_path, measured
):
    other = plant.workspace(f"{tmp_path.name}-other")
    first = plant.ask(place)
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    silent = plant.runners()[1:]
    for one in silent:
        one.suspend()
    began = time.monotonic()
    assert plant.ended(first, CRASHED_WITHIN_S) == "Crashed"
    crashed = time.monotonic() - began
    plant.kill([plant.runners()[0]])  # it would wait for the process that it started
    plant.work()
    second = plant.ask(other)
    until(lambda: plant.state(second) == "Running", "the beginning of the next run")
    (holder,) = plant.in_slot()
    assert holder in {one.pid for one in silent}
    time.sleep(WAITS_S)
    assert made(other) == []
    for one in silent:
        one.resume()
    assert plant.ended(second) == "Completed"
    assert not [one for one in silent if one.is_running()]
    assert undisturbed.differs(other) == {}
    measured(
        f"a run that is silent: Crashed after {crashed:.1f} s while it lives, the next one waits "
        f"for the GPU and then is Completed, same digests"
    )


def at_work(at):
    """Return the processes that make a stage of a workspace just now."""
    return {pid for lock in (at.ledger / "locks").glob("*.lock") for pid in holders(lock)}
