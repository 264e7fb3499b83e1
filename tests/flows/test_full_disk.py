"""A disk that is full, or refuses, in the middle of a stage: said, nothing half-visible, resumed.

A limit on the size of files stands for the full disk: every writer meets it as the same kind of
error, C libraries included, and it needs no privileges.
"""

import resource
from contextlib import contextmanager

import pytest

from flows.planning import plan_of
from flows.stages import Conductor, open_run
from models.errors import WorkspaceError
from storage.artefacts import files_of, manifest_of, problems
from storage.layout import Kind, Ref
from tasks.stage import STAGES

MADE = ("extract", "annotate", "train", "predict", "relabel", "judge", "evaluate", "report")


@contextmanager
def files_of_at_most(size):
    """Let every write beyond a size fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def config(ground):
    content = ground.config.model_dump(mode="json")
    content |= {"arms": ["self"], "networks": {"a": content["networks"]["a"]}}
    return type(ground.config).model_validate(content)


def conduct(config, at):
    run = open_run(config, at)
    report = Conductor(run, config).report()
    return {one.key: one.state for one in run.ledger.stages_of(run.run_id)}, report


@pytest.fixture(scope="module")
def undisturbed(ground, config, tmp_path_factory):
    own = ground.copied(tmp_path_factory.mktemp("undisturbed"), ground.untouched)
    conduct(config, own.at)
    return own.at


def refs(at):
    """Return every visible artefact."""
    found = (Ref(kind, path.parent.name) for kind in Kind
             for path in (at.root / kind).glob("[0-9a-f]*/MANIFEST.json"))  # fmt: skip
    return {ref for ref in found if not at.path(ref).is_symlink()}


def hidden(at):
    return [path for kind in Kind for path in (at.root / kind).glob(".draft-*")]


def largest(config, at, name):
    """Return the size of the largest file that the first artefact of a stage holds."""
    call = next(call for call in plan_of(config, at).calls if call.name == name)
    return max(path.stat().st_size for path in files_of(at.path(call.ref)))


# At 0 nothing can be written at all, at 0.9 all but the largest file. The decoder of images, which
# has its pixels in memory that counts as a file, needs some.
@pytest.mark.parametrize(
    ("name", "part"), [*((name, 0.9) for name in MADE), *((name, 0.0) for name in MADE[1:])]
)
def test_a_full_disk_in_a_stage_leaves_nothing_half_visible_and_the_run_goes_on(
    own_ground, config, undisturbed, name, part
):
    stage, at = STAGES[name], own_ground.at
    body, kind = stage.body, stage.makes
    limit = int(part * largest(config, undisturbed, name))

    def on_a_full_disk(work, **arguments):
        with files_of_at_most(limit):
            return body(work, **arguments)

    if name in ("extract", "annotate"):  # the ground has them
        for path in (at.root / kind).glob("[0-9a-f]*"):
            path.rename(path.with_name(f".away-{path.name}"))
    before = refs(at)
    object.__setattr__(stage, "body", on_a_full_disk)
    try:
        with pytest.raises(WorkspaceError, match=r"[Ff]ile too large.*run the same command again"):
            conduct(config, at)
    finally:
        object.__setattr__(stage, "body", body)
    assert before <= refs(at)
    assert all(problems(at, ref, thorough=True) == [] for ref in refs(at))
    assert hidden(at) == []
    conduct(config, at)
    ended = refs(at)
    assert {ref for ref in ended if ref.kind is not Kind.REPORT} == {
        ref for ref in refs(undisturbed) if ref.kind is not Kind.REPORT
    }
    assert [manifest_of(at, ref)["digest"] for ref in ended] == [ref.digest for ref in ended]
