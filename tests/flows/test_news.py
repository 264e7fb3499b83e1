"""What people are told of, once each, whenever the server listens; a stand-in plays the server."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows import promotion
from flows.cli import main
from flows.news import ALARM, PROMOTION, deliver_news, tell_of_round
from flows.promotion import tell, tell_what_stands
from flows.results import weighed
from flows.server import free_port
from models.methods.settings import AlarmSettings
from storage.champion import stand
from storage.checkpoints import save_card
from storage.layout import Kind, Ref
from storage.ledger import Ledger

pytestmark = pytest.mark.usefixtures("no_mlflow")
OLD, NEW = Ref(Kind.CHECKPOINT, "a" * 32), Ref(Kind.CHECKPOINT, "b" * 32)
LABEL = "hard fold 0 seed 0 · unet · self round 2"


class Server(ThreadingHTTPServer):
    """Takes events as Prefect does."""

    daemon_threads = True

    def __init__(self):
        self.got, self.code, self.slow_s = [], 204, 0.0
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/api"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(404 if "csrf" in self.path else 200)

    def do_POST(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Server)
        time.sleep(self.server.slow_s)
        if self.server.code < 400:
            self.server.got += events
        self._answer(self.server.code)

    def _answer(self, code):
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    from prefect.settings import temporary_settings

    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("PREFECT_API_URL", made.url)
    with temporary_settings({"PREFECT_API_URL": made.url}):
        yield made
    made.shutdown()
    made.server_close()
    thread.join(10)


@pytest.fixture
def away(server, monkeypatch):
    """Name a server that is not there; `back` names the one that is."""
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    return lambda: monkeypatch.setenv("PREFECT_API_URL", server.url)


def alarming(ground, said="confirmation bias: recall fell"):
    return save_card(ground.at, {"alarms": [said] if said else []})


def promote(ground, ref, reason="better", by="ada"):
    tell(ground.at, stand(ground.at, "champion", ref, by=by, reason=reason))


def test_an_alarm_is_told_as_its_round_is_weighed_with_what_a_person_needs(own_ground, server):
    tell_of_round(own_ground.run, "nuclei", LABEL, alarming(own_ground))
    (event,) = server.got
    assert event["event"] == ALARM
    said = event["payload"]
    for words in (own_ground.run.run_id[:8], "nuclei", LABEL, "recall fell", "signetflow status",
                  "docs/operations.md", str(own_ground.at.root)):  # fmt: skip
        assert words in said["text"]
    assert (said["run"], said["round"]) == (own_ground.run.run_id, LABEL)
    assert Ledger(own_ground.at).pending_news() == ()


def test_an_alarm_is_told_once_however_often_its_run_begins_again(own_ground, server):
    card = alarming(own_ground)
    for _ in range(3):
        tell_of_round(own_ground.run, "nuclei", LABEL, card)
        deliver_news(own_ground.at)
    assert len(server.got) == 1
    other = LABEL.replace("round 2", "round 3")
    tell_of_round(own_ground.run, "nuclei", other, card)
    assert [event["payload"]["round"] for event in server.got] == [LABEL, other]


def test_a_round_without_alarm_tells_nothing(own_ground, server):
    tell_of_round(own_ground.run, "nuclei", LABEL, alarming(own_ground, ""))
    assert server.got == []


@pytest.mark.parametrize("planning", [False, True])
def test_weighing_a_round_tells_at_once_and_a_plan_tells_nothing(
    conducted, server, planning, tmp_path
):
    from dataclasses import replace

    from flows.bench import Bench

    arm = next(one for one in conducted.inputs.arms if one.arm == "self")
    always = AlarmSettings(fps_rise=0.0, fps_factor=1.0, recall_gain=1.0)
    ground = conducted.ground.copied(tmp_path)
    run = replace(ground.run, run_id=f"{planning}{time.time()}", planning=planning)
    config = ground.config.model_copy(update={"alarm": always})
    bench = Bench(run, config, arm.trial, conducted.inputs.regions, ground.annotated)
    made = weighed(bench, "a · self round 1", arm.rounds[0], arm.rounds[0])
    assert made.evidence is not None
    assert len(server.got) == (0 if planning else 1)


def test_a_promotion_says_who_why_from_what_and_to_what(own_ground, server):
    promote(own_ground, OLD, "the first")
    promote(own_ground, NEW, "fewer misses on 40 slides")
    assert deliver_news(own_ground.at) == ""
    first, second = server.got
    assert {first["event"], second["event"]} == {PROMOTION}
    said = second["payload"]
    assert (first["payload"]["from"], said["from"]) == (None, OLD.digest)
    assert (said["to"], said["by"]) == (NEW.digest, "ada")
    for words in ("from aaaaaaaaaaaa to bbbbbbbbbbbb", "ada", "fewer misses on 40 slides",
                  "signetflow models rollback"):  # fmt: skip
        assert words in said["text"]


def test_a_challenger_is_no_news(own_ground, server):
    tell(own_ground.at, stand(own_ground.at, "challenger", NEW, by="rule", reason="x"))
    deliver_news(own_ground.at)
    assert server.got == []


def test_what_was_made_champion_just_before_a_kill_is_told_by_the_next_run(own_ground, server):
    stand(own_ground.at, "champion", NEW, by="rule", reason="gain")
    for _ in range(2):
        tell_what_stands(own_ground.at)
        deliver_news(own_ground.at)
    assert len(server.got) == 1
    assert [event.body["name"] for event in Ledger(own_ground.at).pending_events()] == ["champion"]


def test_a_champion_of_old_is_not_told_when_a_server_is_named_at_last(
    own_ground, server, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.delenv("PREFECT_API_URL")
        promote(own_ground, OLD)
        tell_of_round(own_ground.run, "nuclei", LABEL, alarming(own_ground))
    tell_what_stands(own_ground.at)
    assert deliver_news(own_ground.at) == ""
    assert server.got == []


def test_the_server_that_a_command_starts_for_itself_is_told_nothing(
    own_ground, server, monkeypatch
):
    monkeypatch.setattr("flows.server._own", {server.url})
    promote(own_ground, OLD)
    assert deliver_news(own_ground.at) == ""
    assert Ledger(own_ground.at).pending_news() == ()
    assert server.got == []


def test_a_server_that_is_away_is_told_later_and_once(own_ground, server, away):
    promote(own_ground, OLD)
    problem = deliver_news(own_ground.at)
    assert "cannot be reached" in problem
    assert "1 notice waits in the workspace" in problem
    assert "signetflow track deliver" in problem
    tell_of_round(own_ground.run, "nuclei", LABEL, alarming(own_ground))
    assert "2 notices wait" in deliver_news(own_ground.at)
    away()
    assert deliver_news(own_ground.at) == ""
    deliver_news(own_ground.at)
    assert [event["event"] for event in server.got] == [PROMOTION, ALARM]


def test_a_server_that_refuses_or_hangs_costs_seconds_and_loses_nothing(
    own_ground, server, monkeypatch
):
    promote(own_ground, OLD)
    server.code = 500
    assert "it did not take a notice" in deliver_news(own_ground.at)
    server.code, server.slow_s = 204, 1.0
    monkeypatch.setattr("flows.news.ANSWER_S", 0.2)
    began = time.monotonic()
    assert "it did not take a notice" in deliver_news(own_ground.at)
    assert time.monotonic() - began < 5
    assert len(Ledger(own_ground.at).pending_news()) == 1


def test_a_notice_that_may_have_arrived_goes_again_under_the_same_id(
    own_ground, server, monkeypatch
):
    promote(own_ground, OLD)

    class Killed(BaseException):
        pass

    def kill(*_words):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "mark_delivered", kill)
        with pytest.raises(Killed):
            deliver_news(own_ground.at)
    deliver_news(own_ground.at)
    first, second = server.got
    assert first["id"] == second["id"]


def test_a_person_who_promotes_and_rolls_back_is_told_of(conducted, server, tmp_path, capsys):
    ground = conducted.ground.copied(tmp_path)
    first, second = (str(arm.best.checkpoint.digest) for arm in conducted.inputs.arms[:2])
    words = ("--by", "ada", "--workspace", str(ground.at.root))
    assert main(["models", "promote", first, "--because", "the first", *words]) == 0
    assert main(["models", "promote", second, "--because", "better", *words]) == 0
    assert main(["models", "rollback", "--because", "marks ink", *words]) == 0
    said = [event["payload"] for event in server.got]
    assert [(one["from"], one["to"], one["by"], one["reason"]) for one in said] == [
        (None, first, "ada", "the first"),
        (first, second, "ada", "better"),
        (second, first, "ada", "marks ink"),
    ]
    capsys.readouterr()


def test_promoting_while_the_server_is_away_works_and_says_that_nobody_was_told(
    conducted, server, away, tmp_path, capsys
):
    ground = conducted.ground.copied(tmp_path)
    chosen = str(conducted.inputs.arms[0].best.checkpoint.digest)
    words = ("--because", "x", "--workspace", str(ground.at.root))
    assert main(["models", "promote", chosen, *words]) == 0
    assert "1 notice waits in the workspace" in capsys.readouterr().out
    assert main(["status", "--json", "--workspace", str(ground.at.root)]) == 0
    assert json.loads(capsys.readouterr().out)["news_waiting"] == 1
    assert main(["models", "promote", chosen, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["news_waiting"] == 1
    assert main(["track", "deliver", "--workspace", str(ground.at.root)]) == 1
    away()
    main(["track", "deliver", "--workspace", str(ground.at.root)])
    assert [event["payload"]["to"] for event in server.got] == [chosen]


def test_the_rule_is_told_of_at_once(own_ground, server):
    card = save_card(own_ground.at, {"reason": "gain 0.1, 0.05 to 0.2", "promotes": True})
    promotion._ruled(own_ground.run, NEW, card)
    promotion._ruled(own_ground.run, NEW, card)
    (event,) = server.got
    assert "by rule: gain 0.1" in event["payload"]["text"]
