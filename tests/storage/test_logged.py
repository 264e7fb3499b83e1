import contextvars
import json
import logging
import threading

import pytest

from storage.logged import JsonLines, Prefixed, about, ids


def record(message="made %s", *words, **more):
    return logging.LogRecord("tasks.stage", logging.INFO, "f", 1, message, words, None, **more)


def test_a_line_carries_run_round_and_stage_and_only_inside():
    with about(run="a" * 32), about(stage="5" * 32, label="hard 0 · a · self round 12"):
        said = json.loads(JsonLines().format(record("made %s", "it")))
        line = Prefixed("%(ids)s%(message)s").format(record("made %s", "it"))
    assert said["message"] == "made it"
    assert (said["run"], said["stage"], said["round"]) == ("a" * 32, "5" * 32, 12)
    assert (said["level"], said["logger"]) == ("info", "tasks.stage")
    assert said["time"].endswith("+00:00")
    assert line == "[run aaaaaaaa · round 12 · stage 55555555] made it"
    assert ids() == {}
    assert Prefixed("%(ids)s%(message)s").format(record("made")) == "made"


def test_a_message_of_several_lines_is_one_line_with_what_was_raised():
    one = record("a\nb \u2028 c")
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("bad\nnews")
    one.exc_info = (raised.type, raised.value, raised.tb)
    text = JsonLines().format(one)
    assert "\n" not in text
    said = json.loads(text)
    assert said["message"] == "a\nb \u2028 c"
    assert "ValueError: invalid literal" in said["error"]


def test_threads_with_the_context_carry_its_ids_and_others_do_not():
    seen = []
    with about(run="a"):
        context = contextvars.copy_context()
        with_it = threading.Thread(target=context.run, args=(lambda: seen.append(ids()),))
        without = threading.Thread(target=lambda: seen.append(ids()))
        for thread in (with_it, without):
            thread.start()
            thread.join()
    assert seen == [{"run": "a"}, {}]


@pytest.mark.parametrize("variable", [None, "f" * 36])
def test_the_flow_run_is_that_of_the_record_or_of_the_process(monkeypatch, variable):
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    if variable:
        monkeypatch.setenv("PREFECT__FLOW_RUN_ID", variable)
    assert json.loads(JsonLines().format(record())).get("flow_run_id") == variable
    one = record()
    one.flow_run_id, one.task_run_id = "of the record", "of the task"
    said = json.loads(JsonLines().format(one))
    assert (said["flow_run_id"], said["task_run_id"]) == ("of the record", "of the task")
