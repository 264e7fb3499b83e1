"""Every label version of a workspace: in order, by name, and with its ancestors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import NotFoundError, WrongUseError
from storage.labels.schema import VERSION, read_info
from storage.labels.tags import tagged, tags
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from storage.labels.schema import VersionInfo

_DIGEST = re.compile(r"[0-9a-f]{4,32}")


def log(at: Workspace) -> tuple[VersionInfo, ...]:
    """Return all versions, chain by chain, parents before children.

    Reads only the small description of each version, no pixels and no tables.
    """
    folders = (at.root / Kind.LABELS).glob(f"[0-9a-f]*/{VERSION}")
    infos = {info.digest: info for info in (read_info(path.parent) for path in sorted(folders))}
    depths = _depths(infos)
    chains: dict[str, tuple[int, str]] = {}
    for info in infos.values():
        start = (depths[info.digest], info.created)
        chains[info.chain] = min(start, chains.get(info.chain, start))
    return tuple(
        sorted(
            infos.values(),
            key=lambda one: (
                chains[one.chain], one.chain, depths[one.digest], one.created, one.digest,
            ),
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the log."""

    info: VersionInfo
    growth: float | None
    """Cells more than in the version it grew from, as a fraction of those; None without any."""
    checkpoint: str
    """Digest of the network that found its new cells, empty where none did."""
    model: str
    """What the network is called in the runs, empty where its checkpoint is gone."""
    tags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            **self.info.to_json(),
            "growth": self.growth,
            "checkpoint": self.checkpoint,
            "model": self.model,
            "tags": list(self.tags),
        }


def history(at: Workspace) -> tuple[Logged, ...]:
    """Return all versions in the order of `log`, with what people ask of each."""
    infos = log(at)
    cells = {info.digest: sum(info.n_cells.values()) for info in infos}
    names: dict[str, list[str]] = {}
    for name, ref in tags(at).items():
        names.setdefault(ref.digest, []).append(name)
    checkpoints = {info.digest: str(info.parameters.get("checkpoint") or "") for info in infos}
    models = {one: model_name(at, one) for one in set(checkpoints.values())}
    return tuple(
        Logged(
            info,
            cells[info.digest] / before - 1
            if (before := cells.get(info.parent or "", 0))
            else None,
            checkpoints[info.digest],
            models[checkpoints[info.digest]],
            tuple(names.get(info.digest, ())),
        )
        for info in infos
    )


def model_name(at: Workspace, checkpoint: str) -> str:
    """Return what the runs call the network of a checkpoint, empty where nobody knows."""
    if not _DIGEST.fullmatch(checkpoint):
        return ""
    try:
        card = json.loads((at.path(Ref(Kind.CHECKPOINT, checkpoint)) / "card.json").read_text())
        return str(card.get("model", ""))
    except (OSError, ValueError):
        return ""  # a log of labels does not fail on a checkpoint that was deleted


def _depths(infos: dict[str, VersionInfo]) -> dict[str, int]:
    """Return how many ancestors each version has."""
    depths: dict[str, int] = {}
    for digest in infos:
        line = [digest]
        while line[-1] not in depths:
            parent = infos[line[-1]].parent
            if parent is None or parent not in infos:
                depths[line[-1]] = 0
            else:
                line.append(parent)
        for child, ancestor in zip(reversed(line[:-1]), reversed(line), strict=False):
            depths[child] = depths[ancestor] + 1
    return depths


def ancestry(at: Workspace, ref: Ref, *, complete: bool = True) -> tuple[VersionInfo, ...]:
    """Return a version and all it grew from, the youngest first.

    Parameters
    ----------
    at, ref
        The workspace and the version.
    complete : bool
        Whether an ancestor that is missing is an error; else the line ends before it.

    Raises
    ------
    NotFoundError
        If one of them is not in the workspace.
    """
    line: list[VersionInfo] = []
    digest: str | None = ref.digest
    while digest is not None:
        folder = at.path(Ref(Kind.LABELS, digest))
        if not (folder / VERSION).exists():
            if line and not complete:
                break
            raise NotFoundError(f"label version {digest[:8]} is not in {at.root}.")
        line.append(read_info(folder))
        digest = line[-1].parent
    return tuple(line)


def resolve(at: Workspace, text: str) -> Ref:
    """Return the version that a person means by a tag or the first digits of a digest.

    Raises
    ------
    NotFoundError
        If there is none.
    WrongUseError
        If several versions begin like that.
    """
    named = tagged(at, text)
    if named is not None:
        return named
    folder = at.root / Kind.LABELS
    pattern = f"{text}*/{VERSION}"
    found = [path.parent.name for path in folder.glob(pattern)] if _DIGEST.fullmatch(text) else []
    if not found:
        raise NotFoundError(
            f"no label version or tag {text!r} in {at.root} (a version is named by its first 4 or "
            f"more digits); 'signetflow labels log' lists them."
        )
    if len(found) > 1:
        short = ", ".join(sorted(digest[: len(text) + 4] for digest in found)[:3])
        raise WrongUseError(f"{len(found)} label versions begin with {text}: {short}; give more.")
    return Ref(Kind.LABELS, found[0])
