"""The screen of the one on call, where servers are away; with servers: tests/flows/test_told.py."""

import json
import socket

import pytest

import flows.cli.ops.status as screen
from flows.cli import main
from flows.cli.ops.status import _needs
from flows.dispatch import Dispatch, Dispatched, Pool
from flows.facts import facts_of
from storage.layout import Workspace
from storage.ledger import Ledger

RUN = "a" * 32
FINE = {"url": "x", "problem": "", "version": None}


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(screen, "TIGHT_BYTES", 0)  # whatever disk the tests run on


@pytest.fixture
def at(tmp_path):
    at = Workspace(tmp_path)
    Ledger(at).start_run(RUN, "weekly", {"dataset": "cells"}, 0.0)
    return at


@pytest.fixture
def closed():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://me:secret@127.0.0.1:{held.getsockname()[1]}"


def told(capsys, at, *words):
    assert main(["ops", "status", "--workspace", str(at.root), *words]) == 0
    return capsys.readouterr().out


def test_servers_that_are_away_hide_nothing_of_the_workspace(at, closed, monkeypatch, capsys):
    monkeypatch.setenv("PREFECT_API_URL", f"{closed}/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed)
    out = told(capsys, at)
    assert out.count("it cannot be reached") == 4
    assert "! Prefect: it cannot be reached" in out
    assert "pools and queue: not known while Prefect is not" in out
    assert "run aaaaaaaa weekly: stopped" in out
    assert "! run aaaaaaaa was killed: run the command that started it again" in out
    assert "secret" not in out
    said = json.loads(told(capsys, at, "--json"))
    assert "cannot be reached" in said["prefect"]["problem"]
    assert said["workspace"]["runs"][0]["state"] == "stopped"
    assert len(said["needs"]) >= 3


def test_a_workspace_without_servers_says_so_and_needs_nobody(tmp_path, capsys):
    out = told(capsys, Workspace(tmp_path))
    assert "prefect: not asked: PREFECT_API_URL is not set" in out
    assert "mlflow:  ok, embedded in the workspace" in out
    assert "last success: none yet" in out
    assert out.endswith("Nothing needs you.\n")
    assert list(tmp_path.iterdir()) == []


def test_what_needs_somebody_is_said_with_what_to_do(at):
    def one(state, pool="gpu0"):
        when = "2020-01-01T00:00:00+00:00"
        return Dispatched("f" * 32, "mine", "retrain/weekly", pool, state, when, "the disk is full")

    Ledger(at).finish_run(RUN, "failed", 2.0, message="the loss is NaN")
    pools = (Pool("gpu0", False, 1, "0", ()), Pool("cpu", True, 1, "", ("w",)))
    known = Dispatch("u", pools=pools, late=(one("Late"),), ended_badly=(one("Crashed"),))
    needs = "\n".join(_needs(facts_of(at), known, FINE))
    assert "then the retry of above, or prefect deployment run resume/by-hand --param" in needs
    assert "run aaaaaaaa failed: the loss is NaN. Mend that, then" in needs
    assert "pool cpu is paused: prefect work-pool resume cpu" in needs
    assert "no worker is there: prefect worker start --pool gpu0 --limit 1" in needs
    assert "retrain/weekly Crashed" in needs
    assert f"the disk is full; then prefect flow-run retry {'f' * 32}" in needs
    manned = (Pool("gpu0", False, 1, "0", ("w0",)), Pool("cpu", False, 1, "", ()))
    assert not list(_needs(facts_of(Workspace(at.root / "none")), Dispatch(
        "u", pools=manned, late=(one("Late"),)
    ), FINE))  # fmt: skip


def test_a_full_disk_needs_somebody(at, monkeypatch):
    monkeypatch.setattr(screen, "TIGHT_BYTES", 2**60)
    assert any("labels gc --dry-run" in one for one in _needs(facts_of(at), Dispatch(""), FINE))
