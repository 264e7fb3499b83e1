"""Small regions are worked on side by side, large ones alone."""

import threading
import time
from contextlib import suppress

from storage.arrays import SHARD_PX
from storage.labels.room import MOST_PX, room_for


class Counting:
    """Remembers how many pixels were held at most."""

    def __init__(self):
        self.lock, self.px, self.most, self.most_regions, self.n = threading.Lock(), 0, 0, 0, 0

    def work(self, shape):
        with room_for(shape):
            with self.lock:
                self.px, self.n = self.px + shape[0] * shape[1], self.n + 1
                self.most, self.most_regions = (
                    max(self.most, self.px),
                    max(self.most_regions, self.n),
                )
            time.sleep(0.01)
            with self.lock:
                self.px, self.n = self.px - shape[0] * shape[1], self.n - 1


def at_once(work, items):
    """Do work on all items at once; whoever waits for ever is an error, not a test that hangs."""
    threads = [threading.Thread(target=work, args=(item,), daemon=True) for item in items]
    for one in threads:
        one.start()
    deadline = time.monotonic() + 20
    for one in threads:
        one.join(max(0, deadline - time.monotonic()))
    assert not any(one.is_alive() for one in threads)


def test_no_more_pixels_are_held_than_a_shard_has():
    counting, shapes = Counting(), [(SHARD_PX // 2, SHARD_PX // 2 + 7), (SHARD_PX // 4, 900)] * 10
    at_once(counting.work, shapes)
    assert counting.most <= MOST_PX
    assert counting.most_regions > 1


def test_a_region_larger_than_that_is_alone_and_is_not_waited_for_for_ever():
    counting, shapes = Counting(), [(2 * SHARD_PX, 2 * SHARD_PX), (100, 100)] * 4
    at_once(counting.work, shapes)
    assert counting.most == 4 * SHARD_PX**2


def test_whoever_fails_gives_its_room_back():
    def fails(shape):
        with suppress(OSError), room_for(shape):
            raise OSError

    for _ in range(2):
        at_once(fails, [(2 * SHARD_PX, 2 * SHARD_PX)])
