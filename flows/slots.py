"""Never two runs on one GPU, whatever Prefect believes of the first."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ConfigError
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOT = "SIGNETFLOW_SLOT"
"""Names what the runs of a pool share; `flows.operations` gives it to each pool."""

logger = logging.getLogger(__name__)


@contextmanager
def in_slot() -> Iterator[None]:
    """Hold the pool's slot of this host while the block runs; without a pool there is none.

    A run that is called crashed because nothing was heard of it may live on. Its place in the pool
    is free then, and the next run begins; here it waits until the first has really gone.

    Raises
    ------
    ConfigError
        If the slot has a name that cannot name a file.
    """
    name = os.environ.get(SLOT)
    if not name:
        yield
        return
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise ConfigError(f"{SLOT}={name!r}: use up to 40 letters, digits, '_' and '-'.")
    folder = Path(tempfile.gettempdir()) / f"signetflow-slots-{os.getuid()}"
    said = False

    def waiting(who: str) -> None:
        nonlocal said
        if not said:
            logger.warning("%s still holds slot %s: waiting until it has gone.", who, name)
        said = True

    with exclusive(folder / f"{name}.lock", waiting):
        yield
