"""Layers that the tiny networks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = (24, 40, 56, 80)
"""Channels at strides 2, 4, 8 and 16."""


class ConvolutionUnit(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, n_in: int, n_out: int, side: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(n_in, n_out, side, stride, padding=side // 2, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and what went in (He et al., 2016)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.first = ConvolutionUnit(n_channels, n_channels)
        self.second = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, c, y, x), the shape that went in."""
        return torch.relu(self.norm(self.second(self.first(x))) + x)


class ShuffleHead(nn.Module):
    """From stride 2 to logits at stride 1: a convolution to four times the classes, shuffled."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(n_in, 4 * n_out, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_out, 2 y, 2 x)."""
        logits: torch.Tensor = self.shuffle(self.convolution(x))
        return logits


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Return the map at twice the size, each value repeated."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")


def features(stages: Sequence[nn.Module], x: torch.Tensor) -> list[torch.Tensor]:
    """Return the output of each stage, one fed into the next."""
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x)
    return found
