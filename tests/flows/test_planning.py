"""Changing one setting makes exactly the stages again that depend on it, and a plan foretells it.

The oracle is the ledger of a finished run: each stage's recorded arguments name the artefacts that
it stood on, so what follows from a stage is what can be reached from it. Only where a setting
enters is written here by hand. A setting that is missing in the table fails the test.
"""

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from flows.config import RetrainConfig, parse_config
from flows.planning import plan_of
from flows.stages import Conductor, open_run
from models.errors import ConfigError
from storage.layout import Workspace

Pair = tuple[str, str]
"""Name and label of a stage."""


@dataclass(frozen=True)
class Change:
    """Another value of a setting, and where it enters: stages by name and a part of their label."""

    value: Any
    enters: tuple[Pair, ...] = ()
    adds: bool = False
    """Whether it makes stages that were not there, so that more than the old ones are pending."""
    opens: str = "(?!)"
    """Labels of stages that follow from a decision that a plan cannot take: it counts them all."""


TRAINED = (("train", "· supervised$"),)
FIRST_SELF = (("predict", "self round 1"),)
BEYOND = (("predict", "self_extra round 1"), ("predict", "cooperative round 1"))
RELABELLED = (("relabel", ""),)
JUDGED_SELF = (("judge", "self round"),)
JUDGED_BEYOND = (("judge", "self_extra round"), ("judge", "cooperative round"))
AFTER_SELF = r"· (supervised_longer|self_extra|self_longer|cooperative)|· self (round 2|· test)"
OTHER_TRIALS = (("train", ""), ("predict", ""))

CHANGES = {
    "name": Change("other"),
    "labels": Change("first"),
    "mode": Change("production", adds=True),
    "splits": Change(["easy"], OTHER_TRIALS, adds=True),
    "folds": Change([0, 1], adds=True),
    "seeds": Change([0, 1], adds=True),
    "arms": Change(["supervised"]),
    "side_by_side": Change(True),
    "tiles.mpp": Change(0.5, (("extract", ""),)),
    "tiles.downsample": Change(2.0, (("extract", ""),)),
    "tiles.region_px": Change(128, (("extract", ""),)),
    "tiles.minimum_tissue": Change(0.4, (("extract", ""),)),
    "ellipses.edge_fraction": Change(0.1, (("annotate", ""),)),
    "ellipses.minimum_edge_px": Change(1.0, (("annotate", ""),)),
    "networks.a.family": Change("tiny_dla", (("train", "· a · supervised$"),)),
    "networks.a.encoder": Change("resnet18", (("train", "· a · supervised$"),)),
    "networks.a.head": Change("sigmoid2", (("train", "· a · supervised$"),)),
    "training.crop_px": Change(32, TRAINED),
    "training.batch": Change(3, TRAINED),
    "training.epochs": Change(3, TRAINED),
    "training.crops_per_region": Change(2, TRAINED),
    "training.steps_per_epoch": Change(2, TRAINED),
    "training.learning_rate": Change(0.01, TRAINED),
    "training.schedule": Change("one_cycle", TRAINED),
    "training.gradient_clip": Change(1.0, TRAINED),
    "training.balance_roles": Change(False, TRAINED),
    "training.unlabelled": Change("own_share", TRAINED),
    "training.foreground_fraction": Change(0.5, TRAINED),
    "training.augmentation.turn": Change(False, TRAINED),
    "training.augmentation.stain": Change(0.0, TRAINED),
    "training.augmentation.brightness": Change(0.0, TRAINED),
    "training.validate_every": Change(2, TRAINED),
    "training.keep": Change("last", TRAINED),
    "merging.ignore_above": Change(0.3, FIRST_SELF + BEYOND),
    "merging.human_inner_kept": Change(0.6, RELABELLED),
    "merging.human_growth": Change(2.0, RELABELLED),
    "merging.minimum_area_px": Change(13, RELABELLED),
    "merging.identity_iou": Change(0.4, RELABELLED),
    "merging.beta": Change(11.0, RELABELLED),
    "self_training.rounds": Change(3, opens=rf"{AFTER_SELF}|· self$"),
    "self_training.threshold": Change(0.6, FIRST_SELF),
    "self_training.epochs": Change(2, (("train", "self round 1"), ("train", "supervised_longer"))),
    "self_training.stop.minimum_growth": Change(0.02, JUDGED_SELF, opens=AFTER_SELF),
    "self_training.stop.minimum_churn": Change(0.03, JUDGED_SELF, opens=AFTER_SELF),
    "self_training.stop.smallest_cell": Change(0.6, JUDGED_SELF, opens=AFTER_SELF),
    "self_training.stop.largest_cell": Change(1.3, JUDGED_SELF, opens=AFTER_SELF),
    "self_training.stop.rollback_margin": Change(
        0.1, (("choose", "· self$"), ("choose", "supervised_longer")), opens=AFTER_SELF
    ),
    "cooperative.rounds": Change(2, adds=True),
    "cooperative.threshold": Change(0.6, BEYOND),
    "cooperative.first_epochs": Change(1, (*BEYOND, ("train", "self_longer")), adds=True),
    "cooperative.epochs": Change(2, (("train", "self_extra"), ("train", "cooperative"),
                                     ("train", "self_longer"))),
    "cooperative.stop.minimum_growth": Change(0.02, JUDGED_BEYOND),
    "cooperative.stop.minimum_churn": Change(0.03, JUDGED_BEYOND),
    "cooperative.stop.smallest_cell": Change(0.6, JUDGED_BEYOND),
    "cooperative.stop.largest_cell": Change(1.3, JUDGED_BEYOND),
    "cooperative.stop.rollback_margin": Change(
        0.1, (("choose", "self_extra"), ("choose", "cooperative"), ("choose", "self_longer"))
    ),
    "alarm.fps_rise": Change(0.6, (("weigh", ""),)),
    "alarm.fps_factor": Change(2.0, (("weigh", ""),)),
    "alarm.recall_gain": Change(0.1, (("weigh", ""),)),
    "promotion.minimum_gain": Change(0.1),
    "instances.candidate_floor": Change(0.2, TRAINED),
    "instances.beta": Change(11, TRAINED),
    "instances.minimum_area_px": Change(13, TRAINED),
    "instances.score": Change("max", TRAINED),
    "windows.window_px": Change(64, TRAINED),
    "windows.overlap_px": Change(16, TRAINED),
    "windows.batch": Change(2, TRAINED),
    "evaluation.iou": Change(0.4, TRAINED),
    "evaluation.collective": Change(0.4, TRAINED),
    "evaluation.fps_points": Change([1, 2], TRAINED),
    "evaluation.bootstrap": Change(60, TRAINED),
    "evaluation.confidence": Change(0.9, TRAINED),
    "evaluation.minimum_precision": Change(0.2, TRAINED),
    "runtime.device": Change("auto"),
    "runtime.precision": Change("bf16", TRAINED),
    "runtime.threads": Change(2, TRAINED),
}  # fmt: skip
WITHOUT_A_CHANGE = {
    "dataset": "other data are another run",
    "networks.a.weights": "a file's content counts: see the test of its own",
    "training.loss.name": "there is one loss",
    "training.save_every_s": "part of no key and of no run: see the test of its own",
    "runtime.dask": "part of no key and of no run: see the test of its own",
    "merging.threshold": "is that of the rounds; refused: see the test of its own",
}


def leaves(model: type[BaseModel], before: str = ""):
    """Yield every setting by its path; of the networks, those of one."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "networks":
            kind = RetrainConfig.model_fields["networks"].annotation.__args__[1]  # type: ignore[union-attr]
            name = "networks.a"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, f"{before}{name}.")
        else:
            yield before + name


def changed(config: RetrainConfig, path: str, value: Any) -> RetrainConfig:
    content = config.model_dump(mode="json")
    *parents, last = path.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return parse_config(content, "test")


@dataclass(frozen=True)
class Known:
    """The stages of a finished run, and which of them stand on which."""

    pairs: dict[str, Pair]
    """By key."""
    stands_on: dict[str, set[str]]

    def reached_from(self, enters: tuple[Pair, ...]) -> set[Pair]:
        """Return the stages in which a change enters, and all that stand on them."""
        found = {key for key, pair in self.pairs.items() if _is_one_of(pair, enters)}
        while True:
            more = {key for key, below in self.stands_on.items() if below & found} - found
            if not more:
                return {self.pairs[key] for key in found}
            found |= more


def enters(before: Known, change: Change) -> set[Pair]:
    pairs = before.pairs.values()
    return {pair for pair in pairs if _is_one_of(pair, change.enters)}


def _is_one_of(pair: Pair, wanted: tuple[Pair, ...]) -> bool:
    return any(pair[0] == name and re.search(part, pair[1]) for name, part in wanted)


def known(at: Workspace, run_id: str) -> Known:
    with closing(sqlite3.connect(at.ledger / "ledger.db")) as connection:
        rows = connection.execute(
            "SELECT s.key, s.name, r.label, s.arguments, s.kind || '/' || s.digest FROM stages s "
            "JOIN run_stages r ON r.key = s.key WHERE r.run_id = ?", (run_id,),
        ).fetchall()  # fmt: skip
    made: dict[str, set[str]] = {}
    for key, _, _, _, ref in rows:
        made.setdefault(ref, set()).add(key)
    stands_on = {
        key: {maker for ref, makers in made.items() if ref in arguments for maker in makers} - {key}
        for key, _, _, arguments, _ in rows
    }
    return Known({key: (name, label) for key, name, label, _, _ in rows}, stands_on)


def test_the_table_has_every_setting():
    assert {*leaves(RetrainConfig)} == {*CHANGES, *WITHOUT_A_CHANGE}


@pytest.mark.parametrize("path", list(CHANGES))
def test_a_plan_of_one_changed_setting_has_exactly_what_depends_on_it_pending(conducted, path):
    ground, change = conducted.ground, CHANGES[path]
    value = ground.annotated.digest if path == "labels" else change.value
    before = known(ground.at, ground.run.run_id)
    calls = plan_of(changed(ground.config, path, value), ground.at).calls
    pending = {(call.name, call.label) for call in calls if not call.done}
    expected = before.reached_from(change.enters) | {("report", "write the report")}
    asked = {(call.name, call.label) for call in calls}
    old = set(before.pairs.values()) & asked
    if change.adds:
        assert pending & old >= expected & old
        assert pending - old
        return
    # A plan cannot know when rounds will stop: those that never were may be pending, too.
    assert pending & old >= expected & old
    beyond = pending & old - expected
    assert [pair for pair in beyond if not re.search(change.opens, pair[1])] == []
    assert all(" round " in label for _, label in pending - old)


def test_more_trials_leave_what_is_there_as_it_is(conducted):
    ground = conducted.ground
    for path in ("folds", "seeds"):
        calls = plan_of(changed(ground.config, path, [0, 1]), ground.at).calls
        mine = [call for call in calls if call.label.startswith("hard fold 0 seed 0")]
        assert all(call.done for call in mine)


def test_how_often_a_state_is_saved_is_part_of_no_run(conducted):
    ground = conducted.ground
    other = changed(ground.config, "training.save_every_s", 1.0)
    assert open_run(other, ground.at).run_id == ground.run.run_id
    assert plan_of(other, ground.at).pending == []


def test_who_works_on_the_blocks_of_slides_is_part_of_no_run(conducted):
    ground = conducted.ground
    other = changed(ground.config, "runtime.dask", {"address": "tcp://127.0.0.1:8786"})
    assert open_run(other, ground.at).run_id == ground.run.run_id
    assert open_run(other, ground.at).dask == other.runtime.dask
    assert plan_of(other, ground.at).pending == []


def test_a_plan_of_other_content_in_the_file_of_first_weights_is_to_train_again(ground, tmp_path):
    keys = []
    for name, text in (("a", b"one"), ("b", b"one"), ("a", b"two")):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(text)
        network = {"family": "unet", "encoder": "resnet18", "weights": str(tmp_path / "link")}
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(path)
        config = changed(ground.config, "networks", {"a": network, "b": {"family": "tiny_dla"}})
        calls = plan_of(config, ground.at).calls
        keys.append(next(call.key for call in calls if "· a · supervised" in call.label))
    assert keys[0] == keys[1] != keys[2]


def test_a_threshold_that_no_round_uses_is_refused(ground):
    with pytest.raises(ConfigError, match=r"set self_training\.threshold and cooperative"):
        changed(ground.config, "merging.threshold", 0.5)


@pytest.fixture(scope="module")
def small(ground, tmp_path_factory):
    """Return a finished run of one network, in a workspace of its own."""
    content = ground.config.model_dump(mode="json")
    content |= {"arms": ["self"], "networks": {"a": content["networks"]["a"]}}
    config = parse_config(content, "test")
    own = ground.copied(tmp_path_factory.mktemp("small"), ground.untouched)
    assert conduct(config, own.at)
    return config, own.at, open_run(config, own.at).run_id


def conduct(config, at):
    """Go through a run and return the stages that were made."""
    run = open_run(config, at)
    Conductor(run, config).report()
    with closing(sqlite3.connect(at.ledger / "ledger.db")) as connection:
        names = dict(connection.execute("SELECT key, name FROM stages").fetchall())
    stages = run.ledger.stages_of(run.run_id)
    return {(names[one.key], one.label) for one in stages if one.state == "completed"}


def kinds_of_change():
    """Return one setting for each place where settings enter, and those that enter nowhere."""
    unrunnable = {"splits", "folds", "tiles.mpp", "tiles.downsample", "mode", "labels", "arms"}
    found = {
        (change.enters or path, change.adds): path
        for path, change in CHANGES.items()
        if path not in unrunnable and not path.startswith("cooperative")
    }
    return list(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("path", kinds_of_change())
def test_a_run_of_one_changed_setting_makes_what_was_planned_and_nothing_else(small, path):
    config, at, run_id = small
    change = CHANGES[path]
    other, before = changed(config, path, change.value), known(at, run_id)
    planned = {(call.name, call.label) for call in plan_of(other, at).pending}
    made = conduct(other, at)
    assert made <= planned
    reached = before.reached_from(change.enters) | {("report", "write the report")}
    old = made & set(before.pairs.values())
    assert change.adds or all(pair in reached or re.search(change.opens, pair[1]) for pair in old)
    assert not change.enters or made & reached & enters(before, change)
    assert conduct(other, at) == set()
