"""The decoder answers every request, whatever the file."""

from __future__ import annotations

import io
import json
import resource
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from storage.decoder import main

LIMIT = 2**31


@pytest.fixture
def ask(monkeypatch):
    """Run the program in this process, without the limit on this process' memory."""

    def run(*paths, limit=LIMIT, **request):
        out = io.BytesIO()
        asked = {"want": "pixels", "mpp": None, "timeout_s": 60, "wall_s": 60, **request}
        lines = [json.dumps({"path": str(path), **asked}) + "\n" for path in paths]
        monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        monkeypatch.setattr(sys, "argv", ["decoder", str(limit)])
        monkeypatch.setattr(sys, "stdin", lines)
        monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
        main()
        return out.getvalue()

    return run


def test_pixels_follow_a_line_with_their_size(tmp_path, ask):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    header, _, rest = ask(tmp_path / "a.png").partition(b"\n")
    assert json.loads(header) == {
        "width": 7, "height": 5, "mpp": None, "levels": [], "shape": [5, 7]
    }  # fmt: skip
    assert rest == pixels.tobytes()


def test_bad_files_are_answered_and_the_next_one_too(tmp_path, ask):
    (tmp_path / "text.png").write_text("no image")
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    Image.new("RGB", (64, 64)).save(tmp_path / "cut.bmp")
    (tmp_path / "cut.bmp").write_bytes((tmp_path / "cut.bmp").read_bytes()[:900])
    names = ["text.png", "cmyk.jpg", "cut.bmp", "gone.png"]
    lines = ask(*(tmp_path / name for name in names)).splitlines()
    reasons = [json.loads(line)["error"] for line in lines]
    for reason, expected in zip(reasons, ["no PNG", "CMYK", "damaged", "damaged"], strict=True):
        assert expected in reason


def test_an_image_beyond_the_limit_is_not_decoded(tmp_path, ask):
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    assert b"100 x 100 px need more memory" in ask(tmp_path / "a.png", limit=100_000)


def test_running_out_of_memory_is_an_answer(tmp_path, ask, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def exhausted(image):
        raise MemoryError

    monkeypatch.setattr("storage.decoder.refusal", exhausted)
    assert b"more memory than is allowed" in ask(tmp_path / "a.png")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1"])
def test_every_accepted_mode_becomes_rgb(tmp_path, ask, mode):
    Image.new("RGB", (4, 4), "white").convert(mode).save(tmp_path / "a.png")
    _, _, rest = ask(tmp_path / "a.png").partition(b"\n")
    assert rest == b"\xff" * 48
