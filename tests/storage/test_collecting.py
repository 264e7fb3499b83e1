"""What may go and what must stay, in a workspace with a finished run."""

import shutil

import pytest

from models.errors import WorkspaceError
from storage.champion import stand
from storage.collecting import collect, needed
from storage.labels.log import ancestry
from storage.labels.store import open_version
from storage.labels.tags import tag
from storage.layout import Kind, Ref
from storage.ledger import Ledger
from storage.locks import shared


@pytest.fixture
def ended(conducted, tmp_path):
    """Return a copy of a finished run's ground, and what its report was made of."""
    return conducted.ground.copied(tmp_path), conducted.inputs


def there(at):
    return {
        Ref(kind, folder.name)
        for kind in Kind
        for folder in (at.root / kind).glob("[0-9a-f]*")
        if not folder.is_symlink()
    }


def test_nothing_of_a_run_that_counts_goes(ended):
    ground, inputs = ended
    at, run = ground.at, ground.run
    Ledger(at).start_run(run.run_id, "n", {}, 0.0)
    assert {inputs.dataset, inputs.regions, inputs.annotated} <= needed(at)
    labels = {one.labels for arm in inputs.arms for one in arm.rounds}
    assert labels <= needed(at)
    before = there(at)
    assert collect(at).leftovers == ()
    assert there(at) == before


def forgotten(ground):
    """Let the workspace forget its runs, so that only names and champions hold anything."""
    at = ground.at
    Ledger(at).start_run(ground.run.run_id, "n", {}, 0.0)
    Ledger(at).finish_run(ground.run.run_id, "completed", 1.0)
    return at


def test_a_tag_keeps_its_whole_chain_and_the_networks_that_labelled_it(ended):
    ground, inputs = ended
    at = forgotten(ground)
    last = next(arm for arm in inputs.arms if arm.arm == "cooperative").rounds[-1].labels
    tag(at, "gold", last)
    collect(at, keep_runs=0)
    for info in ancestry(at, last):
        version = open_version(at, info.ref)
        for region_id in version.region_ids:
            version.cells(region_id)[:]
        checkpoint = info.parameters.get("checkpoint")
        if checkpoint:
            assert at.path(Ref(Kind.CHECKPOINT, checkpoint)).is_dir()
    assert not any((at.root / Kind.DETECTIONS).glob("[0-9a-f]*"))


def test_every_champion_there_ever_was_stays_with_the_labels_it_learned_from(ended):
    ground, inputs = ended
    at = forgotten(ground)
    first, second = (inputs.arms[0].best, inputs.arms[-1].best)
    for one in (first, second):
        stand(at, "champion", one.checkpoint, by="ada", reason="x")
    gone = collect(at, keep_runs=0)
    assert gone.leftovers
    for one in (first, second):
        assert at.path(one.checkpoint).is_dir()
        assert at.path(one.labels).is_dir()


def test_leftovers_of_killed_runs_go_and_a_dry_run_only_says_so(ended):
    ground, _ = ended
    at = forgotten(ground)
    draft = at.root / Kind.LABELS / ".draft-1"
    draft.mkdir()
    (draft / "half").write_bytes(b"x" * 1000)
    said = collect(at, dry_run=True)
    assert [one.what for one in said.leftovers] == ["labels/.draft-1"]
    assert said.bytes_freed == 1000
    assert draft.is_dir()
    assert collect(at).leftovers[0].what == "labels/.draft-1"
    assert not draft.exists()


def test_what_nobody_refers_to_goes(ended):
    ground, _ = ended
    at = forgotten(ground)
    orphan = at.root / Kind.CARD / ("0" * 32)
    shutil.copytree(
        at.path(Ref(Kind.CARD, next((at.root / Kind.CARD).glob("[0-9a-f]*")).name)), orphan
    )
    assert [one.what for one in collect(at).leftovers] == [f"cards/{'0' * 32}"]
    assert not orphan.exists()


def test_a_run_that_is_at_work_is_not_disturbed(ended):
    ground, _ = ended
    with shared(ground.at), pytest.raises(WorkspaceError, match="needs it alone"):
        collect(ground.at)
