"""``signetflow ops backup`` and ``restore``: the workspace and both databases, checked by hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, note, progress, say, write_json
from flows.cli.status import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.backup import Backup
    from storage.databases import Database

WithoutDatabases = Annotated[
    bool,
    typer.Option(
        "--without-databases", help="Leave the servers' PostgreSQL databases as they are."
    ),
]


def register(verbs: typer.Typer) -> None:
    """Add the verbs."""
    verbs.command("backup")(backup)
    verbs.command("restore")(restore)


def backup(
    to: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    workspace: WorkspaceOption = None,
    *,
    without_databases: WithoutDatabases = False,
    as_json: JsonOption = False,
) -> int:
    """Copy the workspace and the databases of both servers, while runs go on.

    The databases are those of PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI
    (pg_dump), or the SQLite files in the workspace. Slides outside of the workspace, and MLflow's
    files where SIGNETFLOW_MLFLOW_ARTIFACTS puts them elsewhere, are not in it. Exit code 1:
    something was damaged already, and is named.

    Example: signetflow ops backup /backup/signetflow-2026-11-21
    """
    from flows.cli.running import workspace_at
    from storage.backup import back_up
    from storage.databases import named

    databases = {} if without_databases else named()
    with progress("backing up") as advance:
        made = back_up(workspace_at(workspace), to, databases, advance)
    _tell(made, databases, as_json=as_json)
    for line in made.harm:
        note(f"damaged in the workspace already: {line}; signetflow run --verify makes it anew")
    return 1 if made.harm else 0


def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="What ops backup wrote.")],
    workspace: WorkspaceOption = None,
    *,
    without_databases: WithoutDatabases = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup back where nothing is: no workspace, and empty databases.

    Every byte of the backup is read first; a damaged one restores nothing. The databases to fill
    are those that PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI name. Servers
    and workers are stopped meanwhile. Afterwards: signetflow labels verify --all.

    Example: signetflow ops restore /backup/signetflow-2026-11-21 --workspace /srv/signetflow
    """
    from flows.cli.running import workspace_at
    from storage.backup import read_backup
    from storage.databases import named
    from storage.restore import restore as put_back

    at, found = workspace_at(workspace), read_backup(source)
    databases = {} if without_databases else _to_fill(found, named())
    with progress("checking") as advance:
        put_back(found, at, databases, advance)
    _tell(found, databases, as_json=as_json, restored_to=at.root)


def _to_fill(found: Backup, databases: Mapping[str, Database]) -> dict[str, Database]:
    from models.errors import WrongUseError
    from storage.databases import SERVERS

    for server in found.databases:
        if server not in databases:
            raise WrongUseError(
                f"{found.path} holds {server}'s database: name an empty one with "
                f"{SERVERS[server]}, or leave it out with --without-databases."
            )
    for server in databases:
        if server not in found.databases:
            raise WrongUseError(
                f"{found.path} holds no PostgreSQL database of {server}, but {SERVERS[server]} "
                f"names one: unset it, or leave databases out with --without-databases."
            )
    return {server: databases[server] for server in found.databases}


def _tell(
    made: Backup,
    databases: Mapping[str, Database],
    *,
    as_json: bool,
    restored_to: Path | None = None,
) -> None:
    from storage.databases import SERVERS

    held = dict.fromkeys(made.sqlite, "SQLite in the workspace")
    held |= {name: str(one) for name, one in databases.items()}
    missing = [name for name in SERVERS if name not in held]
    if as_json:
        answer = {"backup": str(made.path), "created": made.created, "files": len(made.files)}
        where = str(restored_to) if restored_to else None
        more = {"bytes": made.n_bytes, "databases": held, "restored_to": where}
        more["workspace"] = made.workspace
        write_json(answer | more | {"harm": list(made.harm)})
        return
    said = f"{len(made.files)} files, {size(made.n_bytes)}"
    if restored_to:
        say(f"{restored_to}: restored from {made.created}: {said}.")
    else:
        say(f"{made.path}: {said}. Back with: signetflow ops restore {made.path}")
    for name, where in held.items():
        say(f"{name}'s database: {where}")
    for name in missing:
        say(f"{name}'s database: none; {SERVERS[name]} names no PostgreSQL, and no SQLite is here")
    if restored_to:
        _tell_what_to_do(made, held, restored_to.absolute())


def _tell_what_to_do(made: Backup, held: Mapping[str, str], now_at: Path) -> None:
    if made.workspace != str(now_at) and "prefect" in held:
        say(f"The workspace was {made.workspace}, and Prefect's deployments still send runs there.")
        say(f"Before a worker starts: signetflow ops bootstrap ... --workspace {now_at}, and")
        say("prefect flow-run cancel ID for each of prefect flow-run ls --state-type SCHEDULED")
    say(f"Now: signetflow labels verify --all --workspace {now_at}")
