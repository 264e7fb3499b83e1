from __future__ import annotations

from typing import Any

from storage.tracking.texts import NOTE_LENGTH, flat, note, numbers, row_metrics, tags_of


def test_nested_settings_become_dotted_names_and_lists_stay_whole():
    settings = {"a": {"b": 1, "c": [1, 2], "d": {}}, "e": None, "f": "x" * 900, "g/é:h": True}
    assert flat(settings) == {
        "a.b": "1",
        "a.c": "[1,2]",
        "a.d": "{}",
        "e": "null",
        "f": "x" * 500,
        "g/é_h": "true",
    }


def test_only_numbers_are_metrics():
    values = {"loss": 1, "froc": 0.5, "best": True, "arm": "self", "none": None, "a(b)": 2.0}
    assert dict(numbers(values)) == {"loss": 1.0, "froc": 0.5, "a_b_": 2.0}


def test_tags_without_a_value_are_left_out():
    assert tags_of({"seed": 0, "git": None, "labels.in": "ab"}) == {"seed": "0", "labels.in": "ab"}


def test_rows_of_one_arm_model_and_truth_are_the_steps_of_one_metric():
    row: dict[str, Any] = {"arm": "self", "model": "unet", "truth": "complete"}
    rows = [row | {"froc": 0.5}, row | {"froc": 0.6}, row | {"truth": "partial", "froc": None}]
    name = "froc.self.unet.complete"
    assert row_metrics(rows) == [(name, 0.5, 0), (name, 0.6, 1)]


def test_a_note_shows_how_the_run_ended_its_rounds_and_its_rows():
    text = note(
        {
            "state": "failed",
            "message": "disk full",
            "rows": [{"arm": "self", "froc": 0.61234567}],
            "rounds": [{"name": "a|b", "labels_in": "0" * 32, "labels_out": None, "cells": 7}],
        }
    )
    assert text.startswith("**failed** disk full\n")
    assert "|  |  |  | self |  |  | 0.6123 |" in text
    assert f"| a\\|b | {'0' * 12} |  | 7 |" in text


def test_a_note_that_is_too_long_for_a_tag_ends_after_a_whole_row():
    rounds = [{"name": f"round {n}", "labels_in": "0" * 32} for n in range(400)]
    text = note({"state": "completed", "rounds": rounds})
    assert len(text) <= NOTE_LENGTH
    *_, row, empty, last = text.split("\n")
    assert row.startswith("| round ")
    assert row.endswith("|")
    assert (empty, last) == ("", "The rest is in table.json and in the report.")
