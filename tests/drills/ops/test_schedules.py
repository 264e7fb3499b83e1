"""Schedules that collide, and parameters that are wrong."""

import datetime as dt
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import PrefectHTTPStatusError

from tests.drills.ops.plant import PATIENCE_S, PRESET, under_way, until

pytestmark = pytest.mark.xdist_group("operations_drills")
SOON_S = 20
SCHEDULED = "auto-scheduled"


@pytest.mark.slow
@pytest.mark.server
def test_of_two_schedules_of_one_instant_one_run_works_and_no_other_beside_it(
    plant, undisturbed, place, measured
):
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=SOON_S)
    with plant.client as client:
        weekly = client.read_deployment_by_name("retrain/weekly")
        made_now = client.create_deployment_schedules(
            weekly.id, [twice(at, place, n) for n in "ab"]
        )
    try:
        until(lambda: len(scheduled(plant, at)) == 2, "two runs of two schedules", 3 * SOON_S)
        first, second = scheduled(plant, at)
        how = sorted(plant.ended(run) for run in (first, second))
    finally:  # with a schedule go its runs that have not begun
        with plant.client as client:
            for one in made_now:
                client.delete_deployment_schedule(weekly.id, one.id)
    assert how in (["Completed", "Nothing new"], ["Cancelled", "Completed"])
    assert undisturbed.differs(place) == {}
    began = sorted(times for times in map(partial(running, plant), (first, second)) if times)
    assert all(end <= start for (_, end), (start, _) in pairwise(began)), began
    late = began[0][0] - at
    measured(
        f"two schedules at one instant: {' and '.join(how)}, never two at work, same digests; the "
        f"one that works began {late.total_seconds():+.1f} s from its time"
    )


@pytest.mark.slow
@pytest.mark.server
def test_a_schedule_that_meets_a_retraining_of_the_command_line_is_skipped(
    plant, undisturbed, place, measured
):
    words = ["run", str(plant.folder / "drill.yaml"), "--workspace", str(place.root)]
    other = plant.start("command", "flows.cli", *words)
    until(lambda: under_way(place), "a stage of the command")
    run = plant.ask(place)
    assert plant.ended(run) == "Skipped"
    assert f"process {other.pid} retrains here already" in plant.flow_run(run).state.message
    how = "while" if other.poll() is None else "before"
    assert other.wait(PATIENCE_S) == 0
    assert undisturbed.differs(place) == {}
    measured(f"a schedule met the command line: Skipped {how} the other was at work")


@pytest.mark.slow
@pytest.mark.server
def test_a_wrong_parameter_is_refused_before_there_is_a_run(plant, measured):
    wrong: dict[str, list[dict[str, Any]]] = {
        "retrain/weekly": [
            {"config": PRESET | {"folds": [7]}}, {"config": PRESET | {"arms": ["best"]}},
            {"config": {**PRESET, "training": {"batch": 0}}}, {"if_busy": "perhaps"},
        ],
        "resume/by-hand": [{"run": "no digest"}],
        "evaluate/by-hand": [{"checkpoint": "abcdef", "part": "train"}, {"checkpoint": 1}],
        "predict/by-hand": [{"checkpoint": "abcdef", "slides": "a", "output": "b", "mpp": -1}],
    }  # fmt: skip
    with plant.client as client:
        before = client.count_flow_runs()
        for name, listed in wrong.items():
            deployment = client.read_deployment_by_name(name)
            for parameters in listed:
                with pytest.raises(PrefectHTTPStatusError, match=r"409|422"):
                    client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
        assert client.count_flow_runs() == before
    said = plant.refused("prefect", "deployment", "run", "retrain/weekly", "--param", "if_busy=no")
    assert "if_busy" in said
    with plant.client as client:
        assert client.count_flow_runs() == before
    measured(f"{sum(map(len, wrong.values())) + 1} wrong parameters: refused, no run was created")


def twice(at, place, name):
    """Return one of two schedules that fire at one instant, and then not for a day."""
    schedule = IntervalSchedule(interval=dt.timedelta(days=1), anchor_date=at)
    parameters = {"workspace": str(place.root)}
    return DeploymentScheduleCreate(
        schedule=schedule, active=True, max_scheduled_runs=1, parameters=parameters, slug=name
    )


def scheduled(plant, at):
    """Return the runs that schedules made for an instant."""
    tags = FlowRunFilter(tags=FlowRunFilterTags(all_=[SCHEDULED]))
    with plant.client as client:
        runs = client.read_flow_runs(flow_run_filter=tags)
    return [one.id for one in runs if one.expected_start_time <= at + dt.timedelta(seconds=1)]


def running(plant, run):
    """Return from when to when a run was running; nothing if it never was."""
    with plant.client as client:
        states = sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)
    began = [state.timestamp for state in states if state.type == StateType.RUNNING]
    return (began[0], states[-1].timestamp) if began else ()
