"""A worker that is killed, alone and with all that it started; a run that only seems dead."""

import time

import pytest

from tests.drills.ops.plant import under_way, until

CRASHED_WITHIN_S = 120


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
    plant.run("prefect", "flow-run", "retry", str(run))
    retried = until(lambda: plant.state(run) == "Completed", "the end of the retry")
    assert undisturbed.differs(place) == {}
    measured(
        f"whole tree killed: Crashed after {crashed:.1f} s, slot free after {free:.1f} s, retry "
        f"Completed after {retried:.1f} s (undisturbed {undisturbed.seconds:.1f} s), same digests"
    )
