"""The list of faults in `tests.faults` stays true: each can still be planted."""

import ast
from pathlib import Path

import pytest

from tests.faults.planted import FAULTS

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_at_least_twenty_and_no_two_of_one_name():
    assert len({one.name for one in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: one.name)
def test_a_fault_can_be_planted_and_its_tests_are_there(fault):
    text = (ROOT / fault.path).read_text(encoding="utf-8")
    assert text.count(fault.old) == 1, "the code has changed: change the fault with it"
    assert fault.new != fault.old
    ast.parse(text.replace(fault.old, fault.new))
    assert fault.tests
    assert [one for one in fault.tests if not (ROOT / one).is_file()] == []
