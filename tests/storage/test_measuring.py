"""Many files are measured at once, in order, and one that needs more memory alone."""

from __future__ import annotations

import threading
import time

import numpy as np
import psutil
import pytest
from PIL import Image

from models.errors import ImageError
from storage.images import ImageDecoder, Measured, OutOfMemoryError
from storage.measuring import WAITING_PER_CHILD, Measurer, n_cores


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02}.png")
    return sorted(tmp_path.iterdir())


def test_results_come_in_the_order_of_the_files_from_all_children(images):
    with Measurer(2) as measurer:
        found = list(measurer.ahead(images, measurer.measure))
        assert [path for path, _ in found] == images
        assert [outcome.result().height for _, outcome in found] == list(range(20, 32))
        assert sum(one._process._child is not None for one in measurer._decoders) == 2


def test_a_refused_file_is_the_result_of_that_file_alone(images):
    images[3].write_bytes(b"no image")
    with Measurer(2) as measurer:
        outcomes = [outcome for _, outcome in measurer.ahead(images, measurer.measure)]
        with pytest.raises(ImageError, match=r"03\.png: it is no PNG"):
            outcomes[3].result()
        assert [outcome.result().height for outcome in outcomes[4:]] == list(range(24, 32))


def test_files_are_asked_for_a_little_ahead_and_not_all_at_once(images):
    asked = []

    def paths():
        for path in images * 10:
            asked.append(path)
            yield path

    with Measurer(2) as measurer:
        results = measurer.ahead(paths(), measurer.measure)
        next(results)
        assert len(asked) == 1 + 2 * WAITING_PER_CHILD


def test_a_file_that_needs_more_memory_is_measured_alone_with_all_of_it(images, monkeypatch):
    busy, alone = set(), []
    lock = threading.Lock()
    measure = ImageDecoder.measure

    def watched(self, path, mpp=None, **how):
        with lock:
            busy.add(self)
        try:
            if self._process.limit_mb < 1280:
                if path == images[4]:
                    raise OutOfMemoryError("too large")
                time.sleep(0.01)
            else:
                alone.append(len(busy))
            return measure(self, path, mpp, **how)
        finally:
            with lock:
                busy.discard(self)

    monkeypatch.setattr(ImageDecoder, "measure", watched)
    with Measurer(3) as measurer:
        found = [outcome.result() for _, outcome in measurer.ahead(images, measurer.measure)]
    assert [one.height for one in found] == list(range(20, 32))
    assert alone == [1]


def test_what_is_too_large_for_one_child_among_many_is_read_by_the_large_one(tmp_path):
    Image.new("RGB", (6000, 6000)).save(tmp_path / "a.png", compress_level=1)
    with Measurer(10) as measurer:
        assert measurer.measure(tmp_path / "a.png") == Measured(6000, 6000, None, ())


def test_children_end_with_the_work_even_if_it_was_given_up(images):
    with Measurer(2) as measurer:
        _, first = next(measurer.ahead(images, measurer.measure))
        first.result()
        started = [one._process._child for one in measurer._decoders]
        children = [psutil.Process(one.pid) for one in started if one is not None]
        assert children
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_children_start_before_there_is_work():
    with Measurer(2) as measurer:
        assert all(one._process._child is not None for one in measurer._decoders)


def test_there_is_a_core_to_work_on():
    assert n_cores() >= 1
