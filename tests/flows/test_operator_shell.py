"""The shell of an operator: what root types is done as the user whose workspace it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHELL = Path(__file__).resolve().parents[2] / "deployments" / "shell.sh"


@pytest.fixture
def types(tmp_path):
    """Return a function that types a line as somebody, into a shell where commands only say so."""
    said = {
        "signetflow": 'echo "plain $*"',
        "runuser": '[ "$4" != test ] || exit 0; printf "runuser"; printf " <%s>" "$@"; echo',
        "id": 'echo "$USER_IS"',
        "stat": 'echo "$OWNER_IS"',
    }
    said["getent"] = "echo flow:x:999:997::/var/lib/flow:/usr/sbin/nologin"
    for name, line in said.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    # The shell puts the packages first where they are not yet on the path.
    ours = SHELL.parents[1] / ".venv" / "bin"

    def run(line, *, user, owner):
        done = subprocess.run(
            ["bash", "-euc", f". {SHELL}\n{line}"], capture_output=True, text=True, check=True,
            env={"PATH": f"{tmp_path}:{ours}:{os.defpath}", "USER_IS": user, "OWNER_IS": owner},
        )  # fmt: skip
        return done.stdout.strip()

    return run


def test_root_works_as_the_owner_of_the_workspace(types):
    said = types('signetflow models rollback --because "two words"', user="root", owner="flow")
    assert said == (
        "runuser <-u> <flow> <--> <env> <HOME=/var/lib/flow> <signetflow> <models> <rollback> "
        "<--because> <two words>"
    )


@pytest.mark.parametrize("line", ["ops backup /backup/a", "ops restore /backup/a"])
def test_copies_are_made_and_put_back_by_root_itself(types, line):
    assert types(f"signetflow {line}", user="root", owner="flow") == f"plain {line}"


@pytest.mark.parametrize(("user", "owner"), [("root", "root"), ("flow", "flow"), ("me", "flow")])
def test_whoever_else_types_is_who_works(types, user, owner):
    assert types("signetflow status", user=user, owner=owner) == "plain status"


def test_root_can_ask_for_the_plain_command(types):
    assert types("command signetflow status", user="root", owner="flow") == "plain status"


def test_without_a_workspace_the_command_is_the_plain_one(tmp_path):
    told = {**os.environ, "SIGNETFLOW_WORKSPACE": str(tmp_path / "none")}
    told["PATH"] = f"{Path(sys.executable).parent}:{told['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", f". {SHELL}\nsignetflow --help"], env=told, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert "Usage: signetflow" in done.stdout
