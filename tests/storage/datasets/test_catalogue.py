import json
import os
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models.annotations import Annotations, Polygons, Role
from models.errors import (
    DataLeakError,
    EmptyDatasetError,
    IntegrityError,
    LeakError,
    NotFoundError,
    WorkspaceError,
    WrongUseError,
)
from models.geometry.tiles import Window
from storage.datasets import fingerprints
from storage.datasets.catalogue import latest, names, open_catalogue, register
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.datasets.refusals import Refusals, refusals_of
from storage.layout import Workspace
from storage.locks import alone

REFUSED = RefusedItem("bad.png", "truncated")


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def cells(name, n=3):
    ring = np.array([[1.0, 2.0], [5.0, 2.0], [5.0, 6.5]])
    rings = [ring + i if i % 2 == 0 else ring[:0] for i in range(n)]
    boxes = np.array([[i, 1, i + 4.5, 9] for i in range(n)], np.float64).reshape(n, 4)
    return Annotations(np.array([f"{name}/{i}" for i in range(n)]), boxes, Polygons.of_rings(rings))


def item(folder, name, role=Role.POSITIVE, n=3, **attributes):
    path = folder / f"{name}.png"
    text = PngInfo()
    text.add_text("name", name)  # no two files are the same
    Image.new("RGB", (40, 30)).save(path, pnginfo=text)
    return SourceItem(
        name=name,
        path=path,
        width=40,
        height=30,
        mpp=0.25,
        windows=(KnownWindow(Window(0, 0, 40, 30), role),),
        rest=None,
        annotations=cells(name, n),
        truth=Annotations.none() if role is Role.NEGATIVE else None,
        attributes=attributes,
    )


def same(one, other):
    return (
        list(one.ids) == list(other.ids)
        and np.array_equal(one.boxes, other.boxes)
        and np.array_equal(one.polygons.values, other.polygons.values)
        and np.array_equal(one.polygons.offsets, other.polygons.offsets)
    )


def opened(at, ref):
    assert ref is not None, "nothing was registered"
    return open_catalogue(at, ref)


def content(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dataset_comes_back_as_it_was_registered(at, images):
    given = [item(images, "a", organ="liver"), item(images, "b", n=2, slide="s", patient="p")]
    summary = register(at, given, name="mine")
    catalogue = opened(at, summary.ref)
    assert (catalogue.name, catalogue.n_folds, catalogue.seed) == ("mine", 3, 0)
    for source, found in zip(given, catalogue.items, strict=True):
        shared = ("name", "path", "width", "height", "mpp", "windows", "rest", "attributes")
        assert [getattr(found, one) for one in shared] == [getattr(source, one) for one in shared]
        assert same(catalogue.annotations(source.name), source.annotations)
        assert catalogue.truth(source.name) is None
    assert [one.slide for one in catalogue.items] == ["a", "s"]


def test_the_summary_counts_what_was_found(at, images):
    given = [item(images, "a"), REFUSED, item(images, "b", Role.NEGATIVE, n=0), item(images, "c")]
    summary = register(at, given, name="mine")
    assert (summary.accepted, summary.refused, summary.n_annotations) == (3, (REFUSED,), 6)
    assert summary.roles == {"positive": 2, "negative": 1, "unlabelled": 0}
    assert (summary.n_complete, summary.n_truth, summary.folds) == (1, 0, (1, 1, 1))


def test_a_negative_image_has_truth_that_is_empty(at, images):
    given = [item(images, "a"), item(images, "b", Role.NEGATIVE, n=0)]
    catalogue = opened(at, register(at, given, name="mine").ref)
    truth = catalogue.truth("b")
    assert truth is not None
    assert len(truth) == 0


def test_hidden_annotations_stay_as_truth(at, images):
    summary = register(at, [item(images, "a", n=200)], name="mine", hide=0.6)
    catalogue = opened(at, summary.ref)
    assert same(catalogue.truth("a"), cells("a", 200))
    assert 50 < len(catalogue.annotations("a")) < 110
    assert set(catalogue.annotations("a").ids) < set(cells("a", 200).ids)
    assert (summary.n_annotations, summary.n_truth) == (len(catalogue.annotations("a")), 200)


def test_hiding_makes_no_truth_of_an_image_that_nobody_looked_at(at, images):
    given = [item(images, "a"), item(images, "b", Role.UNLABELLED, n=0)]
    catalogue = opened(at, register(at, given, name="mine", hide=0.5).ref)
    assert catalogue.truth("b") is None


def test_a_truth_of_its_own_is_kept_when_annotations_are_hidden(at, images):
    given = replace(item(images, "a"), truth=cells("truth", 7))
    catalogue = opened(at, register(at, [given], name="mine", hide=0.5).ref)
    assert len(catalogue.truth("a")) == 7


def test_the_digest_does_not_depend_on_where_the_files_lie(at, images, tmp_path):
    first = register(at, [item(images, "a"), item(images, "b")], name="mine").ref
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.rmtree(images)
    again = register(at, [item(elsewhere, "b"), item(elsewhere, "a")], name="other").ref
    assert again == first
    assert opened(at, again).file("a") == elsewhere / "a.png"


@pytest.mark.parametrize(
    "change",
    [
        {"mpp": 0.5},
        {"annotations": cells("a", 2)},
        {"truth": cells("a")},
        {"windows": (KnownWindow(Window(0, 0, 40, 30), Role.UNLABELLED),)},
        {"attributes": {"organ": "liver"}},
        {"name": "z"},
        {"truth": cells("a"), "truth_windows": (Window(0, 0, 40, 30),)},
    ],
)
def test_the_digest_depends_on_what_is_known(at, images, change):
    given = item(images, "a")
    first = register(at, [given], name="mine").ref
    assert register(at, [replace(given, **change)], name="other").ref != first


def test_the_digest_depends_on_the_pixels(at, images):
    given = item(images, "a")
    first = register(at, [given], name="mine").ref
    Image.new("RGB", (40, 30), "white").save(given.path)
    assert register(at, [given], name="mine").ref != first


def test_the_same_dataset_twice_is_one_version(at, images):
    first = register(at, [item(images, "a"), item(images, "b")], name="mine")
    assert register(at, [item(images, "a"), item(images, "b")], name="mine") == first


def test_where_truth_holds_is_kept(at, images):
    known = KnownWindow(Window(0, 0, 20, 30), Role.POSITIVE)
    other = KnownWindow(Window(20, 0, 40, 30), Role.POSITIVE)
    given = replace(
        item(images, "a"), windows=(known, other), truth=cells("a"), truth_windows=(known.window,)
    )
    catalogue = opened(at, register(at, [given], name="mine").ref)
    assert catalogue.source("a").truth_windows == (known.window,)
    kept = catalogue.item("a")
    assert (kept.complete_in(known.window), kept.complete_in(other.window)) == (True, False)


def test_hiding_makes_truth_of_the_annotated_windows_and_of_no_other_tissue(at, images):
    known = KnownWindow(Window(0, 0, 20, 30), Role.POSITIVE)
    given = replace(item(images, "a"), windows=(known,), rest=Role.UNLABELLED, truth_windows=())
    kept = opened(at, register(at, [given], name="mine", hide=0.5).ref).item("a")
    assert kept.complete_in(known.window)
    assert not kept.complete_in(Window(20, 0, 40, 30))


def test_groups_that_join_leave_the_others_where_they_were(at, images):
    old = [item(images, name, organ=name) for name in "abcde"]
    new = [item(images, name, organ=name) for name in "fghij"]
    before = opened(at, register(at, old, name="mine").ref)
    after = opened(at, register(at, [*new, *old], name="mine").ref)
    for one in before.items:
        assert (after.item(one.name).hard_fold, one.hard_half) == (one.hard_fold, one.hard_half)
    assert register(at, [*new, *old], name="mine").folds in {(4, 3, 3), (3, 4, 3), (3, 3, 4)}


def test_regions_that_join_leave_the_easy_folds_of_the_others_as_they_were(at, images):
    first = [item(images, f"i{n}", slide="s") for n in range(4)]
    before = opened(at, register(at, first, name="mine").ref)
    more = [item(images, f"h{n}", slide="s") for n in range(5)]
    after = opened(at, register(at, more, name="mine", add=True).ref)
    assert len(after.easy) == 9
    assert {one: after.easy[one] for one in before.easy} == before.easy
    assert Counter(place.fold for place in after.easy.values()) == {0: 3, 1: 3, 2: 3}


def test_a_name_of_its_own_draws_its_own_folds(at, images):
    given = [item(images, name, organ=name) for name in "abcdefgh"]
    folds = {
        tuple(one.hard_fold for one in opened(at, ref).items)
        for ref in (register(at, given, name=f"n{seed}", seed=seed).ref for seed in range(4))
    }
    assert len(folds) > 1


def test_slides_of_one_patient_share_a_fold(at, images):
    given = [item(images, f"i{n}", patient=f"p{n % 4}") for n in range(12)]
    catalogue = opened(at, register(at, given, name="mine").ref)
    for patient in range(4):
        of = [one for one in catalogue.items if one.attributes["patient"] == f"p{patient}"]
        assert len({(one.hard_fold, one.hard_half) for one in of}) == 1
    assert len({one.hard_fold for one in catalogue.items}) == 3


def test_organs_are_the_groups_where_there_are_enough(at, images):
    several = [item(images, f"{organ}{n}", organ=organ) for organ in "abc" for n in (0, 1)]
    assert register(at, several, name="several").group_by == ("organ", "slide")
    few = [item(images, f"{organ}{n}", organ=organ) for organ in "ab" for n in (0, 1)]
    summary = register(at, few, name="few")
    assert summary.group_by == ("slide",)
    assert summary.folds == (2, 1, 1)
    assert opened(at, summary.ref).item("a0").group == "a0"


def test_a_chosen_grouping_is_obeyed_and_kept_for_the_next_version(at, images):
    given = [item(images, f"{site}{n}", site=site) for site in "abcd" for n in (0, 1)]
    assert register(at, given, name="mine", group_by=("site",)).folds == (2, 1, 1)
    assert register(at, given, name="mine").group_by == ("site",)


def test_data_that_ties_used_folds_is_refused(at, images):
    old = [item(images, "a", patient="p"), item(images, "b", patient="q")]
    first = register(at, old, name="mine").ref
    with pytest.raises(LeakError, match="Folds in use are not moved"):
        register(at, [item(images, "c", slide="a", patient="q")], name="mine")
    assert latest(at, "mine") == first


def test_an_empty_dataset_leaves_no_workspace_behind(at):
    with pytest.raises(EmptyDatasetError, match=r"all was refused\. bad\.png: truncated"):
        register(at, [REFUSED], name="mine")
    assert not at.root.exists()


def test_an_empty_dataset_leaves_the_workspace_as_it_was(at, images):
    register(at, [item(images, "a")], name="mine")
    before = content(at.root)
    with pytest.raises(EmptyDatasetError, match="and 7 more"):
        register(at, [REFUSED] * 10, name="mine")
    with pytest.raises(EmptyDatasetError, match="nothing was found to ingest"):
        register(at, [], name="mine")
    assert content(at.root) == before


def test_strict_registers_nothing_when_one_is_refused(at, images):
    summary = register(at, [item(images, "a"), REFUSED], name="mine", strict=True)
    assert (summary.ref, summary.accepted, summary.refused) == (None, 1, (REFUSED,))
    assert not at.root.exists()
    assert register(at, [item(images, "a")], name="mine", strict=True).ref is not None


def test_what_was_refused_is_kept_beside_the_dataset_and_is_no_part_of_it(at, images):
    first = register(at, [item(images, "a"), REFUSED], name="mine").ref
    again = register(at, [item(images, "a")], name="mine").ref
    assert first is not None
    assert first == again
    known = refusals_of(at, first)
    assert known is not None
    assert (known.count, known.items) == (0, ())
    register(at, [item(images, "b"), REFUSED], name="mine")
    more = register(at, [item(images, "c")], name="mine", add=True).ref
    assert more is not None
    assert refusals_of(at, more) == Refusals(1, (REFUSED,))


def test_two_items_of_one_name_are_not_mixed_up(at, images):
    one = item(images, "a")
    summary = register(at, [one, replace(one, annotations=cells("other", 9))], name="mine")
    assert summary.n_annotations == 3
    assert "another item of this dataset has the same name" in summary.refused[0].reason


def test_an_image_that_is_damaged_or_of_another_size_is_refused_by_name(at, images):
    given = [item(images, name) for name in "abc"]
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(given[0].path)
    given[0].path.write_bytes(given[0].path.read_bytes()[:2000])
    Image.new("RGB", (30, 40)).save(given[1].path)
    summary = register(at, given, name="mine")
    assert summary.accepted == 1
    damaged, odd = summary.refused
    assert (damaged.name, odd.name) == ("a", "b")
    assert "damaged" in damaged.reason
    assert "it has 30 x 40 px, its header says 40 x 30" in odd.reason


def test_a_file_that_vanished_is_refused_by_name(at, images):
    gone = item(images, "gone")
    gone.path.unlink()
    summary = register(at, [item(images, "a"), gone], name="mine")
    assert [one.name for one in summary.refused] == ["gone"]
    assert "No such file" in summary.refused[0].reason


def test_a_workspace_that_cannot_be_written_is_said_before_reading(tmp_path, images):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    reading = iter([item(images, "a")])
    with pytest.raises(WorkspaceError, match="cannot be written"):
        register(Workspace(blocked), reading, name="mine")
    assert len(list(reading)) == 1


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a/b", "-x", "with blank", "n" * 101])
def test_a_name_that_is_no_file_name_is_wrong_use(at, images, name):
    with pytest.raises(WrongUseError, match="cannot name a dataset"):
        register(at, [item(images, "a")], name=name)


def test_the_newest_dataset_is_the_one_registered_last(at, images):
    first = register(at, [item(images, "a")], name="first").ref
    second = register(at, [item(images, "b")], name="second").ref
    os.utime(at.root / "datasets" / "refs" / "first", (1, 1))
    assert latest(at) == second
    assert latest(at, "first") == first
    assert names(at) == ("second", "first")


def test_a_dataset_that_is_not_there_is_named_with_those_that_are(at, images):
    with pytest.raises(NotFoundError, match="no dataset in this workspace"):
        latest(at)
    register(at, [item(images, "a")], name="mine")
    with pytest.raises(NotFoundError, match="no dataset is called 'your'; there are mine"):
        latest(at, "your")


def test_an_item_that_is_not_there_is_named(at, images):
    catalogue = opened(at, register(at, [item(images, "a")], name="mine").ref)
    with pytest.raises(NotFoundError, match="has no item 'b'"):
        catalogue.annotations("b")


def test_an_image_that_is_gone_is_named_with_the_remedy(at, images):
    catalogue = opened(at, register(at, [item(images, "a")], name="mine").ref)
    (images / "a.png").unlink()
    with pytest.raises(IntegrityError, match=r"a\.png: .*ingest again with --name mine"):
        catalogue.file("a")


def test_an_image_that_was_changed_is_noticed(at, images):
    catalogue = opened(at, register(at, [item(images, "a")], name="mine").ref)
    os.utime(images / "a.png", (5, 5))
    assert catalogue.file("a") == images / "a.png"
    (images / "a.png").write_bytes(b"image b")
    with pytest.raises(IntegrityError, match="was changed since it was ingested"):
        catalogue.file("a")


def test_a_file_that_did_not_change_is_not_hashed_again(at, images, monkeypatch):
    register(at, [item(images, "a")], name="mine")
    given = [item(images, "b"), replace(item(images, "a"), mpp=0.5)]
    stored = opened(at, latest(at, "mine")).item("a")
    os.utime(images / "a.png", ns=(stored.mtime_ns, stored.mtime_ns))
    hashed = []

    def note(path):
        hashed.append(path)
        return "0"

    monkeypatch.setattr("storage.datasets.fingerprints.hash_file", note)
    register(at, given, name="mine")
    assert hashed == [images / "b.png"]


def test_what_is_written_is_plain_json(at, images):
    ref = register(at, [item(images, "a")], name="mine").ref
    value = json.loads((at.path(ref) / "dataset.json").read_text())
    assert value["items"][0]["path"] == str(images / "a.png")
    assert value["bundles"] == [
        {"name": "slide=a", "ties": ["slide=a"], "fold": 0, "half": 0}
    ]  # fmt: skip


def test_adding_keeps_what_the_dataset_held(at, images):
    register(at, [item(images, "a", n=50), item(images, "b")], name="mine", hide=0.5, seed=3)
    kept = opened(at, latest(at)).annotations("a")
    new = [item(images, "n", Role.NEGATIVE, n=0), item(images, "b", n=1)]
    summary = register(at, new, name="mine", add=True)
    catalogue = opened(at, summary.ref)
    assert [one.name for one in catalogue.items] == ["a", "b", "n"]
    assert same(catalogue.annotations("a"), kept)
    assert same(catalogue.truth("a"), cells("a", 50))
    assert len(catalogue.annotations("b")) == 1
    assert catalogue.truth("b") is None


def test_adding_to_nothing_makes_a_dataset(at, images):
    assert register(at, [item(images, "a")], name="mine", add=True).accepted == 1


def test_adding_to_an_image_that_was_changed_is_refused(at, images):
    register(at, [item(images, "a")], name="mine")
    (images / "a.png").write_bytes(b"other pixels")
    with pytest.raises(IntegrityError, match="was changed since it was ingested"):
        register(at, [item(images, "b")], name="mine", add=True)


def test_how_a_number_is_written_does_not_change_the_digest(at, images):
    first = register(at, [item(images, "a")], name="mine", hide=0).ref
    assert register(at, [item(images, "a")], name="mine", hide=0.0).ref == first


def test_a_workspace_that_holds_its_slides_can_be_moved(at, tmp_path):
    slides = at.root / "slides" / "made"
    slides.mkdir(parents=True)
    ref = register(at, [item(slides, "a")], name="d").ref
    moved = Workspace(tmp_path / "elsewhere")
    at.root.rename(moved.root)
    found = opened(moved, ref)
    assert found.file("a") == moved.root / "slides" / "made" / "a.png"
    assert str(at.root) not in (found.folder / "dataset.json").read_text()
    # Registered again at the new place it is the same version, and no file is read for its hash.
    again = register(moved, [item(moved.root / "slides" / "made", "a")], name="d")
    assert again.ref == ref


def test_slides_outside_stay_where_they_are_when_a_workspace_is_moved(at, images, tmp_path):
    ref = register(at, [item(images, "a")], name="d").ref
    moved = Workspace(tmp_path / "elsewhere")
    at.root.rename(moved.root)
    assert opened(moved, ref).file("a") == images / "a.png"


def test_nobody_may_clean_between_a_dataset_and_its_name(at, images, monkeypatch):
    refused = []

    def pointing(*_):
        with pytest.raises(WorkspaceError, match="needs it alone"):
            alone(at).__enter__()
        refused.append(True)

    monkeypatch.setattr("storage.datasets.version._point", pointing)
    register(at, [item(images, "a")], name="d")
    assert refused == [True]


def picture(folder, name, seed, **attributes):
    """Return an item whose file is an image that another seed does not draw."""
    rng = np.random.default_rng(seed)
    pixels = np.repeat(np.repeat(rng.integers(60, 250, (9, 9, 3)), 8, 0), 8, 1).astype(np.uint8)
    one = item(folder, name, **attributes)
    Image.fromarray(pixels).save(one.path)
    return replace(one, width=72, height=72)


def turned(source, folder, name, **attributes):
    one = item(folder, name, **attributes)
    Image.open(source.path).transpose(Image.Transpose.ROTATE_90).save(one.path)
    return replace(one, width=72, height=72)


def test_the_same_pixels_in_two_groups_are_a_leak_that_names_the_pair(at, images):
    first = picture(images, "a", 1)
    with pytest.raises(DataLeakError, match=r"a and c show the same pixels, in groups slide=a and"):
        register(at, [first, picture(images, "b", 2), turned(first, images, "c")], name="mine")
    assert not at.root.exists()


def test_the_same_file_twice_is_a_leak_though_it_shows_nothing(at, images):
    given = [item(images, "a"), item(images, "b")]
    given[1].path.write_bytes(given[0].path.read_bytes())
    with pytest.raises(DataLeakError, match="a and b are the same file"):
        register(at, given, name="mine")


def test_the_same_pixels_in_one_group_are_a_remark(at, images):
    first = picture(images, "a", 1, slide="s")
    summary = register(at, [first, turned(first, images, "b", slide="s")], name="mine")
    assert [pair.names for pair in summary.alike] == [("a", "b")]
    easy = opened(at, summary.ref).easy
    assert easy["a@0,0"] == easy["b@0,0"]


def test_what_is_added_is_compared_with_what_was_there_without_reading_it_again(
    at, images, monkeypatch
):
    first = picture(images, "a", 1)
    register(at, [first], name="mine")
    read = []

    def noted(item, measurer, look_at=fingerprints.look_at):
        read.append(item.path.name)
        return look_at(item, measurer)

    monkeypatch.setattr(fingerprints, "look_at", noted)
    with pytest.raises(DataLeakError, match="a and b show the same pixels"):
        register(at, [turned(first, images, "b")], name="mine", add=True)
    assert read == ["b.png"]


def test_a_pair_that_is_said_to_differ_is_believed_from_then_on(at, images):
    first = picture(images, "a", 1)
    given = [first, turned(first, images, "b")]
    register(at, given, name="mine", allow_alike=("b=a",))
    later = register(at, [picture(images, "c", 3)], name="mine", add=True)
    assert (later.accepted, later.alike) == (3, ())
    with pytest.raises(DataLeakError, match="a and d"):
        register(at, [turned(first, images, "d")], name="mine", add=True)


def test_looks_are_no_part_of_the_digest(at, images, monkeypatch):
    seen = register(at, [picture(images, "a", 1)], name="seen").ref
    monkeypatch.setattr("storage.datasets.fingerprints.look_at", lambda *_: None)
    assert register(at, [picture(images, "a", 1)], name="unseen").ref == seen


@pytest.mark.parametrize("key", ["slide", "patient", "organ", "site"])
def test_any_of_four_keys_can_keep_items_together(at, images, key):
    given = [item(images, f"i{n}", **{key: f"{key}{n % 4}"}) for n in range(12)]
    catalogue = opened(at, register(at, given, name="mine", group_by=(key,)).ref)
    places = {(one.group, one.hard_fold, one.hard_half) for one in catalogue.items}
    assert sorted(group for group, _, _ in places) == [f"{key}{n}" for n in range(4)]
    assert {fold for _, fold, _ in places} == {0, 1, 2}


def test_an_item_that_ties_two_folds_is_named_with_what_it_is_of(at, images):
    register(at, [item(images, f"i{n}", patient=f"p{n}") for n in range(3)], name="mine")
    both = item(images, "both", slide="i0", patient="p1")
    with pytest.raises(DataLeakError, match="item both is of slide=i0 and of patient=p1"):
        register(at, [both], name="mine", add=True)


def test_images_named_like_tiles_of_one_slide_are_noticed_unless_they_say_their_slide(at, images):
    tiles = ["S1_0_0", "S1_0_512", "S1_x512_y0", "T-1@0,64", "T-1@64,64", "alone_1_2", "img_7"]
    summary = register(at, [item(images, name) for name in tiles], name="mine")
    assert summary.like_tiles == {
        "S1": ("S1_0_0", "S1_0_512", "S1_x512_y0"),
        "T-1": ("T-1@0,64", "T-1@64,64"),
    }
    said = [item(images, name, slide="S1") for name in tiles[:3]]
    assert register(at, said, name="said").like_tiles == {}
