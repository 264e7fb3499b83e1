import json
from collections import Counter

import pytest

from flows.config import Arm
from flows.stages import Conductor, open_run
from models.errors import NotFoundError
from models.methods.settings import StopSettings
from storage.checkpoints import load_card
from storage.labels.log import ancestry
from storage.labels.store import open_version
from tasks.report import TABLE, read_table
from tasks.stage import Run, is_pending
from tasks.trial import Trial

KEYS = {
    "mode", "fold", "seed", "arm", "model", "truth", "instance_recall", "collective_recall", "fps",
    "fps_basis", "froc", "froc_low", "froc_high", "candidate_floor", "n_steps", "label_version",
    "checkpoint",
}  # fmt: skip
"""What the contract promises of a row."""
N_ARMS = 12
MARGIN = StopSettings().rollback_margin


def rows_of(conducted, truth="complete"):
    rows = read_table(conducted.ground.at, conducted.report)
    return {(row["model"], row["arm"]): row for row in rows if row["truth"] == truth}


def arms_of(conducted):
    return {(arm.model, arm.arm): arm for arm in conducted.inputs.arms}


def test_the_table_has_every_arm_network_and_truth_with_exactly_the_promised_keys(conducted):
    rows = read_table(conducted.ground.at, conducted.report)
    assert [set(row) for row in rows] == [KEYS] * len(rows)
    found = Counter((row["arm"], row["model"], row["truth"]) for row in rows)
    expected = {(arm.value, m, t) for arm in Arm for m in "ab" for t in ("complete", "partial")}
    assert set(found) == expected
    assert set(found.values()) == {1}
    assert {(row["mode"], row["fold"], row["seed"]) for row in rows} == {("hard", 0, 0)}


def test_each_control_takes_exactly_the_steps_of_its_twin(conducted):
    rows = rows_of(conducted)
    for model in "ab":
        steps = {arm.value: rows[model, arm.value]["n_steps"] for arm in Arm}
        assert steps["supervised_longer"] == steps["self"] > steps["supervised"] == 6
        assert steps["self_longer"] == steps["cooperative"] > steps["self"]


def test_the_steps_of_a_row_are_those_of_all_trainings_behind_it(conducted):
    at = conducted.ground.at
    for (model, name), arm in arms_of(conducted).items():
        own = sum(load_card(at, one.checkpoint)["n_steps"] for one in arm.rounds)
        before = {
            "supervised": (), "supervised_longer": ("supervised",), "self": ("supervised",),
            "self_longer": ("supervised", "self"), "self_extra": ("supervised", "self"),
            "cooperative": ("supervised", "self"),
        }[name]  # fmt: skip
        others = arms_of(conducted)
        earlier = [one for arm in before for one in others[model, arm].rounds]
        steps = own + sum(load_card(at, one.checkpoint)["n_steps"] for one in earlier)
        assert arm.n_steps == steps, (model, name)


def test_labels_of_controls_stay(conducted):
    arms = arms_of(conducted)
    for model in "ab":
        first = conducted.inputs.annotated
        assert {one.labels for one in arms[model, "supervised_longer"].rounds} == {first}
        kept = arms[model, "self"].best.labels
        assert {one.labels for one in arms[model, "self_longer"].rounds} == {kept}


def test_every_version_grows_from_version_0_with_the_persons_cells_intact(conducted):
    at, root = conducted.ground.at, conducted.inputs.annotated
    person = open_version(at, root).info
    versions = {one.labels for arm in conducted.inputs.arms for one in arm.rounds} - {root}
    assert versions
    for ref in versions:
        line = ancestry(at, ref)
        assert line[-1].digest == root.digest
        assert {one.human_digest for one in line} == {person.human_digest}
        assert {one.human_count for one in line} == {person.human_count}


def test_each_round_grows_from_the_labels_of_the_round_before(conducted):
    for arm in conducted.inputs.arms:
        if arm.arm in {"self", "self_extra", "cooperative"}:
            for one in arm.rounds:
                version = open_version(conducted.ground.at, one.labels).info
                assert version.parent == one.labels_before.digest
                assert (version.stage, version.round) == (arm.arm, one.number)
                assert version.chain == f"hard/fold0/seed0/{arm.arm}/{arm.model}"


def test_cooperative_labels_come_from_the_other_network_and_extra_ones_from_the_same(conducted):
    at, arms = conducted.ground.at, arms_of(conducted)
    for model, other in (("a", "b"), ("b", "a")):
        for name, teacher in (("cooperative", other), ("self_extra", model)):
            first = arms[model, name].rounds[0]
            version = open_version(at, first.labels).info
            assert version.parameters["checkpoint"] == arms[teacher, "self"].best.checkpoint.digest


def test_the_kept_round_is_the_last_that_validation_finds_good(conducted):
    at = conducted.ground.at
    for arm in conducted.inputs.arms:
        scores = []
        for one in arm.rounds:
            card = load_card(at, one.checkpoint)
            kept = card["best_epoch"] or len(card["history"])
            scores.append(card["history"][kept - 1]["validation_froc"])
        good = [n for n, score in enumerate(scores) if score >= max(scores) - MARGIN]
        assert arm.kept == good[-1]


def test_figures_of_a_row_are_those_of_its_stored_detections(conducted):
    from models.metrics.detection import evaluate
    from storage.datasets.splits import Part
    from storage.detections import open_detections
    from storage.regions import open_regions
    from tasks.evaluate import images_by_truth
    from tasks.trial import ANNOTATED, Selection

    ground = conducted.ground
    source = open_regions(ground.at, ground.regions)
    chosen = Selection(Trial("hard", 0, 0), Part.TEST, ANNOTATED).of(source)
    for (model, name), arm in arms_of(conducted).items():
        found = open_detections(ground.at, arm.detections)
        assert found.facts["checkpoint"] == arm.best.checkpoint.digest
        for truth, images in images_by_truth(source, found, chosen).items():
            result = evaluate(images, ground.config.evaluation, seed=0)
            row = rows_of(conducted, truth)[model, name]
            assert row["froc"] == pytest.approx(result.froc)
            assert row["instance_recall"] == pytest.approx(result.instance_recall)
            assert row["fps"] == pytest.approx(result.fps)
            assert (row["froc_low"], row["froc_high"]) == pytest.approx(result.froc_interval)


def test_every_arm_is_told_as_soon_as_it_is_done(conducted):
    assert len(conducted.heard) == N_ARMS
    assert all(arm.evaluation is None for arm in conducted.heard)
    order = [arm.arm for arm in conducted.heard]
    assert order.index("cooperative") > max(n for n, arm in enumerate(order) if arm == "self")
    assert order[-2:] == ["self_longer"] * 2  # it needs to know how long cooperative took


def planned(ground, config=None):
    config = config or ground.config
    run = open_run(config, ground.at, planning=True)
    return Conductor(run, config).report(), run


def test_a_plan_of_a_finished_run_finds_every_stage(conducted):
    report, run = planned(conducted.ground)
    assert report == conducted.report
    assert all(call.done for call in run.calls)


def test_a_plan_of_a_new_seed_shares_regions_and_labels_only(conducted):
    config = conducted.ground.config.model_copy(update={"seeds": (1,)})
    report, run = planned(conducted.ground, config)
    assert is_pending(report)
    assert [call.name for call in run.calls if call.done] == ["extract", "annotate"]


def test_a_plan_counts_every_round_that_may_come(own_ground):
    config = own_ground.config.model_copy(update={"seeds": (9,)})
    _, run = planned(own_ground, config)
    trainings = Counter(call.label.split(" · ")[-1].split(" round")[0]
                        for call in run.calls if call.name == "train")  # fmt: skip
    assert trainings == {
        "supervised": 2, "self": 4, "supervised_longer": 4, "self_extra": 2, "cooperative": 2,
        "self_longer": 2,
    }  # fmt: skip


def test_what_is_damaged_is_planned_again_and_no_more(conducted, tmp_path):
    ground = conducted.ground.copied(tmp_path)
    arm = arms_of(conducted)["a", "cooperative"]
    (ground.at.path(arm.evaluation) / "card.json").unlink()
    report, run = planned(ground)
    assert is_pending(report)
    assert [(call.name, bool(call.key)) for call in run.calls if not call.done] == [
        ("evaluate", True), ("report", False),
    ]  # fmt: skip
    run = Run(ground.at, "again")
    again = Conductor(run, ground.config).report()
    table = (ground.at.path(again) / TABLE).read_text()
    assert json.loads(table)["rows"] == read_table(conducted.ground.at, conducted.report)
    made = [one.label for one in run.ledger.stages_of(run.run_id) if one.state == "completed"]
    assert made == ["hard fold 0 seed 0 · a · cooperative · test"]


def test_the_run_is_known_by_its_configuration_and_dataset(ground):
    same = open_run(ground.config, ground.at).run_id
    assert same == ground.run.run_id
    other = ground.config.model_copy(update={"seeds": (1,)})
    assert open_run(other, ground.at).run_id != same


def test_a_dataset_that_is_not_there_is_named(ground):
    with pytest.raises(NotFoundError, match="no dataset is called 'none'; there are ground"):
        open_run(ground.config.model_copy(update={"dataset": "none"}), ground.at)


def test_every_split_fold_and_seed_is_a_trial_in_a_fixed_order(ground):
    config = ground.config.model_copy(
        update={"splits": ("hard", "easy"), "folds": (0, 2), "seeds": (5, 6)}
    )
    trials = Conductor(Run(ground.at, "r", planning=True), config).trials()
    assert [str(trial) for trial in trials] == [
        f"{split} fold {fold} seed {seed}"
        for split in ("hard", "easy") for fold in (0, 2) for seed in (5, 6)
    ]  # fmt: skip


def test_networks_side_by_side_give_the_same_artefacts(conducted, tmp_path):
    ground = conducted.ground
    config = ground.config.model_copy(
        update={"side_by_side": True, "arms": (Arm.SUPERVISED, Arm.SELF)}
    )
    clean = ground.copied(tmp_path)
    (clean.at.ledger / "ledger.db").unlink()
    for leftover in ("ledger.db-wal", "ledger.db-shm"):
        (clean.at.ledger / leftover).unlink(missing_ok=True)
    run = open_run(config, clean.at)
    rows = read_table(clean.at, Conductor(run, config).report())
    known = rows_of(conducted)
    for row in rows:
        if row["truth"] == "complete":
            assert row == known[row["model"], row["arm"]]
