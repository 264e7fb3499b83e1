"""Which loss a network is trained with."""

from __future__ import annotations

from typing import Literal

from models.settings import Settings


class LossSettings(Settings):
    """The loss of one training."""

    name: Literal["cross_entropy_iou"] = "cross_entropy_iou"
    """`cross_entropy_iou` is Li, equations (1) to (3)."""
