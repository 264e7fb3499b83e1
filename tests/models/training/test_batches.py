"""Reading ahead in a thread."""

import threading
import time

import pytest

from models.training.batches import ahead


def test_batches_come_in_order_and_all_of_them():
    assert list(ahead(lambda step: step * 10, 2, 9)) == [20, 30, 40, 50, 60, 70, 80]
    assert list(ahead(lambda step: step, 3, 3)) == []


def test_reading_stays_a_few_batches_ahead():
    read: list[int] = []
    batches = ahead(read.append, 0, 50)
    next(batches)
    time.sleep(0.1)  # a reader without a limit would be through by now
    assert read == [0, 1, 2, 3]
    batches.close()


def test_an_error_comes_where_its_batch_would_have_come():
    def read(step):
        if step == 5:
            raise OSError("slide gone")
        return step

    batches = ahead(read, 0, 9)
    assert [next(batches) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="slide gone"):
        next(batches)


def test_no_thread_is_left_when_the_reader_stops_early():
    batches = ahead(lambda step: step, 0, 50)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]
