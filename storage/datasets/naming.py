"""Names of items: as short as they can be, and different."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from unicodedata import bidirectional, category

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def unusable(file_name: str) -> str:
    """Return why a file name cannot be kept in tables and shown to people, or nothing."""
    if any(category(one) in _NO_TEXT or bidirectional(one) in _REVERSES for one in file_name):
        return (
            "its name has control characters, marks that reverse text or bytes that are no "
            "characters. Give the file another name."
        )
    return ""


_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_REVERSES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""With them a name reads as another one: of an image like a program's, for example."""


def naming(file_names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that names each of the files: by its stem, or more of its path.

    Parameters
    ----------
    file_names
        All files of a dataset, relative to its folder.
    """
    counts = Counter(one for name in set(file_names) for one in set(_candidates(name)))

    def name_of(file_name: str) -> str:
        candidates = _candidates(file_name)
        return next((one for one in candidates if counts[one] == 1), candidates[-1])

    return name_of


def _candidates(file_name: str) -> tuple[str, str, str]:
    path = PurePosixPath(file_name)
    return path.stem, _flat(path.with_suffix("") if path.suffix else path), _flat(path)


def _flat(path: PurePosixPath) -> str:
    return "_".join(part for part in path.parts if part not in {"/", ".", ".."})
