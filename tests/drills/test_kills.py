"""Runs that are killed in each kind of stage, between stages, in commits and in tracking.

The same command goes on each time. What it ends with equals that of a run that nobody disturbed:
label versions, weights, every other artefact, the table, and what MLflow was told.
"""

import numpy as np
import pytest

from tests.drills.hunt import Hunt
from tests.drills.place import differing

SEED = 1
TWO_NETWORKS = {
    "arms": ["cooperative"], "side_by_side": True,
    "networks": {"residual": {"family": "tiny_resnet"}, "aggregated": {"family": "tiny_dla"}},
}  # fmt: skip
LONG = {"extract", "train", "predict", "relabel", "evaluate"}
"""Killed twice within, and once between the manifest and the name of what they make."""
SHORT = {"annotate", "judge", "weigh", "choose", "report"}
"""Killed once within."""
TWICE, ATTEMPTS = 2, 5


@pytest.mark.slow
@pytest.mark.server
def test_a_run_that_was_killed_everywhere_ends_as_one_never_killed(
    drill_ground, tmp_path, record_property
):
    undisturbed = drill_ground.workplace(tmp_path / "undisturbed")
    expected = undisturbed.finish()["rows"]
    with Hunt(drill_ground.workplace(tmp_path / "killed")) as hunt:
        kill_everywhere(hunt, undisturbed.stages(), np.random.default_rng(SEED))
    rows = hunt.place.finish()["rows"]
    record_property("drill", table(hunt, f"seed {SEED}"))
    assert rows == expected
    assert differing(hunt.place.ends(), undisturbed.ends()) == {}
    assert hunt.place.told() == undisturbed.told()
    assert {stage.name for stage in undisturbed.stages()} == LONG | SHORT
    assert [kind for kind in (*LONG, "commit", "tracking") if hunt.died[kind] < TWICE] == []
    assert [kind for kind in SHORT if not hunt.died[kind]] == []
    assert [kind for kind in LONG | SHORT if not hunt.died[f"behind {kind}"]] == []
    assert sum(hunt.in_a_row.values()) > 0


@pytest.mark.slow
@pytest.mark.server
def test_two_networks_side_by_side_that_were_killed_and_moved_end_as_if_never_disturbed(
    drill_ground, tmp_path, record_property
):
    undisturbed = drill_ground.workplace(tmp_path / "undisturbed", **TWO_NETWORKS)
    expected = undisturbed.finish()["rows"]
    chance = np.random.default_rng(SEED)
    with Hunt(drill_ground.workplace(tmp_path / "killed", **TWO_NETWORKS)) as hunt:
        for number in range(6):
            if not hunt.anywhere(undisturbed.stages(), chance.uniform(0, 3)):
                break
            hunt.place = hunt.place.moved(tmp_path / f"moved {number}")
    assert sum(hunt.died.values()) > 1, "it ended before it was killed twice: raise its epochs"
    assert hunt.place.finish()["rows"] == expected
    record_property("drill", table(hunt, f"two networks side by side, seed {SEED}"))
    assert differing(hunt.place.ends(), undisturbed.ends()) == {}
    assert hunt.place.told() == undisturbed.told()


def kill_everywhere(hunt, stages, chance):
    names = [stage.name for stage in stages]
    last_choice = len(names) - 1 - names[::-1].index("choose")  # the arms are done: they are told
    for number, stage in enumerate(stages):
        if stage.name not in names[:number]:
            kill_around(hunt, stage, chance)
        if number == last_choice:  # the first time takes long: the store is made
            hunt.telling(stage, chance.uniform(0, 2))
    for attempt in range(ATTEMPTS):
        if hunt.died["tracking"] < TWICE and not hunt.telling(stages[-1], 0.1 / 4**attempt):
            hunt.undo(stages[-1])
    hunt.let_go()


def kill_around(hunt, stage, chance):
    """Kill a run within a stage, in the commit of what it makes, and behind it."""
    for _ in range(TWICE if stage.name in LONG else 1):
        kill_inside(hunt, stage, chance.uniform(0, 0.8))
    if stage.name in LONG:
        hunt.committing(stage)
    if not hunt.behind(stage):
        hunt.undo(stage)
        hunt.behind(stage)


def kill_inside(hunt, stage, fraction):
    """Kill a run in a stage; where it was too quick, take its artefact away and try it again."""
    for attempt in range(ATTEMPTS):
        if hunt.inside(stage, fraction / 4**attempt):
            return
        hunt.undo(stage)


def table(hunt, name):
    lines = [f"drill, {name}: {sum(hunt.died.values())} kills, then the end of a run never killed"]
    lines += [
        f"  {where:<18}{count:3d}, in a row {hunt.in_a_row[where]}"
        for where, count in sorted(hunt.died.items())
    ]
    return "\n".join(lines)
