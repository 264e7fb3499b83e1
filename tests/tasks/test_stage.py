import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.errors import SignetflowError, StoppedError, TrainingError
from models.methods.settings import StopSettings
from storage.checkpoints import save_card
from storage.datasets.splits import Part
from storage.layout import Kind, Ref, Workspace
from storage.locks import exclusive
from tasks.stage import STAGES, Run, Stage, Work, canonical, is_pending, observer, stage

ONE, TWO = Ref(Kind.LABELS, "1" * 32), Ref(Kind.LABELS, "2" * 32)


@dataclass(frozen=True)
class Recipe:
    model: str
    start: Ref | None


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def run(at):
    return Run(at, "run-1")


@dataclass
class Counted:
    """A stage that counts how often its body ran."""

    name: str = "counted"
    version: int = 1
    error: BaseException | None = None

    def __post_init__(self):
        self.runs: list[str] = []
        self.stage = Stage(self.name, self.version, Kind.CARD, self._body)

    def _body(self, work: Work, **arguments) -> Ref:
        self.runs.append(work.label)
        if self.error:
            raise self.error
        card = {name: canonical(value) for name, value in arguments.items()}
        return save_card(work.at, {"made by": self.name, **card})


def states(run):
    return [(one.label, one.state, one.message) for one in run.ledger.stages_of(run.run_id)]


ARGUMENTS = {
    "labels": ONE, "settings": StopSettings(), "recipe": Recipe("a", ONE), "n": 3,
    "parts": (Part.TRAIN, Part.TEST), "share": 0.5, "name": "x", "flag": True, "start": None,
}  # fmt: skip
OTHERS = {
    "labels": TWO, "settings": StopSettings(minimum_growth=0.5), "recipe": Recipe("a", TWO), "n": 4,
    "parts": (Part.TEST, Part.TRAIN), "share": 0.25, "name": "y", "flag": False, "start": ONE,
}  # fmt: skip


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_each_argument_changes_the_key(name):
    known = Counted().stage
    assert known.key(ARGUMENTS) != known.key(ARGUMENTS | {name: OTHERS[name]})


def test_name_and_version_change_the_key_and_order_does_not():
    key = Counted().stage.key(ARGUMENTS)
    assert Counted(name="other").stage.key(ARGUMENTS) != key
    assert Counted(version=2).stage.key(ARGUMENTS) != key
    assert Counted().stage.key(dict(reversed(ARGUMENTS.items()))) == key


def test_the_key_is_the_same_in_every_process():
    assert Counted().stage.key({"n": 3, "labels": ONE}) == "f4e06825055225a32bc6674a1ccff318"


@pytest.mark.parametrize("value", [{1, 2}, Path("a"), object(), Recipe, {"a": 1}, b"bytes"])
def test_what_differs_between_processes_is_no_argument(value):
    with pytest.raises(TypeError, match="cannot be keyed by"):
        Counted().stage.key({"value": value})


def test_a_stage_is_made_once_whatever_it_is_called_and_whoever_asks(at, run):
    counted = Counted()
    first = counted.stage(run, "first", n=1)
    assert counted.stage(run, "another name", n=1) == first
    assert counted.stage(Run(at, "run-2"), "another run", n=1) == first
    assert counted.runs == ["first"]
    assert counted.stage(run, "more", n=2) != first
    assert states(run) == [("first", "cached", ""), ("more", "completed", "")]
    assert states(Run(at, "run-2")) == [("another run", "cached", "")]


@pytest.mark.parametrize("harm", ["delete", "alter"])
def test_a_harmed_artefact_is_made_again_and_no_other(at, run, harm):
    counted = Counted()
    refs = [counted.stage(run, f"n{n}", n=n) for n in range(3)]
    path = at.path(refs[1]) / "card.json"
    path.unlink() if harm == "delete" else path.write_text("{}")
    assert [counted.stage(run, f"n{n}", n=n) for n in range(3)] == refs
    assert counted.runs == ["n0", "n1", "n2", "n1"]
    assert json.loads(path.read_text())["n"] == 1


def test_a_failed_stage_says_why_and_is_tried_again(run):
    counted = Counted(error=TrainingError("the loss is NaN at step 3"))
    with pytest.raises(TrainingError):
        counted.stage(run, "train", n=1)
    assert states(run) == [("train", "failed", "the loss is NaN at step 3")]
    counted.error = None
    counted.stage(run, "train", n=1)
    assert states(run) == [("train", "completed", "")]


def test_an_error_without_words_is_named(run):
    with pytest.raises(KeyboardInterrupt):
        Counted(error=KeyboardInterrupt()).stage(run, "train", n=1)
    assert states(run)[0][2] == "KeyboardInterrupt"


def test_unfinished_work_is_kept_by_a_failure_and_cleared_by_success(at, run):
    fails = True

    def body(work: Work, *, n: int) -> Ref:
        before = work.unfinished.load()
        work.unfinished.save({}, {"step": 1 if before is None else before[1]["step"] + 1})
        if fails:
            raise TrainingError("killed")
        found = work.unfinished.load()
        assert found is not None
        return save_card(work.at, found[1])

    known = Stage("unfinished", 1, Kind.CARD, body)
    with pytest.raises(TrainingError):
        known(run, "train", n=1)
    fails = False
    ref = known(run, "train", n=1)
    assert json.loads((at.path(ref) / "card.json").read_text()) == {"step": 2}
    assert list((at.ledger / "unfinished").iterdir()) == []


def test_two_threads_that_need_one_stage_make_it_once(at):
    inside, go_on = threading.Event(), threading.Event()
    runs: list[str] = []
    answers: dict[str, tuple[Ref, bool]] = {}

    def body(work: Work, *, n: int) -> Ref:
        runs.append(work.label)
        inside.set()
        assert go_on.wait(10)
        return save_card(work.at, {"n": n})

    known = Stage("waited for", 1, Kind.CARD, body)

    def ask(name):
        answers[name] = known.fetch(Run(at, name), name, {"n": 1})

    first = threading.Thread(target=ask, args=("first",))
    first.start()
    assert inside.wait(10)
    second = threading.Thread(target=ask, args=("second",))
    second.start()
    second.join(0.3)
    assert second.is_alive()  # it waits
    go_on.set()
    first.join(10)
    second.join(10)
    assert runs == ["first"]
    (first_ref, first_cached), (second_ref, second_cached) = answers["first"], answers["second"]
    assert (first_cached, second_cached) == (False, True)
    assert first_ref == second_ref


def test_a_stage_that_another_makes_is_waited_for_until_the_run_is_to_end(at):
    known, run = Counted().stage, Run(at, "waiting")
    failed: list[BaseException] = []

    def ask():
        try:
            known.fetch(run, "train", {"n": 1})
        except StoppedError as error:
            failed.append(error)

    with exclusive(at.ledger / "locks" / f"{known.key({'n': 1})}.lock"):
        waiting = threading.Thread(target=ask)
        waiting.start()
        until(lambda: states(run)[:1] and states(run)[0][1] == "waiting")
        assert states(run) == [("train", "waiting", f"process {os.getpid()} makes it")]
        run.stopped.set()
        waiting.join(10)
    assert len(failed) == 1
    assert states(run)[0][1] == "failed"


def test_the_wait_for_a_stage_is_over_when_its_maker_is_gone(at):
    heard = []
    token = observer.set(lambda *words: heard.append(words[1]))
    counted, run = Counted(), Run(at, "waiting")
    lock = exclusive(at.ledger / "locks" / f"{counted.stage.key({'n': 1})}.lock")
    lock.__enter__()
    gone = threading.Timer(0.3, lock.__exit__, (None, None, None))
    gone.start()
    try:
        counted.stage.fetch(run, "train", {"n": 1})
    finally:
        observer.reset(token)
    assert counted.runs == ["train"]
    assert heard == ["running", "waiting", "running", "completed"]


def until(true):
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


ASK = """
import sys, time
from pathlib import Path
from storage.checkpoints import save_card
from storage.layout import Kind, Workspace
from tasks.stage import Run, Stage

def body(work, *, n):
    with (work.at.root / "runs").open("a") as stream:
        stream.write("x")
    time.sleep(0.5)
    return save_card(work.at, {"n": n})

at = Workspace(Path(sys.argv[1]))
print(Stage("shared", 1, Kind.CARD, body).fetch(Run(at, sys.argv[2]), "label", {"n": 1}))
"""


def test_three_processes_that_need_one_stage_make_it_once(at):
    at.root.mkdir()
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, str(at.root), f"run-{n}"],
            stdout=subprocess.PIPE, text=True,
        )
        for n in range(3)
    ]  # fmt: skip
    answers = [process.communicate(timeout=60)[0] for process in asking]
    assert (at.root / "runs").read_text() == "x"
    assert sorted("False" in answer for answer in answers) == [False, False, True]


def test_a_plan_makes_nothing_and_passes_what_is_pending_on(at):
    counted = Counted()
    plan = Run(at, "run-1", planning=True)
    first = counted.stage(plan, "first", n=1)
    assert is_pending(first)
    assert is_pending(counted.stage(plan, "second", n=first))
    assert is_pending(counted.stage(plan, "third", n=(Recipe("a", first),)))
    assert counted.runs == []
    assert not at.root.exists()
    assert [(call.label, call.done, bool(call.key)) for call in plan.calls] == [
        ("first", False, True), ("second", False, False), ("third", False, False),
    ]  # fmt: skip


def test_a_plan_finds_what_is_made_and_estimates_the_rest(at, run):
    counted = Counted()
    ref = counted.stage(run, "first", n=1)
    plan = Run(at, "run-1", planning=True)
    assert counted.stage(plan, "first", n=1) == ref
    counted.stage(plan, "second", n=2)
    Counted(name="never made").stage(plan, "third", n=2)
    first, second, third = plan.calls
    assert (first.done, first.seconds) == (True, second.seconds)
    assert not second.done
    assert third.seconds != third.seconds  # NaN: nobody knows


def test_who_watches_hears_of_every_state(run):
    heard = []

    def body(work: Work, *, n: int) -> Ref:
        work.progress(2, 5)
        return save_card(work.at, {"n": n})

    token = observer.set(lambda *words: heard.append(words))
    try:
        known = Stage("watched", 1, Kind.CARD, body)
        known(run, "train", n=1)
        known(run, "train", n=1)
    finally:
        observer.reset(token)
    assert heard == [
        ("train", "running", 0, 1), ("train", "running", 2, 5), ("train", "completed", 0, 1),
        ("train", "running", 0, 1), ("train", "cached", 0, 1),
    ]  # fmt: skip


def test_a_run_that_is_to_end_stops_its_stages_at_the_next_step(run):
    def body(work: Work, *, n: int) -> Ref:
        run.stopped.set()
        work.progress(0, n)
        raise AssertionError("went on")

    with pytest.raises(StoppedError):
        Stage("stopped", 1, Kind.CARD, body)(run, "train", n=1)
    assert states(run)[0][:2] == ("train", "failed")


def test_two_stages_of_one_name_would_share_keys(monkeypatch):
    monkeypatch.setitem(STAGES, "taken", Counted().stage)
    with pytest.raises(SignetflowError, match="two stages are called 'taken'"):
        stage(name="taken", version=1, makes=Kind.CARD)(lambda work: ONE)


def test_every_stage_of_the_figure_is_known_by_its_name():
    import flows.stages  # noqa: F401  # defines them

    assert set(STAGES) >= {
        "extract", "annotate", "train", "predict", "relabel", "judge", "evaluate", "report",
    }  # fmt: skip
