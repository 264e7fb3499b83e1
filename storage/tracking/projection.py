"""What each kind of event looks like in MLflow: a parent run, a nested run, an ending.

Each function may be called again with the same event at any time, also after a crash half-way:
runs are found by their key, metrics carry the event's own times, and a run is closed last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
)
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
)

from storage.artefacts import canonical_json, digest_of, manifest_of, problems
from storage.checkpoints import CARD, WEIGHTS
from storage.layout import Kind, Ref
from storage.ledger import Event, Ledger
from storage.tracking.address import RefusedError
from storage.tracking.session import EVENT, Session, milliseconds, translated
from storage.tracking.texts import flat, key, note, numbers, row_metrics, tags_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

    from storage.layout import Workspace

STATES = {"completed": "FINISHED", "failed": "FAILED"}


class Projection:
    """The picture of a workspace's runs on one server."""

    def __init__(self, at: Workspace, uri: str) -> None:
        self._at = at
        self._parents: dict[str, Run] = {}
        with translated():
            self._session = Session(at, uri)

    def show(self, event: Event) -> None:
        """Make the server show what an event says.

        Raises
        ------
        ServerAwayError
            If the server broke; the event can be shown again later.
        RefusedError
            If the server will not have this event.
        """
        kinds = {
            "run": self._show_run, "round": self._show_round, "end": self._show_end,
            "standing": self._show_standing,
        }  # fmt: skip
        with translated():
            kinds[event.body["type"]](event)

    def _parent(self, run_id: str) -> Run:
        """Return the run of a retraining; a server that never heard of it is told first."""
        if run_id not in self._parents:
            event = _announcement(self._at, run_id)
            experiment = self._session.experiment(event.body["name"])
            found = self._session.find(experiment, event.topic)
            self._parents[run_id] = found or self._show_run(event)
        return self._parents[run_id]

    def _show_run(self, event: Event) -> Run:
        """Show a retraining as a parent run; one that exists keeps its state and its parameters."""
        body = event.body
        experiment = self._session.experiment(body["name"])
        run = self._session.find(experiment, event.topic)
        tags = {**body.get("tags", {}), "signetflow.run_id": body["run_id"]}
        if run is None:
            name = f"{body['name']} {body['run_id'][:8]}"
            run = self._session.create(experiment, event, name=name, tags=tags)
        self._session.log(run, params=flat(body["config"]), tags=tags_of(tags))
        dataset = body["dataset"]
        self._session.client.log_inputs(
            run.info.run_id, [_input(Kind.DATASET, dataset, "training")]
        )
        self._session.client.log_dict(run.info.run_id, body["config"], "config.json")
        return run

    def _show_round(self, event: Event) -> None:
        """Show a round as a nested run with its curves, its label versions and its model."""
        body = event.body
        parent = self._parent(body["run_id"])
        experiment = parent.info.experiment_id
        run = self._session.find(experiment, event.topic)
        if run and run.data.tags.get(EVENT) != digest_of(body):
            # The round was made anew and says something else: old and new curves must not mix.
            self._session.client.delete_run(run.info.run_id)
            run = None
        if run and run.info.status == "FINISHED":
            return
        model_id = None if run is None else _model_of(self._session, run)
        if run is None:
            tags = {**body.get("tags", {}), MLFLOW_PARENT_RUN_ID: parent.info.run_id}
            run = self._session.create(experiment, event, name=body["name"], tags=tags)
        labels = body.get("labels", [])
        if labels:
            inputs = [_input(Kind.LABELS, label, label["context"]) for label in labels]
            self._session.client.log_inputs(run.info.run_id, inputs)
        model_id = _project_model(self._session, run, event, model_id)
        metrics = [*_curves(body), *_results(body, model_id)]
        self._session.log(run, metrics=metrics, params=flat(body.get("params", {})))
        end = milliseconds(body["started"] + body["seconds"])
        self._session.client.set_terminated(run.info.run_id, "FINISHED", end)

    def _show_end(self, event: Event) -> None:
        """Close a retraining: nested runs, results, files, description, then the parent itself."""
        body = event.body
        parent = self._parent(body["run_id"])
        run_id, end = parent.info.run_id, milliseconds(body["finished"])
        nested = _nested_runs(self._session, parent)
        inputs = _close_nested(self._session, nested, end)
        if inputs:
            self._session.client.log_inputs(run_id, inputs)
        _upload_report(self._session, run_id, body)
        self._session.log(
            parent,
            metrics=_row_metrics(self._session, run_id, body, end),
            tags=tags_of(_ending_tags(body, _pages(parent, nested, body))),
        )
        self._session.client.set_terminated(run_id, STATES[body["state"]], end)

    def _show_standing(self, event: Event) -> None:
        """Show a champion or challenger as an alias of a registered model."""
        body, client = event.body, self._session.client
        model = _logged_model(self._session, body["checkpoint"])
        if model is None:
            raise RefusedError(f"{body['checkpoint']} was never told as the model of a round")
        name = registered_name(self._at)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name, description="Made by signetflow.")
        version = _registered_version(client, name, model)
        # Told anew in order, the last event of a name is the one that stays.
        client.set_registered_model_alias(name, body["name"], version)
        for what in ("by", "reason", "at"):
            client.set_model_version_tag(name, version, f"{body['name']}.{what}", body[what])


def registered_name(at: Workspace) -> str:
    """Return the name under which a workspace's checkpoints are registered."""
    return f"signetflow-{key(at.root.absolute().name).replace('/', '-')}"


def _logged_model(session: Session, checkpoint: str) -> LoggedModel | None:
    experiments = session.client.search_experiments(filter_string="name LIKE 'signetflow/%'")
    found = session.client.search_logged_models(
        [one.experiment_id for one in experiments],
        f"tags.`signetflow.checkpoint` = '{checkpoint}'",
        max_results=1,
    )
    return found[0] if found else None


def _registered_version(client: MlflowClient, name: str, model: LoggedModel) -> str:
    for one in client.search_model_versions(f"name = '{name}'"):
        if one.tags.get("signetflow.model_id") == model.model_id:
            return str(one.version)
    made = client.create_model_version(
        name,
        source=model.artifact_location,
        run_id=model.source_run_id,
        tags={"signetflow.model_id": model.model_id},
        model_id=model.model_id,
    )
    return str(made.version)


def _pages(parent: Run, nested: list[Run], body: dict[str, Any]) -> dict[str, str]:
    """Return where people find the page of each round, and under "" that of the lineage."""
    place = f"#/experiments/{parent.info.experiment_id}/runs"
    pages = {run.info.run_name: f"{place}/{run.info.run_id}" for run in nested}
    if body.get("report"):
        pages[""] = f"{place}/{parent.info.run_id}/artifacts/lineage.html"
    return pages


def _ending_tags(body: dict[str, Any], pages: dict[str, str]) -> dict[str, Any]:
    alarms = body.get("alarms") or []
    return {
        MLFLOW_RUN_NOTE: note(body, pages),
        "signetflow.state": body["state"],
        "signetflow.alarms": len(alarms) or None,
    }


def _announcement(at: Workspace, run_id: str) -> Event:
    topic = f"run/{run_id}"
    for event in Ledger(at).pending_events(every=True):
        if event.topic == topic:
            return event
    raise RefusedError(f"run {run_id} was never announced in the outbox")


def _input(kind: Kind, said: dict[str, Any], context: str) -> DatasetInput:
    dataset = Dataset(
        name=said["name"],
        digest=said["digest"],
        source_type="signetflow",
        source=canonical_json({"artefact": str(Ref(kind, said["digest"]))}),
        profile=canonical_json({k: v for k, v in said.items() if k not in {"name", "context"}}),
    )
    return DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, context)])


def _curves(body: dict[str, Any]) -> list[Metric]:
    history = body.get("history", [])
    total = _last_step(body) or 1
    return [
        Metric(name, value, milliseconds(body["started"] + body["seconds"] * at / total), at)
        for entry in history
        for at in [int(entry["step"])]
        for name, value in numbers(entry)
        if name != "step"
    ]


def _results(body: dict[str, Any], model_id: str | None) -> list[Metric]:
    """Return a round's final metrics, bound to its model and to the labels it learned from."""
    curves = {name for entry in body.get("history", []) for name in entry}
    trained = [label for label in body.get("labels", []) if label["context"] == "training"]
    source = trained[0] if trained else {"name": None, "digest": None}
    return [
        Metric(
            f"final.{name}" if name in curves else name,
            value,
            milliseconds(body["started"] + body["seconds"]),
            _last_step(body),
            model_id=model_id,
            dataset_name=source["name"],
            dataset_digest=source["digest"],
        )
        for name, value in numbers(body.get("metrics", {}))
    ]


def _row_metrics(session: Session, run_id: str, body: dict[str, Any], end: int) -> list[Metric]:
    """Return the results that the run does not show yet: an ending may be told again, later."""
    known = {
        (name, metric.value, metric.step)
        for name in session.client.get_run(run_id).data.metrics
        for metric in session.client.get_metric_history(run_id, name)
    }
    wanted = row_metrics(body.get("rows", []))
    return [
        Metric(name, value, end, at) for name, value, at in wanted if (name, value, at) not in known
    ]


def _last_step(body: dict[str, Any]) -> int:
    return max((int(entry["step"]) for entry in body.get("history", [])), default=0)


def _model_of(session: Session, run: Run) -> str | None:
    found = session.client.search_logged_models(
        [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'", max_results=1
    )
    return str(found[0].model_id) if found else None


def _project_model(session: Session, run: Run, event: Event, model_id: str | None) -> str | None:
    """Show a checkpoint as a model; one that was removed from the workspace is left out."""
    named = event.body.get("checkpoint")
    if not named or problems(session.at, _ref(named)):
        return model_id
    client = session.client
    if model_id is None:
        model = client.create_logged_model(
            run.info.experiment_id,
            name=event.body["slug"].translate(str.maketrans("/:.%\"'", "------")),
            source_run_id=run.info.run_id,
            tags={"signetflow.key": event.topic, "signetflow.checkpoint": named},
            model_type=str(event.body.get("tags", {}).get("model", "")),
        )
        model_id = str(model.model_id)
    for name in (WEIGHTS, CARD):
        client.log_model_artifact(model_id, str(session.at.path(_ref(named)) / name))
    outputs = run.outputs.model_outputs if run.outputs else []
    if model_id not in {output.model_id for output in outputs}:
        output = LoggedModelOutput(model_id, _last_step(event.body))
        client.log_outputs(run.info.run_id, [output])
    client.finalize_logged_model(model_id, "READY")
    return model_id


def _nested_runs(session: Session, parent: Run) -> list[Run]:
    return list(
        session.client.search_runs(
            [parent.info.experiment_id],
            f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.info.run_id}'",
            max_results=10_000,
            order_by=["start_time ASC"],
        )
    )


def _close_nested(session: Session, nested: list[Run], end: int) -> list[DatasetInput]:
    """Close nested runs that were left open; return every label version that they name."""
    inputs: dict[tuple[str, str], DatasetInput] = {}
    for run in nested:
        if run.info.status == "RUNNING":
            session.client.set_terminated(run.info.run_id, "FAILED", end)
        for entry in run.inputs.dataset_inputs if run.inputs else []:
            inputs.setdefault((entry.dataset.name, entry.dataset.digest), entry)
    return list(inputs.values())


def _upload_report(session: Session, run_id: str, body: dict[str, Any]) -> None:
    named = body.get("report")
    if named and not problems(session.at, _ref(named)):
        folder = session.at.path(_ref(named))
        for name in manifest_of(session.at, _ref(named))["files"]:
            inner, _, _ = name.rpartition("/")
            session.client.log_artifact(run_id, str(folder / name), inner or None)
    session.client.log_dict(run_id, {"rows": body.get("rows", [])}, "table.json")


def _ref(text: str) -> Ref:
    kind, _, digest = text.partition("/")
    return Ref(Kind(kind), digest)
