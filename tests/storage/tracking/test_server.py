"""A real MLflow server on loopback that is late, is killed, and comes back."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from flows.server import free_port
from storage.tracking.outbox import Delivery, deliver

pytestmark = [pytest.mark.xdist_group("mlflow"), pytest.mark.slow, pytest.mark.server]


def test_a_server_that_is_late_and_then_killed_ends_with_everything_once(
    story, tmp_path, checkpoint, mlflow_server
):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    story.post(story.announced(), story.round(checkpoint=str(checkpoint)))
    assert deliver(story.at, uri=uri).waiting == 2

    with mlflow_server(tmp_path, port):
        assert deliver(story.at, uri=uri) == Delivery(2, 0, "")
    story.post(story.round("self-2"), story.end())
    assert deliver(story.at, uri=uri).waiting == 2

    with mlflow_server(tmp_path, port):
        assert deliver(story.at, uri=uri) == Delivery(2, 0, "")
        assert deliver(story.at, uri=uri, every=True) == Delivery(4, 0, "")
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("signetflow/demo")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])
        assert {run.info.status for run in runs} == {"FINISHED"}
        parent, *nested = sorted(runs, key=lambda run: "mlflow.parentRunId" in run.data.tags)
        assert sorted(run.info.run_name for run in nested) == ["self 1", "self 2"]
        for run in nested:
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            points = client.get_metric_history(run.info.run_id, "loss")
            assert [point.step for point in points] == [10, 20]
        (model,) = client.search_logged_models([experiment.experiment_id])
        files = {file.path for file in client.list_logged_model_artifacts(model.model_id)}
        assert files == {"weights.safetensors", "card.json"}
        table = {file.path for file in client.list_artifacts(parent.info.run_id)}
        assert table == {"config.json", "table.json"}
