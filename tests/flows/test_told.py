"""A real Prefect server with a webhook: people are told, and the screen shows what it knows."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prefect.events.schemas.automations import EventTrigger

from flows.cli import main
from flows.dispatch import look
from flows.operations import Wish, bootstrap, connected, undo
from flows.server import LAUNCHER, free_port
from storage.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.xdist_group("told")]
TOLD_S = 60
"""Within which an address must have been told."""


class Receiver(ThreadingHTTPServer):
    """Keeps what is sent to it."""

    def __init__(self):
        self.got: list[dict[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def wait_for(self, *words):
        """Return the first message in which all words stand."""
        deadline = time.monotonic() + TOLD_S
        while time.monotonic() < deadline:
            for body in list(self.got):
                if all(word in json.dumps(body) for word in words):
                    return body
            time.sleep(0.1)
        raise AssertionError(f"nobody was told of {words}: {self.got}")

    def texts(self, *words):
        """Return what people were told so far with all these words, each notice once."""
        said = [body for body in self.got if all(word in json.dumps(body) for word in words)]
        return list({body["id"]: body["text"] for body in said}.values())


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert isinstance(self.server, Receiver)
        self.server.got.append(json.loads(text))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def receiver():
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start a Prefect server of one's own and return its address."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        **os.environ, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }  # fmt: skip
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *words], env=settings, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not answers(f"{url}/health"):
            assert started.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait(20)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # ours
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def told(server, receiver):
    """Bootstrap the server with the receiver's address."""
    from prefect.settings import temporary_settings

    with pytest.MonkeyPatch.context() as patch, temporary_settings({"PREFECT_API_URL": server}):
        patch.setenv("PREFECT_API_URL", server)
        retrain = {"name": "mine", "dataset": "c", "networks": {"a": {"family": "tiny_resnet"}}}
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        bootstrap(Wish(retrain, Path("/srv/signetflow"), 1, url))
        yield receiver


def begun(client, state):
    from prefect.states import Running

    weekly = client.read_deployment_by_name("retrain/weekly")
    made = client.create_flow_run_from_deployment(weekly.id)
    client.set_flow_run_state(made.id, Running(), force=True)
    client.set_flow_run_state(made.id, state, force=True)
    return made


def later(told):
    """Wait until a run that failed after all others is told: what is not told yet never is."""
    from prefect.states import Failed

    with connected() as client:
        told.wait_for(str(begun(client, Failed(message="the last")).id))


@pytest.mark.parametrize(
    ("state", "told_to_do"),
    [
        ("Failed", "More: signetflow status. Mend that, then: "),
        ("Crashed", "Its processes or its host died. What is missing: signetflow ops status."),
    ],
)
def test_a_run_that_ends_badly_is_told_once_with_its_name_why_and_what_to_do(
    told, state, told_to_do
):
    from prefect import states

    with connected() as client:
        made = begun(client, getattr(states, state)(message="the disk is full."))
    body = told.wait_for(str(made.id), f"prefect.flow-run.{state}")
    assert body["event"] == f"prefect.flow-run.{state}"
    named = f"retrain/weekly {state} ({made.name} on pool gpu0): the disk is full. {told_to_do}"
    assert body["text"].startswith(named)
    assert f"prefect flow-run retry {made.id}" in body["text"]
    later(told)
    assert len(told.texts(str(made.id))) == 1


@pytest.mark.parametrize("name", ["Nothing new", "Skipped", "Cancelled"])
def test_an_end_that_needs_nobody_is_not_told(told, name):
    from prefect.states import Cancelled, Completed

    with connected() as client:
        made = begun(client, Cancelled() if name == "Cancelled" else Completed(name=name))
    later(told)
    assert told.texts(str(made.id)) == []


def test_a_run_that_falls_silent_is_told_once_as_crashed(told):
    from flows.automations import automations

    sooner = automations(None)[0]
    assert isinstance(sooner.trigger, EventTrigger)
    sooner.trigger.within = timedelta(seconds=10)  # Prefect takes no less
    with connected() as client:
        (known,) = client.read_automations_by_name(sooner.name)
        client.update_automation(known.id, sooner)
        made = alive(client)
    text = told.wait_for(str(made.id), "prefect.flow-run.Crashed")["text"]
    assert f"{sooner.name}: nothing was heard of it for 90 s. Its processes or its host" in text
    later(told)
    assert len(told.texts(str(made.id))) == 1


def alive(client):
    """Return a run that has begun and said once that it lives."""
    from prefect.events import Event
    from prefect.states import Running

    weekly = client.read_deployment_by_name("retrain/weekly")
    made = client.create_flow_run_from_deployment(weekly.id)
    client.set_flow_run_state(made.id, Running(), force=True)
    time.sleep(0.5)  # the heartbeat is the later of the two
    resource = {"prefect.resource.id": f"prefect.flow-run.{made.id}"}
    event = Event(event="prefect.flow-run.heartbeat", resource=resource)
    client.request("POST", "/events", json=[event.model_dump(mode="json")])
    return made


def test_a_run_that_fails_is_told_with_its_stage(told, own_ground, no_mlflow):
    from prefect import tags

    from flows.retrain import retrain
    from models.errors import InputError
    from models.geometry.settings import TileSettings

    config = own_ground.config.model_copy(update={"tiles": TileSettings(mpp=0.25)})
    with tags("signetflow"), pytest.raises(InputError, match="no pixel size"):
        retrain(config, own_ground.at.root)
    text = told.wait_for("no pixel size")["text"]
    (run,) = Ledger(own_ground.at).runs()
    assert text.startswith("retrain/by command Failed (ground): run ")
    assert f"run {run.run_id[:8]} (ground) at 'cut regions': " in text
    later(told)
    assert len(told.texts("no pixel size")) == 1


def test_a_run_of_somebody_else_is_not_told(told):
    from prefect import flow
    from prefect.states import Failed

    @flow
    def other():
        """Belong to nobody of us."""

    with connected() as client:
        theirs = client.create_flow_run(other, state=Failed(message="not ours"))
        ours = begun(client, Failed(message="ours, later"))
    told.wait_for(str(ours.id))
    assert not any(str(theirs.id) in json.dumps(body) for body in told.got)


def test_an_alarm_and_each_promotion_are_told_once(told, own_ground, no_mlflow, capsys):
    from flows.news import tell_of_round
    from flows.promotion import _ruled
    from storage.champion import stand
    from storage.checkpoints import save_card
    from storage.layout import Kind, Ref

    at, run = own_ground.at, own_ground.run
    first, second = Ref(Kind.CHECKPOINT, "e" * 32), Ref(Kind.CHECKPOINT, "f" * 32)
    alarming = save_card(at, {"alarms": ["confirmation bias: it rose"]})
    verdict = save_card(at, {"reason": "gain 0.1, 0.05 to 0.2", "promotes": True})
    stand(at, "champion", first, by="ada", reason="the first")
    for _ in range(2):
        tell_of_round(run, "nuclei", "hard fold 0 · self round 2", alarming)
        _ruled(run, second, verdict)
    words = ("--because", "marks ink", "--by", "grace", "--workspace", str(at.root))
    assert main(["models", "rollback", *words]) == 0
    capsys.readouterr()
    later(told)
    (alarm,) = told.texts("signetflow.alarm")
    assert f"ALARM in run {run.run_id[:8]} (nuclei), hard fold 0 · self round 2: conf" in alarm
    by_rule, by_hand = told.texts("signetflow.promotion", str(at.root))
    assert "from eeeeeeeeeeee to ffffffffffff by rule: gain 0.1, 0.05 to 0.2." in by_rule
    assert "from ffffffffffff to eeeeeeeeeeee by grace: marks ink." in by_hand


def test_the_screen_shows_what_runs_waits_and_ended_badly(told):
    from prefect.states import Failed, Running, Scheduled

    with connected() as client:
        begun(client, Failed(message="the loss is NaN"))
        resume = client.read_deployment_by_name("resume/by-hand")
        at_work = client.create_flow_run_from_deployment(resume.id)
        client.set_flow_run_state(at_work.id, Running(), force=True)
        predict = client.read_deployment_by_name("predict/by-hand")
        words = {"checkpoint": "abcdef", "slides": "a", "output": "b"}
        late = client.create_flow_run_from_deployment(predict.id, parameters=words)
        client.set_flow_run_state(late.id, Scheduled(name="Late"), force=True)
        tidy = client.read_deployment_by_name("tidy/weekly")
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        client.create_flow_run_from_deployment(tidy.id, state=Scheduled(scheduled_time=tomorrow))
    known = look()
    assert (known.problem, known.version is None) == ("", False)
    assert {one.name: one.gpu for one in known.pools} == {"cpu": "", "gpu0": "0"}
    assert [(one.deployment, one.pool) for one in known.running] == [("resume/by-hand", "gpu0")]
    assert [one.deployment for one in known.late] == ["predict/by-hand"]
    (ahead,) = known.waiting
    in_h = (datetime.fromisoformat(str(ahead.since)) - datetime.now(UTC)).total_seconds() / 3600
    assert (ahead.deployment, 23 < in_h < 25) == ("tidy/weekly", True)
    (bad,) = (one for one in known.ended_badly if one.deployment == "retrain/weekly")
    assert (bad.state, bad.message) == ("Failed", "the loss is NaN")
    schedules = {one.deployment: one.is_on for one in known.schedules}
    assert schedules == {"retrain/weekly": False, "tidy/weekly": False}


@pytest.mark.parametrize("wrong", [{"keep_runs": 0}, {"log_mib": "much"}, {"dry_run": 7}])
def test_a_wrong_parameter_of_retention_is_refused_before_there_is_a_run(told, wrong):
    from prefect.exceptions import PrefectHTTPStatusError

    with connected() as client:
        tidy = client.read_deployment_by_name("tidy/weekly")
        with pytest.raises(PrefectHTTPStatusError, match=r"409|422|Validation"):
            client.create_flow_run_from_deployment(tidy.id, parameters=wrong)


LOGGING_FLOW = """
import logging
from prefect import flow
from flows import logs
from storage.logged import about

@flow
def logging_flow():
    logs.set_up()
    logs.set_up()
    with about(run="a" * 32, stage="5" * 32, label="x · self round 2"):
        logging.getLogger("tasks.stage").info("made")

logging_flow()
"""


def test_lines_of_a_workers_run_are_json_and_reach_the_server_with_their_ids(told, server):
    from prefect.client.schemas.filters import LogFilter

    run_id = "0" * 8
    settings = {
        "PREFECT_API_URL": server,
        "PREFECT__FLOW_RUN_ID": run_id,
        "SIGNETFLOW_LOGS": "json",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOGGING_FLOW],
        env={**os.environ, **settings}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (made,) = (line for line in lines if line["message"] == "made")
    assert (made["run"], made["stage"], made["round"]) == ("a" * 32, "5" * 32, 2)
    assert made["flow_run_id"] == run_id
    assert any(line["logger"] == "prefect.flow_runs" for line in lines)
    with connected() as client:
        kept = [one.message for one in client.read_logs(LogFilter(), limit=200)]
    assert kept.count("[run aaaaaaaa · round 2 · stage 55555555] made") == 1


def test_undoing_removes_the_address_and_everything_that_tells(told):
    removed = {f"{one.kind} {one.name}": one.done for one in undo()}
    assert removed["webhook signetflow"] == "removed"
    told_of = [name for name in removed if name.startswith("automation signetflow: tell")]
    assert len(told_of) == 3
    with connected() as client:
        assert client.read_automations() == []
        assert client.read_block_documents_by_type("webhook") == []
