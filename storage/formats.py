"""Which format each kind of artefact has on disk today, and how an older one becomes it.

To change a format: raise its number here, add the step from the old one to `MIGRATIONS`, and keep a
workspace of the old format in ``tests/data``. The ledger has its own number and steps in
`storage.ledger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.layout import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CURRENT: dict[Kind, int] = dict.fromkeys(Kind, 1)
"""What is written, and the only format that is read."""

MIGRATIONS: dict[tuple[Kind, int], Callable[[Path], None]] = {}
"""From a kind and an old format: changes a copy of an artefact's folder into the next format.

The artefact keeps its digest, which names what it says and not how that is written.
"""
