import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import DataLeakError, WrongUseError
from storage.datasets.likeness import (
    ALIKE_BITS,
    SIDE,
    Pair,
    look_of,
    require_apart,
    same_pixels,
    told_apart,
)


def tissue(seed, side=360):
    """Return something like stained tissue: nuclei of several sizes on a mottled ground."""
    rng = np.random.default_rng(seed)
    ground = cv2.resize(rng.normal(0, 1, (12, 12)), (side, side), interpolation=cv2.INTER_CUBIC)
    image = np.clip(np.array([225, 170, 205]) + 14 * ground[..., None], 0, 255).astype(np.uint8)
    for _ in range(90):
        centre = tuple(rng.integers(0, side, 2).tolist())
        cv2.circle(image, centre, int(rng.integers(4, 13)), (95, 60, 140), -1)
    return image


def as_jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.array(Image.open(stream))


def resized(image, height, width):
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def moved(image, pixels):
    return np.roll(image, (pixels, pixels), (0, 1))


TURNED = {
    f"turned {quarters}{' and mirrored' if mirror else ''}": (quarters, mirror)
    for quarters in range(4)
    for mirror in (False, True)
}
CHANGES = {
    "as jpeg": lambda image: as_jpeg(image, 40),
    "half as large": lambda image: resized(image, 180, 180),
    "squeezed": lambda image: resized(image, 360, 300),
    "brighter": lambda image: np.clip(image.astype(int) + 12, 0, 255).astype(np.uint8),
    "darker": lambda image: (image * 0.88).astype(np.uint8),
    "a pixel aside": lambda image: moved(image, 1),
}


def bits_apart(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


def pairs_of(**images):
    return same_pixels({name: look_of(image) for name, image in images.items()}, {})


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_found_however_it_was_saved(change, seed):
    assert pairs_of(a=tissue(seed), b=change(tissue(seed))) == [Pair("a", "b", same_file=False)]


@pytest.mark.parametrize(("quarters", "mirror"), TURNED.values(), ids=list(TURNED))
def test_a_turned_or_mirrored_copy_is_found(quarters, mirror):
    image = resized(tissue(5), 300, 360)
    turned = np.rot90(image[:, ::-1] if mirror else image, quarters)
    assert pairs_of(a=image, b=as_jpeg(np.ascontiguousarray(turned), 60))


def test_different_tissue_is_never_taken_for_the_same():
    looks = [look_of(tissue(seed)) for seed in range(120)]
    assert same_pixels({f"{n:03d}": look for n, look in enumerate(looks)}, {}) == []
    closest = min(bits_apart(one, other) for n, one in enumerate(looks) for other in looks[:n])
    assert closest > 2 * ALIKE_BITS


def test_half_of_an_image_is_another_image():
    assert not pairs_of(a=tissue(1), b=tissue(1)[:, :180])


@pytest.mark.parametrize("value", [0, 128, 243, 255])
def test_blank_glass_is_like_nothing(value):
    blank = np.full((200, 300, 3), value, np.uint8)
    noise = np.random.default_rng(0).normal(0, 1, blank.shape)
    assert look_of(blank) == ""
    assert not pairs_of(a=blank, b=np.clip(blank + noise, 0, 255).astype(np.uint8))


def test_the_same_file_is_found_though_there_is_nothing_to_see():
    found = same_pixels({"a": "", "b": None, "c": None}, {"b": "1f", "a": "1f", "c": "20"})
    assert found == [Pair("a", "b", same_file=True)]
    assert str(found[0]) == "a and b are the same file"


LOOKS = st.integers(0, 2 ** (SIDE * SIDE) - 1)


@given(LOOKS, st.sets(st.integers(0, SIDE * SIDE - 1), max_size=2 * ALIKE_BITS))
@settings(max_examples=60)
def test_hashes_are_alike_up_to_the_limit_and_no_further(look, flipped):
    other = look
    for bit in flipped:
        other ^= 1 << bit
    looks = {"a": f"{look:0144x}", "b": f"{other:0144x}"}
    found = [Pair("a", "b", same_file=False)] if len(flipped) <= ALIKE_BITS else []
    assert same_pixels(looks, {}) == found


@pytest.mark.parametrize(("n_bits", "alike"), [(ALIKE_BITS, 1), (ALIKE_BITS + 1, 0)])
def test_the_limit_itself_is_alike(n_bits, alike):
    look = int(look_of(tissue(4)), 16)
    other = look ^ ((1 << n_bits) - 1)
    assert len(same_pixels({"a": f"{look:0144x}", "b": f"{other:0144x}"}, {})) == alike


def test_every_pair_is_named_once_and_in_order():
    image, other = tissue(1), tissue(2)
    found = pairs_of(c=image, a=other, b=image, d=other, e=image)
    assert [pair.names for pair in found] == [("a", "d"), ("b", "c"), ("b", "e"), ("c", "e")]


def test_a_person_can_say_that_two_images_differ():
    pairs = [Pair("a=1", "b", same_file=False), Pair("b", "c", same_file=False)]
    names = {"a=1", "b", "c"}
    assert told_apart(["b=a=1"], pairs, names) == {("a=1", "b")}
    assert told_apart(["all"], pairs, names) == {("a=1", "b"), ("b", "c")}
    assert told_apart([], pairs, names) == set()


@pytest.mark.parametrize("text", ["a", "a=", "a=x", "=", "x=b"])
def test_a_pair_that_is_none_is_wrong_use(text):
    with pytest.raises(WrongUseError, match="expected the names of two items"):
        told_apart([text], [], {"a", "b"})


def test_a_leak_names_the_pair_its_groups_and_the_remedies():
    pairs = [Pair("a", "b", same_file=True), Pair("b", "c", same_file=False)]
    groups = {"a": "slide=a", "b": "slide=b", "c": "slide=b"}
    with pytest.raises(DataLeakError) as raised:
        require_apart(pairs, groups)
    message = str(raised.value)
    assert "a and b are the same file, in groups slide=a and slide=b." in message
    assert "--allow-alike a=b" in message
    assert "b and c" not in message
    assert raised.value.exit_code == 3


def test_many_leaks_are_counted():
    pairs = [Pair("a", f"b{n}", same_file=True) for n in range(9)]
    with pytest.raises(DataLeakError, match="and 4 more pairs"):
        require_apart(pairs, {"a": "x", **{f"b{n}": "y" for n in range(9)}})


def test_copies_within_one_group_are_no_leak():
    require_apart([Pair("a", "b", same_file=True)], {"a": "slide=s", "b": "slide=s"})
