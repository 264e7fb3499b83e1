"""What may go from a workspace, and what must stay so that no question becomes unanswerable.

What stays, always:

- every label version with a tag, every checkpoint that is or was champion or challenger, and the
  newest version of each dataset;
- what those were made from: parent versions, the version in which a person's cells were read in,
  the regions, the networks that labelled them, the labels those networks learned from;
- every artefact that one of the kept runs made or used.

What goes: drafts and unfinished work that no process can finish any more, and artefacts that
nothing of the above needs. An artefact that goes is made again when a run asks for it.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import NotFoundError
from storage.artefacts import MANIFEST
from storage.champion import history
from storage.checkpoints import CARD
from storage.datasets.registered import latest, names
from storage.labels.schema import read_info
from storage.labels.tags import tags
from storage.layout import Kind, Ref
from storage.ledger import Ledger
from storage.locks import alone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from storage.layout import Workspace

_REF = re.compile(rf"^({'|'.join(Kind)})/([0-9a-f]{{32}})$")
_NOT_LINEAGE = {Kind.DETECTIONS}
"""Large, and said again by the network and the regions that gave them."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that may go."""

    what: str
    """``kind/digest`` of an artefact, or a path within the workspace."""
    path: Path
    bytes_freed: int
    """Files that others still link to are not counted."""


@dataclass(frozen=True, slots=True)
class Collection:
    """What a cleaning would do, or did."""

    n_kept: int
    leftovers: tuple[Leftover, ...]

    @property
    def bytes_freed(self) -> int:
        """Return how much room that makes."""
        return sum(one.bytes_freed for one in self.leftovers)


def collect(at: Workspace, *, keep_runs: int | None = None, dry_run: bool = False) -> Collection:
    """Remove what nothing needs, with the workspace for oneself.

    Parameters
    ----------
    at
        The workspace.
    keep_runs
        How many of the latest runs keep all that they made; None: all runs. Runs that are not
        completed always do.
    dry_run
        Only say what would go.

    Raises
    ------
    WorkspaceError
        If anybody uses the workspace.
    """
    with alone(at):
        kept = needed(at, keep_runs)
        found = tuple(leftovers(at, kept))
        if not dry_run:
            for one in found:
                _remove(at, one.path)
    return Collection(len(kept), found)


def needed(at: Workspace, keep_runs: int | None = None) -> frozenset[Ref]:
    """Return every artefact that must stay."""
    ledger = Ledger(at)
    of_runs = _of_runs(ledger, keep_runs)
    roots = {
        *tags(at).values(),
        *(one.ref for one in history(at)),
        *_datasets(at),
    }
    return frozenset(of_runs | _lineage(at, ledger, roots | of_runs))


def leftovers(at: Workspace, kept: frozenset[Ref]) -> Iterator[Leftover]:
    """Yield what is not needed: artefacts, drafts, unfinished work of finished stages."""
    for kind in Kind:
        for folder in sorted((at.root / kind).glob("[0-9a-f]*")):
            ref = Ref(kind, folder.name)
            if folder.is_dir() and not folder.is_symlink() and ref not in kept and _is_one(ref):
                yield _leftover(str(ref), folder)
        for draft in sorted((at.root / kind).glob(".draft-*")):
            yield _leftover(f"{kind}/{draft.name}", draft)
    ledger = Ledger(at)
    for folder in sorted((at.ledger / "unfinished").glob("[0-9a-f]*")):
        if ledger.find(folder.name) is not None:
            yield _leftover(f"ledger/unfinished/{folder.name}", folder)


def _is_one(ref: Ref) -> bool:
    return bool(_REF.match(str(ref)))


def _of_runs(ledger: Ledger, keep_runs: int | None) -> set[Ref]:
    runs = ledger.runs()
    kept = [
        run
        for number, run in enumerate(runs)
        if keep_runs is None or number < keep_runs or run.state != "completed"
    ]
    found = {run.result for run in kept if run.result}
    for run in kept:
        for stage in ledger.stages_of(run.run_id):
            record = ledger.recorded(stage.key) if stage.key else None
            if record:
                found |= {record.ref, *_refs_in(ledger.arguments(stage.key))}
    return found


def _datasets(at: Workspace) -> Iterator[Ref]:
    for name in names(at):
        try:
            yield latest(at, name)
        except NotFoundError:
            continue


def _lineage(at: Workspace, ledger: Ledger, roots: Iterable[Ref]) -> set[Ref]:
    """Return the roots and all that they were made from."""
    found: set[Ref] = set()
    waiting = list(roots)
    while waiting:
        ref = waiting.pop()
        if ref in found:
            continue
        found.add(ref)
        waiting += [one for one in _made_from(at, ledger, ref) if one.kind not in _NOT_LINEAGE]
    return found


def _made_from(at: Workspace, ledger: Ledger, ref: Ref) -> Iterator[Ref]:
    made = ledger.made(ref)
    if made:
        yield from _refs_in(ledger.arguments(made.key))
    folder = at.path(ref)
    if ref.kind is Kind.LABELS and folder.is_dir():
        info = read_info(folder)
        versions = {info.parent, info.human_source} - {None, ref.digest}
        yield from (Ref(Kind.LABELS, digest) for digest in versions if digest)
        yield from _named(info.parameters, {"regions": Kind.REGIONS, "checkpoint": Kind.CHECKPOINT})
    if ref.kind is Kind.CHECKPOINT and (folder / CARD).is_file():
        card = json.loads((folder / CARD).read_text())
        of_card = {"labels": Kind.LABELS, "regions": Kind.REGIONS, "start": Kind.CHECKPOINT}
        yield from _named(card, of_card)


def _named(said: object, kinds: dict[str, Kind]) -> Iterator[Ref]:
    values = said if isinstance(said, dict) else {}
    for name, kind in kinds.items():
        if isinstance(values.get(name), str):
            yield Ref(kind, values[name])


def _refs_in(value: object) -> Iterator[Ref]:
    """Yield the artefacts that a stage's recorded arguments name."""
    if isinstance(value, str):
        match = _REF.match(value)
        if match:
            yield Ref(Kind(match[1]), match[2])
    elif isinstance(value, list):
        for entry in value:
            yield from _refs_in(entry)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _refs_in(entry)


def _leftover(what: str, folder: Path) -> Leftover:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    alone_here = [path.stat() for path in files]
    return Leftover(what, folder, sum(one.st_size for one in alone_here if one.st_nlink == 1))


def _remove(at: Workspace, folder: Path) -> None:
    """Remove a folder; killed half-way, what is left of it is no artefact any more."""
    if not folder.resolve().is_relative_to(at.root.resolve()):
        raise AssertionError(f"{folder} is not in {at.root}")
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder)
