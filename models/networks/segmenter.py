"""What every network looks like from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from models.networks.settings import Head

N_CHANNELS: dict[Head, int] = {"softmax3": 3, "sigmoid2": 2}
"""Logits per pixel."""

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Segmenter(nn.Module):
    """A network body with its normalisation, for images of any size.

    Parameters
    ----------
    body : nn.Module
        From normalised images (n, 3, y, x), sides multiples of `stride`, to logits of that size.
    head : str
        How logits become probabilities: `softmax3` or `sigmoid2`.
    stride : int
        Images are padded to multiples of this and the logits cut back.
    border_px : int
        How far from an image's border the body's output shows that nothing lies beyond:
        convolutions see zeros there. Prediction gives no weight to such pixels of a window.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, body: nn.Module, head: Head, stride: int, border_px: int = 0) -> None:
        super().__init__()
        self.body = body
        self.head: Head = head
        self.stride = stride
        self.border_px = border_px
        # ImageNet's colours in RGB order, what pretrained encoders expect
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(_DEVIATION).reshape(1, 3, 1, 1), persistent=False
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 2 or 3, y, x) of RGB images (n, 3, y, x), float in 0 to 1."""
        height, width = images.shape[-2:]
        x = (images - self.mean) / self.deviation
        below, right = -height % self.stride, -width % self.stride
        if below or right:
            x = nn.functional.pad(x, (0, right, 0, below), mode="replicate")
        logits: torch.Tensor = self.body(x)
        return logits[..., :height, :width]


def class_probabilities(logits: torch.Tensor, head: Head) -> torch.Tensor:
    """Return p(background), p(edge), p(inner), (n, 3, y, x) float32, summing to 1.

    Two Bernoulli channels are read under the condition that a pixel is not both edge and inner:
    background : edge : inner is then 1 : exp(edge logit) : exp(inner logit).
    """
    scores = logits.float()
    if head == "sigmoid2":
        scores = torch.cat((torch.zeros_like(scores[:, :1]), scores), dim=1)
    return scores.softmax(dim=1)
