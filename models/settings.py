"""The base of every settings class."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, and unknown keys are errors: a typing mistake must not become a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
