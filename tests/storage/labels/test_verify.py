import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.artefacts import MANIFEST, canonical_json, hash_file, problems
from storage.labels.schema import REGIONS, VERSION
from storage.labels.store import open_version
from storage.labels.verify import verify, version_refs
from storage.layout import Workspace
from tests.storage.labels.conftest import Versions


@pytest.fixture
def chain(versions):
    first = versions.ingest()
    one = versions.round(first)
    return first, one, versions.round(one, 2)


def told(at, *refs):
    """Return the findings as (version, place, what)."""
    found = verify(at, refs or version_refs(at)).findings
    return [(one.version, one.place, one.what) for one in found]


def flip(path, position):
    """Flip one bit and leave size and time as they were, as a disk that forgets does."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[position % len(content)] ^= 4
    path.write_bytes(bytes(content))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_versions_as_they_were_written_are_sound(workspace, chain):
    heard = []
    checked = verify(workspace, version_refs(workspace), lambda *words: heard.append(words))

    assert checked.findings == []
    assert checked.to_json()["ok"]
    assert checked.n_versions == 3
    assert heard[0] == (0, 9)
    assert heard[-1] == (9, 9)


def test_a_file_that_versions_share_is_read_once(workspace, chain):
    alone = verify(workspace, [chain[0]])
    together = verify(workspace, version_refs(workspace))

    # Only the first region, of five files, and two descriptions are new in each round.
    assert together.n_files == alone.n_files + 2 * 7
    assert together.n_regions < 3 * alone.n_regions


def test_a_region_is_looked_at_again_where_a_person_drew_it_anew(workspace, versions):
    one = versions.round(versions.ingest())
    with versions.draft(one, stage="import") as draft:
        for region_id in versions.drawn:
            draft.keep(region_id)
        reviewed = draft.commit()
    with versions.draft(reviewed, 2) as draft:
        for region_id in versions.drawn:
            draft.keep(region_id)
        later = draft.commit()

    # All files are shared; but what `later` has to keep of the first region is drawn in `reviewed`.
    assert verify(workspace, [one, later]).n_regions == len(versions.drawn) + 1


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Return a workspace with two versions, and every file of theirs but the manifests."""
    at = Workspace(tmp_path_factory.mktemp("shelf"))
    versions = Versions(at)
    versions.round(versions.ingest())
    files = sorted(path for path in at.root.rglob("*") if path.is_file() and path.name != MANIFEST)
    return at, [path for path in files if "labels" in path.parts]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_flipped_bit_in_any_file_is_found_and_the_file_is_named(shelf, data):
    at, files = shelf
    path = data.draw(st.sampled_from(files))
    whole, times = path.read_bytes(), path.stat()
    flip(path, data.draw(st.integers(0, len(whole) - 1)))
    try:
        findings = verify(at, version_refs(at)).findings
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    named = [one for one in findings if one.place and path.is_relative_to(one.place)]
    assert named
    assert any("run the command that made it again" in one.remedy for one in named)


def test_what_verify_found_is_noticed_and_made_anew_by_the_next_run(workspace, versions, chain):
    shard = workspace.path(chain[0]) / "slide%2Ea@0,512" / "classes" / "c" / "0" / "0"
    flip(shard, 50)
    assert problems(workspace, chain[0]) == []

    verify(workspace, [chain[1]])
    # The file is shared by hard links: every version that has it is distrusted.
    assert all(problems(workspace, ref) for ref in chain)
    assert versions.ingest() == chain[0]
    assert problems(workspace, chain[0], thorough=True) == []


def test_a_damaged_file_is_told_for_every_version_that_has_it_and_no_other(workspace, chain):
    kept = workspace.path(chain[0]) / "slide%2Ea@0,512" / "cells" / "c" / "0" / "0"
    flip(kept, 9)
    assert {version for version, *_ in told(workspace)} == {ref.digest for ref in chain}

    own = workspace.path(chain[2]) / "slide%2Ea@0,0" / "cells" / "c" / "0" / "0"
    flip(own, 9)
    assert [place for version, place, _ in told(workspace, chain[2])].count(str(own)) == 1
    assert str(own) not in {place for _, place, _ in told(workspace, chain[1])}


def test_a_version_whose_drawn_cells_cannot_be_read_is_told_when_asked_alone(workspace, chain):
    drawn = workspace.path(chain[0]) / "slide%2Ea@0,0" / "classes" / "c" / "0" / "0"
    flip(drawn, 9)

    ((version, place, what),) = told(workspace, chain[1])
    assert (version, place) == (chain[1].digest, "slide.a@0,0")
    assert str(drawn) in what
    assert [version for version, *_ in told(workspace)] == [chain[0].digest]


def test_missing_and_foreign_files_are_named(workspace, chain):
    folder = workspace.path(chain[0])
    (folder / "empty" / "records.parquet").unlink()
    (folder / "empty" / "notes.txt").write_text("mine")

    places = {place.rpartition("/")[2]: what for _, place, what in told(workspace, chain[0])}
    assert places["records.parquet"] == "cannot be read (No such file or directory)"
    assert places["notes.txt"] == "does not belong to the version"


@pytest.mark.parametrize("name", [MANIFEST, VERSION, REGIONS])
def test_a_version_without_its_descriptions_is_named(workspace, chain, name):
    (workspace.path(chain[1]) / name).unlink()

    versions = {version: place for version, place, _ in told(workspace, chain[1])}
    assert versions[chain[1].digest].startswith(str(workspace.path(chain[1])))


def rewritten(at, ref, name, change):
    """Change a description and let the manifest agree: what a person who tampers would do."""
    folder = at.path(ref)
    value = change(json.loads((folder / name).read_text()))
    (folder / name).write_text(canonical_json(value))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] |= {
        "sha256": hash_file(folder / name), "size": (folder / name).stat().st_size,
    }  # fmt: skip
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_a_version_that_was_given_another_parent_is_noticed(workspace, chain):
    rewritten(workspace, chain[2], VERSION, lambda info: info | {"round": 7})

    assert [what for *_, what in told(workspace, chain[2])] == [
        "its name is not the digest of what it holds, of its parent and its parameters"
    ]


def test_counts_that_were_changed_are_noticed(workspace, chain):
    rewritten(workspace, chain[1], VERSION, lambda info: info | {"n_cells": {"human": 9}})

    assert [what for *_, what in told(workspace, chain[1])] == [
        "its counts are not those of its regions"
    ]


def test_a_region_that_is_not_what_the_index_says_is_noticed(workspace, chain):
    def emptied(entries):
        entries["empty"]["next_cell_id"] = 5
        return entries

    rewritten(workspace, chain[0], REGIONS, emptied)
    assert ("empty", "what it holds is not what regions.json says of it") in [
        (place, what) for _, place, what in told(workspace, chain[0])
    ]


def test_a_missing_ancestor_is_named(workspace, chain):
    workspace.path(chain[0]).rename(workspace.root / "gone")

    whats = [what for *_, what in told(workspace, chain[1])]
    assert whats == [
        "its parent is missing or cannot be read",
        "the version in which its drawn cells were read in is missing or cannot be read",
    ]


@pytest.fixture
def forged(workspace, versions, monkeypatch):
    """Return a function that commits a round which breaks a promise, past all checks."""

    def forged(change):
        first = versions.ingest()
        for name in (
            "require_human_records", "require_human_pixels", "require_agreement",
            "require_continuation",
        ):  # fmt: skip
            monkeypatch.setattr(f"storage.labels.writing.{name}", lambda *_: None)
        names = ("placement", "classes", "cells", "records", "next_cell_id")
        parts = dict(zip(names, versions.next_labels(first), strict=True))
        with versions.draft(first) as draft:
            draft.put(versions.first, *(parts | change(parts)).values())
            for region_id in list(versions.drawn)[1:]:
                draft.keep(region_id)
            return draft.commit()

    return forged


def moved(parts):
    boxes = parts["records"].boxes.copy()
    boxes[0] += 3
    return {"records": replace(parts["records"], boxes=boxes)}


def eroded(parts):
    classes = parts["classes"].copy()
    classes[parts["cells"] == 1] = 1
    return {"classes": classes}


def orphaned(parts):
    cells = parts["cells"].copy()
    cells[cells == 3] = 0
    return {"cells": cells}


def shifted(parts):
    return {"placement": replace(parts["placement"], x0=parts["placement"].x0 + 1)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shifted, "in the parent at"),
        (moved, "the person's cell 1 was changed"),
        (eroded, "the person's cell 1 keeps 0 of"),
        (orphaned, "have class"),
    ],
)
def test_a_broken_promise_is_found_though_every_digest_is_right(workspace, forged, change, words):
    ref = forged(change)
    open_version(workspace, ref)

    findings = verify(workspace, [ref]).findings
    assert any(words in one.what and one.place == "slide.a@0,0" for one in findings)
    assert all("do not train on it" in one.remedy for one in findings)


def test_lost_cells_of_a_person_are_counted(workspace, forged):
    def lost(parts):
        kept = parts["records"].take(np.flatnonzero(parts["records"].cell_ids != 1))
        cells = np.where(parts["cells"] == 1, 0, parts["cells"]).astype(np.uint32)
        classes = np.where(parts["cells"] == 1, 0, parts["classes"]).astype(np.uint8)
        return {"records": kept, "cells": cells, "classes": classes}

    whats = [what for *_, what in told(workspace, forged(lost))]
    assert "holds 2 cells of a person, 3 were read in" in whats


def test_an_import_is_mended_by_importing_again(workspace, versions):
    first = versions.ingest()
    with versions.draft(first, stage="import") as draft:
        draft.put(versions.first, *versions.drawn_labels(versions.first))
        draft.keep("slide.a@0,512")
        ref = draft.commit()
    flip(workspace.path(ref) / "slide%2Ea@0,0" / "cells" / "c" / "0" / "0", 30)

    (finding,) = verify(workspace, [ref]).findings
    assert finding.remedy.startswith("import the same reviewed file again")
    assert str(finding).startswith(f"{ref.digest[:8]}: {finding.place}: altered on disk")
