"""Whether one region of a label version is what it says: work that may be done anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import IntegrityError, LabelContractError
from storage.artefacts import hash_file
from storage.block_work import require_seen
from storage.labels.contract import (
    require_agreement,
    require_continuation,
    require_human_pixels,
    require_human_records,
)
from storage.labels.identity import region_entry
from storage.labels.room import room_for
from storage.labels.schema import REGIONS

if TYPE_CHECKING:
    from pathlib import Path

    from storage.labels.contract import RegionLabels
    from storage.labels.region import StoredRegion
    from storage.labels.schema import RegionEntry


@dataclass(frozen=True, slots=True)
class Hashed:
    """What was found of a file."""

    sha256: str = ""
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be looked at in one region."""

    region: StoredRegion
    files: dict[str, str]
    """Names of its files that nobody hashed yet, and the sha256 that each should have."""
    decode: bool
    """Whether its pixels and records are to be looked at, should all files be intact."""
    parent: RegionEntry | None
    """The region in the version that this one grew from."""
    drawn: StoredRegion | None
    """The region in the version in which the cells of a person were read in."""
    drawn_is_asked: bool
    """Whether damage in `drawn` is told elsewhere."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found in one region."""

    files: dict[str, Hashed]
    is_decoded: bool = False
    damage: str = ""
    """A file that is not what was written, in words."""
    breach: str = ""
    """A promise that was broken, in words."""

    @property
    def is_sound(self) -> bool:
        """Return whether it was decoded and nothing is wrong with it."""
        return self.is_decoded and not (self.damage or self.breach)


def hashed(path: Path) -> Hashed:
    """Return the sha256 of a file, or why it cannot be read."""
    try:
        return Hashed(hash_file(path))
    except OSError as error:
        return Hashed(problem=error.strerror or str(error))


def look(question: Question) -> Answer:
    """Look at one region."""
    version = question.region.folder.parent
    require_seen(version)
    files = {name: hashed(version / name) for name in question.files}
    intact = all(files[name].sha256 == said for name, said in question.files.items())
    if not (question.decode and intact):
        return Answer(files)
    is_decoded, damage, breach = False, "", ""
    try:
        with room_for(question.region.classes().shape):
            labels = question.region.labels()
            is_decoded = True
            _require_sound(question, labels)
    except IntegrityError as error:
        damage = str(error).split(". ")[0]
    except LabelContractError as error:
        breach = str(error).rstrip(".")
    except (OSError, ValueError, KeyError) as error:
        breach = f"cannot be decoded ({error})"
    return Answer(files, is_decoded, damage, breach)


def _require_sound(question: Question, labels: RegionLabels) -> None:
    region_id, entry = question.region.region_id, question.region.entry
    require_agreement(region_id, labels)
    if region_entry(labels) != entry:
        raise LabelContractError(f"what it holds is not what {REGIONS} says of it")
    if question.parent is not None:
        require_continuation(region_id, labels, question.parent)
    if question.drawn is not None:
        _require_as_drawn(question, question.drawn, labels)


def _require_as_drawn(question: Question, source: StoredRegion, labels: RegionLabels) -> None:
    try:
        drawn = source.labels()
    except IntegrityError:
        if question.drawn_is_asked:
            return  # told once, of the version whose file it is
        raise
    region_id = question.region.region_id
    require_human_records(region_id, labels.records, drawn.records)
    require_human_pixels(region_id, labels, (drawn.classes, drawn.cells))
