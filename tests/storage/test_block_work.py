"""Blocks are worked on by several threads, in order, in bounded memory, and nothing stays open."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from contextlib import suppress

import numpy as np
import psutil
import pytest

from models.errors import SlideError, StoppedError
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

    results = threads.each(lambda number: number, items())
    next(results)
    assert len(asked) == AHEAD_PER_THREAD * 2
    next(results)
    assert len(asked) == AHEAD_PER_THREAD * 2 + 1


def test_one_work_may_feed_the_next(threads):
    halves = (half for _, pair in threads.each(lambda n: (n, n), range(30)) for half in pair)
    assert sum(result for _, result in threads.each(lambda n: n, halves)) == 2 * sum(range(30))


def test_what_work_raises_is_raised_in_its_place(threads):
    results = threads.each(lambda number: 1 // number, [1, 0, 1])
    assert next(results) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        next(results)


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
        with suppress(SlideError, StoppedError, CancelledError, RuntimeError):
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
