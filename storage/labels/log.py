"""Every label version of a workspace: in order, by name, and with its ancestors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from models.errors import NotFoundError, WrongUseError
from storage.labels.schema import VERSION, read_info
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from storage.labels.schema import VersionInfo

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
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


def ancestry(at: Workspace, ref: Ref) -> tuple[VersionInfo, ...]:
    """Return a version and all it grew from, the youngest first.

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
    tagged = _tags(at) / text
    if _NAME.fullmatch(text) and tagged.is_file():
        return Ref(Kind.LABELS, tagged.read_text().strip())
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


def tag(at: Workspace, name: str, ref: Ref) -> None:
    """Give a version a name, or move the name to it.

    Raises
    ------
    WrongUseError
        If the name could be mistaken for a digest or a path.
    """
    if not _NAME.fullmatch(name) or _DIGEST.fullmatch(name):
        raise WrongUseError(
            f"{name!r} cannot be a tag: use small letters, digits, - and _, beginning with a "
            f"letter, and not only the letters a to f."
        )
    folder = _tags(at)
    folder.mkdir(parents=True, exist_ok=True)
    pending = folder / f".{name}"
    pending.write_text(ref.digest)
    pending.replace(folder / name)


def _tags(at: Workspace) -> Path:
    return at.root / Kind.LABELS / "tags"
