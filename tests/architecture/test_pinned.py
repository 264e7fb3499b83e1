"""The pinned packages fit each other, and the lock says nothing of the machine that made it."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip()]


def test_the_operators_of_torchvision_fit_torch():
    # A CPU-only torch with the registry's torchvision fails here, and with it smp and timm.
    import torch
    from torchvision.ops import nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    assert nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5).tolist() == [1, 2]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_everything_and_names_no_address(name):
    assert "://" not in (ROOT / name).read_text()
    assert [str(one) for one in pins(name) if not str(one.specifier).startswith("==")] == []


def test_what_only_some_machines_need_is_left_to_torch():
    foreign = re.compile(r"nvidia|cuda|triton")
    assert [one.name for one in pins("requirements.txt") if foreign.match(one.name)] == []


def test_the_lock_satisfies_every_floor_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        wanted = Requirement(text)
        pinned = [one for one in pins("requirements.txt") if _name(one) == _name(wanted)]
        assert pinned, f"{wanted.name} is not pinned: remake the lock"
        for one in pinned:
            (exact,) = one.specifier
            assert wanted.specifier.contains(exact.version), str(one)


def _name(requirement):
    return re.sub(r"[-_.]+", "-", requirement.name).lower()


def test_every_python_gets_the_same_versions():
    # Otherwise what was tested on one Python says nothing of the other.
    def chosen(python):
        environment = {"python_version": python, "python_full_version": f"{python}.9"}
        every = [one for name in LOCKS for one in pins(name)]
        here = [one for one in every if not one.marker or one.marker.evaluate(environment)]
        return {one.name: str(one.specifier) for one in here}

    assert chosen("3.11") == chosen("3.12")


def test_what_is_installed_is_what_is_pinned():
    chosen = [
        one for name in LOCKS for one in pins(name) if not one.marker or one.marker.evaluate()
    ]
    differing = {
        one.name: version(one.name)
        for one in chosen
        if not one.specifier.contains(Version(version(one.name)), prereleases=True)
    }
    assert differing == {}


def test_no_lock_that_records_addresses_is_committed():
    listed = subprocess.run(
        ["git", "ls-files", "*uv.lock", "*pylock*.toml", "*package-lock.json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert listed.stdout == ""
