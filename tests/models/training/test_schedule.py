"""The learning rate of each step."""

import pytest

from models.training.schedule import learning_rate
from models.training.settings import TrainingSettings

ONE_CYCLE = TrainingSettings(learning_rate=1.0, schedule="one_cycle")


def test_a_constant_rate_stays():
    settings = TrainingSettings(learning_rate=0.01)
    assert {learning_rate(settings, step, 9) for step in range(9)} == {0.01}


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing():
    rates = [learning_rate(ONE_CYCLE, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert rates[15] == pytest.approx(0.52)
    assert rates[30] == pytest.approx(1.0)
    assert rates[65] == pytest.approx(0.5, abs=1e-3)
    assert rates[100] == pytest.approx(1e-4)
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)


def test_one_step_alone_has_a_rate():
    assert learning_rate(ONE_CYCLE, 0, 1) > 0
