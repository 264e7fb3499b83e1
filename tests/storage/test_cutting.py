"""Slides are read a little ahead of what is written, and no further."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from storage.cutting import WAITING_BLOCKS, read_ahead


def nothing():
    """Stop nothing."""


def test_everything_comes_in_its_order():
    with closing(read_ahead(range(50), nothing)) as ahead:
        assert list(ahead) == list(range(50))


def test_reading_goes_on_while_the_caller_works_but_only_so_far():
    read = []

    def things():
        for number in range(20):
            read.append(number)
            yield number

    with closing(read_ahead(things(), nothing)) as ahead:
        assert next(ahead) == 0
        deadline = time.monotonic() + 5
        while len(read) < 1 + WAITING_BLOCKS and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert read == list(range(1 + WAITING_BLOCKS))


def test_what_reading_raises_is_raised_in_its_place():
    def things():
        yield 1
        raise KeyError("gone")

    with closing(read_ahead(things(), nothing)) as ahead:
        assert next(ahead) == 1
        with pytest.raises(KeyError, match="gone"):
            next(ahead)


def test_a_caller_that_gives_up_ends_what_is_under_way():
    hangs = threading.Event()

    def things():
        yield 1
        assert hangs.wait(30)
        yield 2

    started = time.monotonic()
    with closing(read_ahead(things(), hangs.set)) as ahead:
        assert next(ahead) == 1
    assert time.monotonic() - started < 20
