"""One conversation with an MLflow server: find or make runs, log to them, nothing twice."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy.exc
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from storage.artefacts import digest_of
from storage.tracking.address import RefusedError, ServerAwayError
from storage.tracking.embedded import artefact_folder, follow_move, make
from storage.tracking.texts import tags_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow.entities import Run

    from storage.layout import Workspace
    from storage.ledger import Event

REFUSALS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
"""Codes that say that the request is wrong, as opposed to the server or its address."""

KEY = "signetflow.key"
EVENT = "signetflow.event"
METRICS_PER_BATCH = 1000
TEXTS_PER_BATCH = 100


def milliseconds(seconds: float) -> int:
    """Return a time as MLflow keeps it."""
    return round(seconds * 1000)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what MLflow, the network and the database raise into two errors of ours.

    Raises
    ------
    ServerAwayError
        If the same request may succeed later.
    RefusedError
        If it never will.
    """
    try:
        yield
    except MlflowException as error:
        if error.error_code in REFUSALS:
            raise RefusedError(f"refused ({_first_line(error)})") from error
        raise ServerAwayError(f"it failed ({_first_line(error)})") from error
    except (OSError, sqlite3.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        raise ServerAwayError(f"it failed ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class Session:
    """A server and its experiments; its methods raise what `translated` turns into ours."""

    def __init__(self, at: Workspace, uri: str) -> None:
        self.at = at
        self.embedded = uri == at.mlflow_uri
        self._experiments: dict[str, str] = {}
        if self.embedded:
            make(at)
            follow_move(at)
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def experiment(self, name: str) -> str:
        """Return the id of the experiment of a configuration's name; create it if need be."""
        title = f"signetflow/{name}"
        if title not in self._experiments:
            found = self.client.get_experiment_by_name(title)
            if found is None:
                place = artefact_folder(self.at, name) if self.embedded else None
                self._experiments[title] = self._create_experiment(title, place)
            else:
                if found.lifecycle_stage == "deleted":
                    self.client.restore_experiment(found.experiment_id)
                self._experiments[title] = found.experiment_id
        return self._experiments[title]

    def _create_experiment(self, title: str, place: str | None) -> str:
        try:
            return str(self.client.create_experiment(title, artifact_location=place))
        except MlflowException:
            # Another workspace on the same server may have been quicker.
            found = self.client.get_experiment_by_name(title)
            if found is None:
                raise
            return str(found.experiment_id)

    def find(self, experiment: str, topic: str) -> Run | None:
        """Return the run that projects a topic, if the server has one."""
        found = self.client.search_runs(
            [experiment], f"tags.`{KEY}` = '{topic}'", max_results=1, order_by=["start_time ASC"]
        )
        return found[0] if found else None

    def create(self, experiment: str, event: Event, *, name: str, tags: dict[str, Any]) -> Run:
        """Create the run that projects an event; one call, so that it never lacks its key."""
        marks = {KEY: event.topic, EVENT: digest_of(event.body)}
        return self.client.create_run(
            experiment,
            start_time=milliseconds(event.body["started"]),
            tags=tags_of(tags | marks),
            run_name=name,
        )

    def log(
        self,
        run: Run,
        *,
        metrics: list[Metric] | None = None,
        params: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
    ) -> None:
        """Log in batches as large as MLflow takes; parameters that the run has are left alone."""
        run_id, metrics = run.info.run_id, metrics or []
        fresh = [Param(k, v) for k, v in (params or {}).items() if k not in run.data.params]
        texts: list[Param | RunTag] = [*fresh, *(RunTag(k, v) for k, v in (tags or {}).items())]
        for first in range(0, len(texts), TEXTS_PER_BATCH):
            batch = texts[first : first + TEXTS_PER_BATCH]
            self.client.log_batch(
                run_id,
                params=[text for text in batch if isinstance(text, Param)],
                tags=[text for text in batch if isinstance(text, RunTag)],
            )
        for first in range(0, len(metrics), METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + METRICS_PER_BATCH])
