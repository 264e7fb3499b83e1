"""A folder full of hostile files is read as a user would, and does no harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from storage.datasets.catalogue import latest, open_catalogue
from storage.layout import Workspace
from tests.hostile.files import write_bombs, write_good, write_traps, write_unfaithful

pytestmark = pytest.mark.xdist_group("hostile_folder")
ROOT = Path(__file__).absolute().parents[2]
MOST_BYTES = 2 * 10**9
MOST_S = 240


class Memory:
    """The largest memory that a process and its children had at once, shared pages counted once."""

    def __init__(self, process):
        self.most = 0
        self._process = psutil.Process(process.pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while not self._ended.wait(0.02):
            total = 0
            for one in self._family():
                try:
                    total += one.memory_full_info().pss
                except (psutil.Error, OSError):
                    continue
            self.most = max(self.most, total)

    def _family(self):
        try:
            return [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return []

    def end(self):
        self._ended.set()
        self._thread.join()
        return self.most


def ingest(folder, at, *options):
    """Run the command; return its exit code, output, errors and memory."""
    command = [sys.executable, "-m", "flows.cli", "ingest", "slides", str(folder)]
    command += ["--role", "negative", "--name", "hostile", "--workspace", str(at.root), *options]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        memory = Memory(process)
        try:
            out, err = process.communicate(timeout=MOST_S)
        finally:
            most = memory.end()
            process.kill()
    return process.returncode, out.decode(), err.decode(), most


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("hostile") / "workspace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder, the names of good files in it and those of bad ones."""
    top = tmp_path_factory.mktemp("data")
    secret = top / "secret.png"
    here = top / "folder"
    good = write_good(here)
    secret.write_bytes((here / "good.png").read_bytes())
    bad = write_bombs(here) | write_unfaithful(here) | write_traps(here, secret)
    deep = here
    for _ in range(40):
        deep /= "deeper"
    deep.mkdir(parents=True)
    (deep / "good deep.png").write_bytes((here / "good.bmp").read_bytes()[:-1])
    return here, good, bad | {str((deep / "good deep.png").relative_to(here))}


@pytest.fixture(scope="module")
def done(folder, at):
    started = time.monotonic()
    code, out, err, most = ingest(folder[0], at, "--json")
    return code, json.loads(out), err, most, time.monotonic() - started


def test_it_ends_and_says_what_it_took(done):
    code, answer, err, _, seconds = done
    assert code == 0, err
    assert answer["accepted"] == 6
    assert seconds < MOST_S


def test_it_stays_within_its_memory(done):
    assert 0 < done[3] < MOST_BYTES


def test_all_good_files_are_taken_and_nothing_else(done, folder, at):
    items = open_catalogue(at, latest(at, "hostile")).items
    assert {one.path.name for one in items} == folder[1]


def test_a_copy_that_nobody_described_stays_with_the_original(done, at):
    assert done[1]["alike"] == [["copy", "good.png"]]
    group_of = {one.name: one.group for one in open_catalogue(at, latest(at, "hostile")).items}
    assert group_of["copy"] == group_of["good.png"] != group_of["flat"]


def test_each_bad_file_is_named_with_a_reason(done, folder):
    reasons = {one["name"]: one["reason"] for one in done[1]["refused"]}
    assert set(reasons) == folder[2]
    assert all(len(reason) > 10 for reason in reasons.values())
    assert not any("Traceback" in reason for reason in reasons.values())
    for name, part in {
        "bomb.png": "100000 x 100000 px",
        "3.5-tib.svs": "lists 1 tiles, expected",
        "one-tile.svs": "tiles of 60000 x 60000 px",
        "cmyk.jpg": "CMYK",
        "turned.tif": "orientation tag",
        "16-bit.tif": "uint16",
        "pages.tif": "3 pictures",
        "tail.png": "holds something else",
        "out.png": "leads out of",
        "pipe.svs": "pipe",
    }.items():
        assert part in reasons[name], name


def test_nothing_that_steers_a_terminal_is_printed(done, folder, tmp_path):
    """All is refused: then the error is printed, too."""
    here = tmp_path / "bad"
    here.mkdir()
    for name in folder[2]:
        if not set(name).isdisjoint("\x1b\x07\n\u202e") or "\udce9" in name:
            os.link(folder[0] / name, here / name)
    assert len(list(here.iterdir())) == 4
    code, out, err, _ = ingest(here, Workspace(tmp_path / "workspace"))
    assert code == 3
    printed = out + err
    assert not set(printed) & set("\x1b\x07\r\u202e")
    assert not any(line.startswith("error: two.png") for line in printed.splitlines())
    assert "\\x1b[31m" in printed


def test_strict_registers_nothing(folder, tmp_path):
    here = tmp_path / "two"
    here.mkdir()
    for name in ("good.png", "bomb.png"):
        os.link(folder[0] / name, here / name)
    code, out, _, _ = ingest(here, Workspace(tmp_path / "workspace"), "--json", "--strict")
    answer = json.loads(out)
    assert (code, answer["accepted"], answer["error"]["exit_code"]) == (3, 1, 3)
    assert not (tmp_path / "workspace" / "datasets" / "refs").exists()
