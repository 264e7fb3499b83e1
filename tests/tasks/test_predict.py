import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from models.annotations import Role
from models.errors import IntegrityError, StoppedError
from models.merging.settings import MergeSettings
from models.methods.detector import Detector
from storage.datasets.splits import Part
from storage.detections import open_detections
from storage.regions import open_regions
from tasks.predict import predict
from tasks.stage import observer
from tasks.trial import ANNOTATED, Selection, Trial

TRIAL = Trial("hard", 0, 0)
MERGING = MergeSettings(threshold=0.4)


def predicted(ground, recipe, trained, part, roles=ANNOTATED, masks=None):
    ref = predict(
        ground.run, "predict", regions=ground.regions, selection=Selection(TRIAL, part, roles),
        checkpoint=trained, detector=recipe.detector, masks=masks,
    )  # fmt: skip
    return open_detections(ground.at, ref)


def test_only_the_selected_regions_are_looked_at(ground, recipe, trained):
    source = open_regions(ground.at, ground.regions)
    found = predicted(ground, recipe, trained, Part.TEST)
    expected = Selection(TRIAL, Part.TEST, ANNOTATED).of(source)
    assert set(found.regions) == {info.region_id for info in expected}
    assert found.facts == {"checkpoint": trained.digest, "regions": ground.regions.digest}


def test_masks_are_kept_for_relabelling_only(ground, recipe, trained):
    plain = predicted(ground, recipe, trained, Part.TEST)
    with pytest.raises(IntegrityError):
        plain.masks(next(iter(plain.regions)))


def test_masks_hold_the_classes_above_the_threshold_and_p_inner_inside(ground, recipe, trained):
    found = predicted(ground, recipe, trained, Part.TRAIN, (Role.POSITIVE,), MERGING)
    assert len(found.regions) == 3
    n_cells = 0
    for region_id in found.regions:
        masks = found.masks(region_id)
        assert masks.classes.shape == masks.inner.shape == (96, 96)
        assert set(np.unique(masks.classes)) <= {0, 1, 2}
        assert (masks.inner[masks.classes == 0] == 0).all()
        n_cells += int((masks.classes > 0).sum())
    assert n_cells > 0


def test_a_higher_threshold_leaves_fewer_pixels(ground, recipe, trained):
    def pixels(threshold):
        merging = MERGING.model_copy(update={"threshold": threshold})
        found = predicted(ground, recipe, trained, Part.TRAIN, (Role.POSITIVE,), merging)
        return sum(int((found.masks(one).classes > 0).sum()) for one in found.regions)

    assert pixels(0.01) > pixels(0.99)


def test_a_prediction_that_ended_early_goes_on_where_it_was_and_ends_in_the_same_bytes(
    ground, recipe, trained, tmp_path, monkeypatch
):
    own = ground.copied(tmp_path)
    words = {
        "regions": ground.regions, "selection": Selection(TRIAL, Part.TRAIN, ANNOTATED),
        "checkpoint": trained, "detector": recipe.detector, "masks": MERGING,
    }  # fmt: skip
    undisturbed = predict(ground.run, "predict", **words)
    looked_at: list[list[str]] = []
    look = Detector.look

    def seen(self, source, area):
        looked_at[-1].append(source.info.region_id)
        return look(self, source, area)

    monkeypatch.setattr(Detector, "look", seen)
    always_sealing(monkeypatch)
    for n_done in (2, 3):
        looked_at.append([])
        stopped_at(own.run, n_done, lambda: predict(own.run, "predict", **words))
    looked_at.append([])
    assert predict(own.run, "predict", **words) == undisturbed
    expected = sorted(open_detections(own.at, undisturbed).regions)
    assert sorted({one for attempt in looked_at for one in attempt}) == expected
    assert looked_at[1][0] == expected[2]
    assert looked_at[2] == expected[3:]
    assert not list((own.at.ledger / "unfinished").iterdir())


def always_sealing(monkeypatch):
    """Have 20 s go by between any two looks at the clock: everything is sealed at once."""
    clock = SimpleNamespace(monotonic=itertools.count(step=20).__next__)
    monkeypatch.setattr("storage.parts.time", clock)


def stopped_at(run, n_done, work):
    """Do some work and stop it as soon as so much is done."""
    token = observer.set(_stopping(run, n_done))
    with pytest.raises(StoppedError):
        work()
    observer.reset(token)
    run.stopped.clear()


def _stopping(run, n_done):
    def watch(_label, state, done, _total):
        if state == "running" and done == n_done:
            run.stopped.set()

    return watch
