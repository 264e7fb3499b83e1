import re

import numpy as np
import pytest

from storage.labels.diff.compare import diff
from storage.labels.diff.crops import telling_crops
from storage.labels.diff.page import build_diff_page, relation_text, row_text, summary_text
from storage.labels.lineage import regions_behind
from storage.labels.store import LabelDraft, open_version
from storage.regions import open_regions


@pytest.fixture
def chain(versions):
    first = versions.ingest()
    one = versions.round(first)
    moved = ([64, 30, 84, 50],)
    return first, one, versions.round(one, 2, found=moved), versions.ingest(chain="other", a="b")


@pytest.fixture
def page(workspace, chain, tmp_path):
    """Return a function that gives the page of two versions of the chain."""

    def page(before, after, n_shown=9):
        found = diff(workspace, chain[before], chain[after])
        build_diff_page(found, telling_crops(found, None, n_shown), tmp_path / "diff.html")
        return (tmp_path / "diff.html").read_text()

    return page


def test_the_page_needs_nothing_from_outside(page):
    text = page(0, 1)

    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert "<script" not in text


def test_the_page_tells_versions_counts_classes_and_changes(page, chain):
    text = page(1, 2)

    for words in (
        chain[1].digest, chain[2].digest, "The second grew directly from the first.",
        "3 cells of a person are equal in both", "background", "ignore",
        "Removed: cell", "No images",
    ):  # fmt: skip
        assert words in text
    # What moved is in the picture of what was removed.
    assert text.count("<figure>") == 1
    assert text.count("<svg role") == 2


def test_a_page_without_changes_says_so(page):
    text = page(1, 1)

    assert "No cell changed." in text
    assert "Both are the same version." in text


def test_a_page_names_the_cells_of_a_person_that_differ(workspace, versions, chain, tmp_path):
    placement, classes, cells, records, next_id = versions.drawn_labels(versions.first)
    with versions.draft(None, 0, "other", "ingest") as draft:
        keep = cells == 1
        draft.put(versions.first, placement, classes * keep, cells * keep,
                  records.take(np.array([0])), next_id)  # fmt: skip
        other = draft.commit()
    found = diff(workspace, chain[0], other)
    build_diff_page(found, (), tmp_path / "diff.html")

    text = (tmp_path / "diff.html").read_text()
    assert "These are not equal" in text
    assert f"{versions.first}#1" in text
    assert "The cells of a person differ: 2 changes" in summary_text(found)


def test_names_from_outside_are_shown_and_not_obeyed(workspace, versions, tmp_path):
    names = "<script>alert(1)</script>", "turned \u202e around"
    refs = []
    for chain, cells in (("a", "empty"), ("b", "slide.a@0,512")):
        with LabelDraft(
            workspace, parent=None, chain=chain, round=0, stage="ingest", parameters={}
        ) as draft:
            for name in names:
                draft.put(name, *versions.drawn_labels(cells))
            refs.append(draft.commit())
    found = diff(workspace, refs[0], refs[1])
    build_diff_page(found, telling_crops(found, None, 9), tmp_path / "diff.html")

    text = (tmp_path / "diff.html").read_text()
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "&lt;script&gt;" in text


def test_tissue_is_embedded_once_per_change(ground, tmp_path):
    version = open_version(ground.at, ground.annotated)
    with LabelDraft(
        ground.at, parent=None, chain="page", round=0, stage="ingest", parameters={}
    ) as draft:
        region_id = next(one for one in version.region_ids if not len(version.records(one)))
        shape = version.classes(region_id).shape
        empty = np.zeros(shape, np.uint8), np.zeros(shape, np.uint32), version.records(region_id)
        draft.put(region_id, version.placement(region_id), *empty, 1)
        other = draft.commit()
    found = diff(ground.at, other, ground.annotated)
    behind = regions_behind(ground.at, version)
    assert behind is not None
    assert behind == ground.regions
    regions = open_regions(ground.at, behind)
    crops = telling_crops(found, regions, 3)
    build_diff_page(found, crops, tmp_path / "diff.html")

    text = (tmp_path / "diff.html").read_text()
    assert len(crops) == 3
    assert text.count("data:image/jpeg;base64,") == 3
    assert "No images" not in text


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0, 0, "Both are the same version."),
        (0, 1, "The second grew directly from the first."),
        (0, 2, "The second grew over 2 versions from the first."),
        (2, 1, "The first grew directly from the second."),
        (1, 3, "They have no common ancestor"),
    ],
)
def test_the_relation_is_told_in_words(workspace, chain, before, after, words):
    found = diff(workspace, chain[before], chain[after])

    assert relation_text(found).startswith(words)


def test_two_branches_name_what_they_grew_from(workspace, versions, chain):
    branch = versions.round(chain[0], chain="branch", found=())
    found = diff(workspace, chain[1], branch)

    assert relation_text(found) == (f"Both grew from {chain[0].digest[:8]}, in different chains.")


def test_a_row_is_told_with_what_changed_and_where(workspace, chain):
    found = diff(workspace, chain[1], chain[2])
    told = [row_text(found, row) for row in range(len(found.changes))]

    moved = next(text for text in told if text.startswith("Moved"))
    assert re.fullmatch(
        r"Moved: cell \d+ \(by 8\.0 level-0 pixels, score 0\.\d\d\)\. "
        r"slide\.a@0,0, x \d+, y \d+",
        moved,
    )
    assert any(text.startswith("Removed: cell ") for text in told)
