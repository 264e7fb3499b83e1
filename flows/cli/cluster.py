"""The Dask cluster that a command may hand its work to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from models.errors import WrongUseError

if TYPE_CHECKING:
    from models.runtime_settings import DaskSettings

DaskOption = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Of the scheduler of a Dask cluster, such as tcp://10.0.0.5:8786: its workers do the "
        "work on regions, and see the workspace under the same path. The result is the same. "
        "Without it, threads of this process do.",
    ),
]


def cluster_at(address: str | None) -> DaskSettings | None:
    """Return the cluster of an address that was given.

    Raises
    ------
    WrongUseError
        If it is no address of a scheduler.
    """
    if address is None:
        return None
    from pydantic import ValidationError

    from models.runtime_settings import DaskSettings

    try:
        return DaskSettings(address=address)
    except ValidationError as error:
        raise WrongUseError(
            f"--dask {address}: expected the address of a scheduler, such as tcp://10.0.0.5:8786."
        ) from error
