"""Blocks are worked on by several threads, in order, in bounded memory, and nothing stays open."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress

import numpy as np
import psutil
import pytest

from models.errors import ImageError, StoppedError
from storage.block_work import AHEAD_PER_THREAD, Threads, end_job, hired, slide_for
from storage.datasets.synthetic.slides import write_svs


@pytest.fixture
def threads():
    workers = Threads(2)
    yield workers
    workers.close()


def test_results_come_with_their_items_in_order_whoever_is_first(threads):
    def work(number):
        time.sleep(0.02 * (number % 3 == 0))
        return number**2

    assert list(threads.each(work, range(20))) == [(n, n**2) for n in range(20)]


def test_two_pieces_of_work_are_done_at_once(threads):
    meeting = threading.Barrier(2, timeout=20)
    assert len(list(threads.each(lambda _: meeting.wait(), range(4)))) == 4


def test_only_a_few_items_are_asked_for_ahead_of_the_results(threads):
    asked = []

    def items():
        for number in range(100):
            asked.append(number)
            yield number

    results = threads.each(lambda number: time.sleep(0.1), items())
    next(results)
    assert 1 <= len(asked) <= AHEAD_PER_THREAD * 2
    next(results)
    assert 2 <= len(asked) <= AHEAD_PER_THREAD * 2 + 1


def test_a_result_that_is_there_is_yielded_before_another_item_is_made(threads):
    made, waited_for, finished = [], threading.Event(), threading.Event()

    def items():
        yield 0
        waited_for.set()
        assert finished.wait(20)  # the second item takes long to make
        time.sleep(0.05)
        for number in range(1, 9):
            made.append(number)
            yield number

    def work(_number):
        assert waited_for.wait(20)
        finished.set()

    assert next(threads.each(work, items())) == (0, None)
    assert made == [1]


def test_a_result_that_is_nearly_there_is_waited_for_where_items_take_long_to_make(
    threads, monkeypatch
):
    monkeypatch.setattr("storage.block_work.WORTH_WAITING", 100)
    taken: list[int] = []

    def items():
        for number in range(3):
            assert taken == list(range(number))
            time.sleep(0.1)
            yield number

    for number, _ in threads.each(lambda _: time.sleep(0.05), items()):
        taken.append(number)
    assert taken == [0, 1, 2]


def test_fewer_items_are_asked_for_ahead_where_each_holds_much():
    asked = []

    def items():
        for number in range(5):
            asked.append(number)
            yield number

    workers = Threads(2, most_ahead=1)
    for number, _ in workers.each(lambda _: time.sleep(0.02), items()):
        assert len(asked) == number + 1
    workers.close()
    assert len(asked) == 5


@pytest.fixture
def svs(tmp_path):
    write_svs(tmp_path / "a.svs", np.full((600, 600, 3), 200, np.uint8))
    return tmp_path / "a.svs"


def test_a_thread_keeps_its_slide_open_until_the_job_ends(svs):
    with slide_for("one", svs, None) as first, slide_for("one", svs, None) as again:
        assert again is first
    with slide_for("two", svs, None) as other:
        assert other is not first
    with slide_for("one", svs, 0.5) as asked:
        assert asked.mpp == 0.5
    end_job("one")
    with pytest.raises(StoppedError, match="ended"), slide_for("one", svs, None):
        pass
    with slide_for("two", svs, None) as other:
        assert other.width == 600
    end_job("two")


def test_whoever_gives_up_waits_for_nobody_and_leaves_no_child(svs):
    begun = threading.Event()

    def work(number):
        begun.set()
        for _ in range(500):
            with slide_for(workers.job, svs, None) as slide:
                slide.overview(64)
            time.sleep(0.02)
        return number

    def ask():
        with suppress(ImageError, StoppedError, CancelledError, RuntimeError):
            list(workers.each(work, range(4)))

    before = psutil.Process().children()
    with hired() as workers:
        asking = threading.Thread(target=ask)
        asking.start()
        assert begun.wait(20)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    asking.join(20)
    assert psutil.Process().children() == before
