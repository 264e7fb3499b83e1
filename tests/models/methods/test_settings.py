import pytest
from pydantic import ValidationError

from models.methods.settings import CooperativeSettings, SelfTrainingSettings, StopSettings


def test_the_defaults_are_the_papers():
    alone, together = SelfTrainingSettings(), CooperativeSettings()
    assert (alone.rounds, alone.threshold, alone.epochs) == (5, 0.7, 10)
    assert (together.rounds, together.threshold) == (2, 0.33)
    assert (together.first_epochs, together.epochs) == (50, 10)


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (SelfTrainingSettings, {"threshold": 7}),
        (SelfTrainingSettings, {"threshold": 0}),
        (SelfTrainingSettings, {"rounds": 0}),
        (CooperativeSettings, {"threshold": 1}),
        (CooperativeSettings, {"first_epochs": -1}),
        (StopSettings, {"smallest_cell": 1.1}),
        (StopSettings, {"largest_cell": 0.9}),
        (StopSettings, {"unknown": 1}),
    ],
)
def test_values_out_of_bounds_and_unknown_keys_are_refused(settings, values):
    with pytest.raises(ValidationError):
        settings(**values)
