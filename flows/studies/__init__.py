"""Tables of papers, run anew: one file for each study, and `STUDIES` names them all.

A study says which paper's table is laid beside ours, and with which presets the arms are run. To
add one: a file with a `Study`, and its name below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.studies.table1 import TABLE1
from models.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.studies.study import Study

STUDIES: Mapping[str, Study] = {one.name: one for one in (TABLE1,)}
"""Every study by its name on the command line."""


def study_named(name: str) -> Study:
    """Return a study.

    Raises
    ------
    NotFoundError
        If there is none of that name.
    """
    if name not in STUDIES:
        known = ", ".join(STUDIES)
        raise NotFoundError(f"there is no study {name!r}; there are: {known}")
    return STUDIES[name]
