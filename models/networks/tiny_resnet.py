"""A residual U-Net of 0.3 million parameters that trains on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from models.networks.blocks import (
    WIDTHS,
    ConvolutionUnit,
    ResidualBlock,
    ShuffleHead,
    doubled,
    features,
)


class TinyResNet(nn.Module):
    """Residual stages at strides 2 to 16, skips added on the way up, pixel-shuffle head."""

    stride: int = 16
    """Sides of the input must be multiples of this."""
    border_px: int = 64
    """How far from the border zeros around the input change the output."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        pairs = list(pairwise(WIDTHS))
        self.down = nn.ModuleList([ConvolutionUnit(3, WIDTHS[0], stride=2)])
        self.down.extend(
            nn.Sequential(ConvolutionUnit(fine, coarse, stride=2), ResidualBlock(coarse))
            for fine, coarse in pairs
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(coarse, fine, 1, bias=False) for fine, coarse in pairs
        )
        self.merge = nn.ModuleList(ConvolutionUnit(fine, fine) for fine, _ in pairs)
        self.head = ShuffleHead(WIDTHS[0], n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes, y, x)."""
        *skips, x = features(list(self.down), x)
        for level in reversed(range(len(skips))):
            x = self.merge[level](doubled(self.narrow[level](x)) + skips[level])
        logits: torch.Tensor = self.head(x)
        return logits
