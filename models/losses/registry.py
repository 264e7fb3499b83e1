"""Loss functions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.losses.cross_entropy_iou import cross_entropy_iou

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from models.losses.settings import LossSettings

    Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """From logits (n, c, y, x) and classes (n, y, x) uint8 to one number."""

_LOSSES: dict[str, Loss] = {"cross_entropy_iou": cross_entropy_iou}


def loss_for(settings: LossSettings) -> Loss:
    """Return the loss function that the settings name."""
    return _LOSSES[settings.name]
