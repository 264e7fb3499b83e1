"""Bootstrapping a real Prefect server, and undoing it."""

import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from flows.automations import BLOCK, automations
from flows.deploying import PREFECT_FILE, wanted_deployments
from flows.operations import PATIENT, Wish, _pools, bootstrap, connected, undo
from flows.server import LAUNCHER, free_port
from models.errors import OperationsError

pytestmark = pytest.mark.xdist_group("operations")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start a Prefect server of one's own and return its address."""
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    settings = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    words = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *words], env=settings, stdout=log, stderr=log
        )
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=2):  # noqa: S310
                    break
            except OSError:
                assert started.poll() is None, (home / "log").read_text()
                time.sleep(0.1)
        yield url
    finally:
        started.terminate()
        started.wait(20)


@pytest.fixture
def at_server(server, monkeypatch):
    from prefect.settings import temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", server)
    with temporary_settings({"PREFECT_API_URL": server}):
        yield
        undo()


def wish(**changes):
    retrain = {"name": "weekly", "dataset": "cells", "networks": {"a": {"family": "tiny_resnet"}}}
    return Wish(**{"retrain": retrain, "workspace": Path("/srv/signetflow"), **changes})


def done(steps):
    return {f"{step.kind} {step.name}": step.done for step in steps}


@pytest.mark.slow
@pytest.mark.server
def test_bootstrapping_twice_changes_nothing_the_second_time(at_server):
    assert set(done(bootstrap(wish())).values()) == {"created"}
    assert set(done(bootstrap(wish())).values()) == {"unchanged"}
    with connected() as client:
        pool = client.read_work_pool("gpu0")
        weekly = client.read_deployment_by_name("retrain/weekly")
    env = pool.base_job_template["variables"]["properties"]["env"]["default"]
    assert (pool.concurrency_limit, env["CUDA_VISIBLE_DEVICES"]) == (1, "0")
    assert weekly.parameters["config"] == wish().retrain
    assert weekly.parameters["workspace"] == "/srv/signetflow"
    assert weekly.entrypoint == "flows.retrain:retrain"
    assert weekly.work_pool_name == "gpu0"
    assert [one.active for one in weekly.schedules] == [False]
    assert not weekly.pull_steps


@pytest.mark.slow
@pytest.mark.server
def test_only_what_changed_is_updated_and_a_schedule_that_is_on_stays_on(at_server):
    bootstrap(wish())
    with connected() as client:
        weekly = client.read_deployment_by_name("retrain/weekly")
        client.update_deployment_schedule(weekly.id, weekly.schedules[0].id, active=True)
    said = done(bootstrap(wish(workspace=Path("/srv/other")), dry_run=True))
    steps = done(bootstrap(wish(workspace=Path("/srv/other"))))
    assert said == steps
    changed = {name for name, what in steps.items() if what != "unchanged"}
    assert changed == {"variable signetflow_workspace"} | {
        f"deployment {name}" for name in wanted_deployments()
    }
    with connected() as client:
        weekly = client.read_deployment_by_name("retrain/weekly")
    assert [one.active for one in weekly.schedules] == [True]


@pytest.mark.slow
@pytest.mark.server
def test_what_people_are_sent_is_renewed_without_naming_the_address_again(at_server):
    bootstrap(wish(webhook="http://127.0.0.1:9/x"))
    name = "signetflow: tell of alarms"
    with connected() as client:
        (alarms,) = client.read_automations_by_name(name)
        block = client.read_block_document_by_name(BLOCK, "webhook").id
        (older,) = (one for one in automations(block) if one.name == name)
        older.description = "of an older release"
        client.update_automation(alarms.id, older)
    steps = done(bootstrap(wish()))
    assert {key for key, what in steps.items() if what == "updated"} == {f"automation {name}"}
    assert done(bootstrap(wish()))[f"automation {name}"] == "unchanged"


@pytest.mark.slow
@pytest.mark.server
def test_without_a_gpu_every_deployment_goes_to_the_pool_of_the_cpu(at_server):
    bootstrap(wish(n_gpus=0))
    with connected() as client:
        assert {one.work_pool_name for one in client.read_deployments()} == {"cpu"}
    bootstrap(wish(n_gpus=1))
    with connected() as client:
        assert {one.work_pool_name for one in client.read_deployments()} == {"gpu0"}


@pytest.mark.slow
@pytest.mark.server
def test_undoing_removes_what_was_made_and_nothing_else(at_server):
    theirs = of_others()
    bootstrap(wish(webhook="http://127.0.0.1:9/x"))
    removed = done(undo())
    assert removed["pool gpu0"] == "removed"
    with connected() as client:
        assert [one.name for one in client.read_work_pools()] == ["theirs"]
        assert client.read_work_pool("theirs") == theirs
        assert client.read_deployments() == []
        assert [one.name for one in client.read_automations()] == ["theirs"]
        assert [one.name for one in client.read_variables()] == ["theirs"]
        blocks = client.read_block_documents_by_type("webhook")
        assert [one.name for one in blocks] == ["theirs"]
        client.delete_work_pool("theirs")
        client.delete_automation(client.read_automations()[0].id)
        client.delete_variable_by_name("theirs")
        client.delete_block_document(blocks[0].id)
    assert undo() == []


def of_others():
    """Make a pool, a variable, an automation and a webhook of others; return the pool."""
    from prefect.blocks.webhook import Webhook
    from prefect.client.schemas.actions import VariableCreate, WorkPoolCreate
    from prefect.events.actions import DoNothing
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    trigger = EventTrigger(expect={"x"}, posture=Posture.Reactive, threshold=1)
    Webhook(method="POST", url="http://127.0.0.1:9/theirs").save("theirs")
    with connected() as client:
        client.create_variable(VariableCreate(name="theirs", value=1))
        client.create_automation(
            AutomationCore(name="theirs", trigger=trigger, actions=[DoNothing()])
        )
        return client.create_work_pool(WorkPoolCreate(name="theirs", type="process"))


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_name_that_others_use_is_refused_before_anything_is_changed(at_server, dry_run):
    from prefect.client.schemas.actions import WorkPoolCreate

    with connected() as client:
        set_up = WorkPoolCreate(name="cpu", type="process", concurrency_limit=7)
        theirs = client.create_work_pool(set_up)
        try:
            with pytest.raises(OperationsError, match="pool cpu: made by somebody else"):
                bootstrap(wish(), dry_run=dry_run)
            assert client.read_work_pools() == [theirs]
            assert client.read_variables() == []
        finally:
            client.delete_work_pool("cpu")


@pytest.mark.slow
@pytest.mark.server
def test_a_pool_that_a_worker_made_by_itself_is_taken_over(at_server):
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with connected() as client:
        by_worker = WorkPoolCreate(name="gpu0", type="process", base_job_template=template)
        client.create_work_pool(by_worker)
        try:
            steps = done(bootstrap(wish(), dry_run=True))
        finally:
            client.delete_work_pool("gpu0")
    assert steps["pool gpu0"] == "updated"


@pytest.mark.slow
@pytest.mark.server
def test_a_dry_run_makes_nothing(at_server):
    steps = done(bootstrap(wish(webhook="http://127.0.0.1:9/x"), dry_run=True))
    assert set(steps.values()) == {"created"}
    assert len([name for name in steps if name.startswith("automation signetflow: tell")]) == 3
    with connected() as client:
        assert client.read_automations() == []
        assert client.read_work_pools() == []
        assert client.read_variables() == []


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("retrain/weekly", {"config": {"name": "x", "dataset": "d", "folds": [7]}}),
        ("retrain/weekly", {"if_busy": "perhaps"}),
        ("resume/by-hand", {"run": "no digest"}),
        ("evaluate/by-hand", {"checkpoint": "abcdef", "part": "train"}),
        ("predict/by-hand", {"checkpoint": "abcdef", "slides": "a", "output": "b", "mpp": -1}),
    ],
)
def test_a_wrong_parameter_is_refused_before_there_is_a_run(at_server, name, wrong):
    from prefect.exceptions import PrefectHTTPStatusError

    bootstrap(wish())
    with connected() as client:
        deployment = client.read_deployment_by_name(name)
        with pytest.raises(PrefectHTTPStatusError, match=r"409|422|Validation"):
            client.create_flow_run_from_deployment(deployment.id, parameters=wrong)
        assert client.read_flow_runs() == []


def test_without_an_address_there_is_nothing_to_set_up(monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(OperationsError, match="PREFECT_API_URL is not set"):
        bootstrap(wish())


def test_prefect_understands_the_file_that_is_deployed():
    import yaml
    from prefect.cli.deploy._models import PrefectYamlModel

    model = PrefectYamlModel.model_validate(yaml.safe_load(PREFECT_FILE.read_text()))
    assert {one.name for one in model.deployments} == {"weekly", "by-hand"}
    assert all(one.description and one.work_pool for one in model.deployments)


class DatabaseAway(http.server.BaseHTTPRequestHandler):
    """Answers as Prefect does without its database, and the second time as with it."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_response(500 if self.asked == 1 else 200)
        self.end_headers()
        self.wfile.write(b'"hello"')

    def log_message(self, *words):
        pass


def test_a_run_asks_again_when_the_database_of_its_server_is_away():
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.settings import temporary_settings

    for _, environment in _pools(2):
        assert environment.items() >= PATIENT.items()
    with http.server.HTTPServer(("127.0.0.1", 0), DatabaseAway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            temporary_settings(PATIENT),
            SyncPrefectClient(f"http://127.0.0.1:{server.server_port}/api") as client,
        ):
            assert client.hello().status_code == 200
        server.shutdown()
    assert DatabaseAway.asked == 2


def test_any_state_of_a_run_is_a_sign_of_life():
    # A run that ended as "Nothing new" emits an event of that name: a list of names would miss it.
    silent = automations(None)[0]
    trigger = silent.trigger.model_dump()
    assert trigger["expect"] == {"prefect.flow-run.*"}
    assert trigger["within"].total_seconds() == 90


def test_people_are_told_only_where_an_address_is_known():
    from uuid import uuid4

    told = [one.name for one in automations(uuid4())[2:]]
    assert [one.name for one in automations(None)[2:]] == []
    assert told == [
        "signetflow: tell of failures", "signetflow: tell of alarms",
        "signetflow: tell of promotions",
    ]  # fmt: skip
