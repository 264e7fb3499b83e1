"""Write a version of a dataset: one artefact, and the name that means it."""

from __future__ import annotations

import json
import os
import uuid
from typing import TYPE_CHECKING, Any

from storage.artefacts import commit, digest_of, draft
from storage.datasets.cells import digest_of_cells, write_tables
from storage.datasets.grouping import Split, group_of, slide_of
from storage.datasets.registered import (
    CATALOGUE,
    CatalogueItem,
    kept_path,
    locations_path,
    refs_folder,
)
from storage.layout import Kind
from storage.locks import shared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from storage.datasets.fingerprints import Fingerprint
    from storage.datasets.protocol import SourceItem
    from storage.layout import Ref, Workspace


def row_of(item: SourceItem, file: Fingerprint, split: Split) -> CatalogueItem:
    """Return an item as the catalogue keeps it."""
    place = split.bundle(item).place
    return CatalogueItem(
        name=item.name,
        path=item.path.resolve(),
        width=item.width,
        height=item.height,
        mpp=item.mpp,
        windows=item.windows,
        rest=item.rest,
        attributes=dict(item.attributes),
        complete=item.truth is not None,
        slide=slide_of(item),
        group=group_of(item, split.group_by)[1],
        hard_fold=place.fold,
        hard_half=place.half,
        digest=file.digest,
        size=file.size,
        mtime_ns=file.mtime_ns,
        truth_windows=item.truth_windows,
        look=file.look,
    )


def write_version(
    at: Workspace,
    name: str,
    header: Mapping[str, Any],
    rows: Sequence[CatalogueItem],
    sources: Sequence[SourceItem],
) -> Ref:
    """Write a version of a dataset and let its name mean it."""
    with shared(at):  # between the two, nothing refers to the artefact yet
        ref = _commit(at, {"name": name, **header}, rows, sources)
        _point(at, name, ref, rows)
    return ref


def _commit(
    at: Workspace,
    header: Mapping[str, Any],
    rows: Sequence[CatalogueItem],
    sources: Sequence[SourceItem],
) -> Ref:
    annotations = {one.name: one.annotations for one in sources}
    truth = {one.name: one.truth for one in sources if one.truth is not None}
    items = [{**row.to_json(), "path": kept_path(at, row.path)} for row in rows]
    content = {
        **{key: value for key, value in header.items() if key != "name"},
        "items": [{k: v for k, v in one.items() if k not in _NO_CONTENT} for one in items],
        "annotations": {name: digest_of_cells(one) for name, one in annotations.items()},
        "truth": {name: digest_of_cells(one) for name, one in truth.items()},
    }
    with draft(at, Kind.DATASET) as work:
        text = json.dumps({**header, "items": items}, sort_keys=True, indent=1)
        (work.path / CATALOGUE).write_text(text)
        write_tables(work.path, annotations, truth)
        return commit(at, Kind.DATASET, work, digest_of(content))


_NO_CONTENT = {"path", "mtime_ns", "look"}
"""Where a file lies, and what follows from its bytes."""


def _point(at: Workspace, name: str, ref: Ref, rows: Sequence[CatalogueItem]) -> None:
    """Let the name mean this version, and note where its files lie now."""
    lying = {row.name: [kept_path(at, row.path), row.mtime_ns] for row in rows}
    _write_whole(locations_path(at, ref), json.dumps(lying, sort_keys=True))
    _write_whole(refs_folder(at) / name, ref.digest)


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    with temporary.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
