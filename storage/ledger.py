"""The one cache: which stage made what, which run asked for it, and what tracking must still hear.

A single SQLite file in the workspace, with one flock per stage key beside it. A lock dies with its
process, so nothing a killed run held can block the next one.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from models.errors import WorkspaceError
from storage.artefacts import canonical_json, problems
from storage.layout import CARD, WITH_CARD, Kind, Ref, Workspace
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE stages (
    key TEXT PRIMARY KEY, name TEXT NOT NULL, label TEXT NOT NULL, arguments TEXT NOT NULL,
    kind TEXT NOT NULL, digest TEXT NOT NULL, started REAL NOT NULL, seconds REAL NOT NULL
) STRICT;
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, name TEXT NOT NULL, config TEXT NOT NULL, state TEXT NOT NULL,
    started REAL NOT NULL, finished REAL, result TEXT, message TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE run_stages (
    run_id TEXT NOT NULL, ordinal INTEGER NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL,
    key TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', PRIMARY KEY (run_id, key)
) STRICT;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL UNIQUE, body TEXT NOT NULL, delivered REAL
) STRICT;
"""
MIGRATIONS: dict[int, str] = {}
"""From an old format: the SQL that leads to the next."""
NEWS = "news/"
"""How the topics begin that are for people, by way of the Prefect server; the others are for
MLflow."""


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One finished stage."""

    key: str
    name: str
    label: str
    ref: Ref
    started: float
    """Seconds since the epoch."""
    seconds: float


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a configuration: what was asked, how it stands."""

    run_id: str
    name: str
    config: dict[str, Any]
    state: str
    """running, completed or failed; a run that was killed still says running."""
    started: float
    finished: float | None
    result: Ref | None
    message: str


@dataclass(frozen=True, slots=True)
class RunStage:
    """How one stage stands in one run."""

    label: str
    state: str
    """running, waiting (for a run that makes it just now), completed, cached or failed."""
    key: str
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a server should hear of."""

    topic: str
    """Unique: the same topic again replaces what was to be said."""
    body: dict[str, Any]


class Ledger:
    """The ledger of one workspace; each call opens and closes its own connection.

    Raises
    ------
    WorkspaceError
        If the file was written by a newer signetflow or the disk refuses.
    """

    def __init__(self, at: Workspace) -> None:
        self.at = at
        self.path = at.ledger / "ledger.db"

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened() as connection:
            self._prepare(connection)
            with connection:
                yield connection

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise WorkspaceError(
                f"{self.path}: the ledger refused ({error}). Check free space and permissions, "
                f"then run the same command again. If the file is damaged, move it away: stages "
                f"are then done again, and what comes out as before takes no more room."
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        version = self._version(connection)
        if version == SCHEMA_VERSION:
            return
        if version:
            raise WorkspaceError(
                f"{self.path}: ledger format {version}, this signetflow reads {SCHEMA_VERSION}. "
                f"Bring it there once, while nothing runs: "
                f"signetflow migrate --workspace {self.at.root}"
            )
        connection.execute("PRAGMA journal_mode=WAL")
        with exclusive(self.path.parent / "schema.lock"):
            if self._version(connection) == 0:
                connection.executescript(
                    f"BEGIN;{SCHEMA}PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
                )

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the file's format, 0 if it is new."""
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise WorkspaceError(
                f"{self.path}: ledger format {version}, this signetflow reads {SCHEMA_VERSION}. "
                f"Use the newer signetflow that wrote it."
            )
        return version

    def is_outdated(self) -> bool:
        """Return whether an older signetflow wrote the file and none has migrated it since."""
        if not self.path.exists():
            return False
        with self._opened() as connection:
            return 0 < self._version(connection) < SCHEMA_VERSION

    def migrate(self) -> None:
        """Bring the file to today's format, step by step; each step happens whole or not at all."""
        while self.is_outdated():
            with self._opened() as connection:
                version = self._version(connection)
                connection.executescript(
                    f"BEGIN;{MIGRATIONS[version]};PRAGMA user_version={version + 1};COMMIT;"
                )

    def find(self, key: str) -> StageRecord | None:
        """Return a finished stage whose artefact can still be trusted, or None."""
        record, harm = self.look(key)
        return None if harm else record

    def look(self, key: str) -> tuple[StageRecord | None, str]:
        """Return a finished stage, and what is wrong with its artefact; empty if nothing is."""
        record = self.recorded(key)
        if record is None:
            return None, ""
        found = problems(self.at, record.ref)
        if record.ref.kind in WITH_CARD:  # it is small, and a run goes where it says: always hashed
            found += problems(self.at, record.ref, only=CARD, thorough=True)
        return record, f"{record.ref}: {found[0]}" if found else ""

    def recorded(self, key: str) -> StageRecord | None:
        """Return a finished stage whether or not its artefact still exists."""
        if not self.path.exists():
            return None
        with self._connection() as connection:
            row = connection.execute(
                "SELECT key, name, label, kind, digest, started, seconds FROM stages WHERE key = ?",
                (key,),
            ).fetchone()
        if row is None:
            return None
        return StageRecord(row[0], row[1], row[2], Ref(Kind(row[3]), row[4]), row[5], row[6])

    def made(self, ref: Ref) -> StageRecord | None:
        """Return the stage that made an artefact; the latest if several gave the same."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT key, name, label, started, seconds FROM stages "
                "WHERE kind = ? AND digest = ? ORDER BY started DESC",
                (ref.kind.value, ref.digest),
            ).fetchone()
        return StageRecord(row[0], row[1], row[2], ref, row[3], row[4]) if row else None

    def arguments(self, key: str) -> dict[str, Any]:
        """Return the arguments of a finished stage as JSON; empty if it is not known."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT arguments FROM stages WHERE key = ?", (key,)
            ).fetchone()
        known: dict[str, Any] = json.loads(row[0]) if row else {}
        return known

    def record(self, stage: StageRecord, arguments: dict[str, Any]) -> None:
        """Write down a finished stage."""
        with self._connection() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO stages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    stage.key, stage.name, stage.label, canonical_json(arguments),
                    stage.ref.kind.value, stage.ref.digest, stage.started, stage.seconds,
                ),
            )  # fmt: skip

    def typical_seconds(self) -> dict[str, float]:
        """Return the mean time of each stage, by its name, for estimates."""
        if not self.path.exists():
            return {}
        with self._connection() as connection:
            rows = connection.execute("SELECT name, AVG(seconds) FROM stages GROUP BY name")
            return dict(rows.fetchall())

    def start_run(self, run_id: str, name: str, config: dict[str, Any], now: float) -> None:
        """Write down that a run begins, or begins again; the first start is kept."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO runs (run_id, name, config, state, started) "
                "VALUES (?, ?, ?, 'running', ?) ON CONFLICT (run_id) "
                "DO UPDATE SET state = 'running', message = '', finished = NULL",
                (run_id, name, canonical_json(config), now),
            )

    def finish_run(
        self, run_id: str, state: str, now: float, *, result: Ref | None = None, message: str = ""
    ) -> None:
        """Write down how a run ended."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE runs SET state = ?, finished = ?, result = ?, message = ? WHERE run_id = ?",
                (state, now, str(result) if result else None, message, run_id),
            )

    def runs(self) -> tuple[RunRecord, ...]:
        """Return all runs, the latest first."""
        if not self.path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT run_id, name, config, state, started, finished, result, message "
                "FROM runs ORDER BY started DESC"
            ).fetchall()
        return tuple(
            RunRecord(r[0], r[1], json.loads(r[2]), r[3], r[4], r[5], _ref(r[6]), r[7])
            for r in rows
        )

    def note_stage(self, run_id: str, stage: RunStage) -> None:
        """Write down how a stage of a run stands."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO run_stages (run_id, ordinal, label, state, key, message) VALUES "
                "(:run_id, (SELECT COUNT(*) FROM run_stages WHERE run_id = :run_id), "
                ":label, :state, :key, :message) "
                "ON CONFLICT (run_id, key) DO UPDATE SET state = :state, message = :message",
                {"run_id": run_id, **asdict(stage)},
            )

    def stages_of(self, run_id: str) -> tuple[RunStage, ...]:
        """Return the stages that a run has met, in the order in which it met them."""
        if not self.path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT label, state, key, message FROM run_stages WHERE run_id = ? "
                "ORDER BY ordinal",
                (run_id,),
            ).fetchall()
        return tuple(RunStage(*row) for row in rows)

    def post_once(self, *events: Event) -> None:
        """Put events into the outbox together, unless there ever was one of the first's topic."""
        rows = [(event.topic, canonical_json(event.body)) for event in events]
        put = "INSERT OR IGNORE INTO outbox (topic, body) VALUES (?, ?)"
        with self._connection() as connection:
            if connection.execute(put, rows[0]).rowcount:
                connection.executemany(put, rows[1:])

    def post(self, event: Event) -> None:
        """Put an event into the outbox; an equal one that was delivered stays delivered."""
        body = canonical_json(event.body)
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO outbox (topic, body) VALUES (:topic, :body) ON CONFLICT (topic) "
                "DO UPDATE SET body = :body, delivered = NULL WHERE body <> :body",
                {"topic": event.topic, "body": body},
            )

    def pending_events(self, *, every: bool = False) -> tuple[Event, ...]:
        """Return what MLflow has not been told, or all that it is told, in order of posting."""
        chosen = "topic NOT GLOB ?" + ("" if every else " AND delivered IS NULL")
        return self._events(chosen)

    def pending_news(self) -> tuple[Event, ...]:
        """Return what people have not been told, in order of posting."""
        return self._events("topic GLOB ? AND delivered IS NULL")

    def _events(self, chosen: str) -> tuple[Event, ...]:
        if not self.path.exists():
            return ()
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT topic, body FROM outbox WHERE {chosen} ORDER BY id",  # noqa: S608  # constants
                (f"{NEWS}*",),
            ).fetchall()
        return tuple(Event(topic, json.loads(body)) for topic, body in rows)

    def mark_delivered(self, event: Event, now: float) -> None:
        """Write down that a server heard an event, unless it was replaced meanwhile."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE outbox SET delivered = ? WHERE topic = ? AND body = ?",
                (now, event.topic, canonical_json(event.body)),
            )


def _ref(text: str | None) -> Ref | None:
    if not text:
        return None
    kind, digest = text.split("/")
    return Ref(Kind(kind), digest)
