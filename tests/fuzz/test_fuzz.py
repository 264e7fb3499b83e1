"""Each parser is fuzzed for a few seconds; ``SIGNETFLOW_FUZZ_SECONDS`` makes it longer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from random import Random

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.mutation import changed_bytes, changed_json, changed_xml, changed_yaml
from tests.fuzz.root import ROOT
from tests.fuzz.targets import TARGETS, Target

SECONDS = float(os.environ.get("SIGNETFLOW_FUZZ_SECONDS", "2"))
START_S = 120
"""For imports, on a busy machine."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_file_gives_a_right_result_or_an_error_of_ours(name, tmp_path):
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(SECONDS)]
    done = subprocess.run(
        [*command, "--keep", str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        timeout=START_S + 3 * SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert answer["accepted"] >= 1  # the valid files
    assert answer["cases"] > answer["seeds"]


def run(read):
    seeds = [b'{"a": [1, 2.5, "x"]}', b"<a b='1'>c</a>"]
    return fuzz(Target(lambda: seeds, changed_bytes, read), 0, 30, 60, None)


def test_any_other_exception_is_found():
    def read(data, folder):
        if b"<" not in data:
            raise KeyError("an error of python")

    found = run(read)
    assert [one["case"] for one in found.wrong] == [0]  # once, however often it happens
    assert "KeyError" in found.wrong[0]["error"]


def test_the_same_seed_gives_the_same_inputs():
    seen: list[list[bytes]] = [[], []]
    for heard in seen:
        run(lambda data, folder, heard=heard: heard.append(data))
    assert seen[0] == seen[1]
    assert len(set(seen[0])) > 40


def test_what_leads_to_something_new_is_changed_further():
    kinds = run(lambda data, folder: f"of {len(data) % 7 * 'x'}").kinds
    assert len(kinds) == 7


@pytest.mark.parametrize("mutate", [changed_bytes, changed_json, changed_xml, changed_yaml])
def test_changes_are_many_and_never_fail(mutate):
    data = b'{"a": {"b": [1, "x", null]}, "c": 1e5}\n<a b="1"><c>d</c></a>\nkey: 5\n'
    if mutate is changed_json:
        data = data.splitlines()[0]
    seen = {mutate(data, Random(seed)) for seed in range(300)}  # noqa: S311  # no secret
    assert len(seen) > 100
