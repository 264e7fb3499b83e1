"""A deep-layer-aggregation network of 0.3 million parameters that trains on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from models.networks.blocks import WIDTHS, ConvolutionUnit, ShuffleHead, doubled, features


class AggregatedStage(nn.Module):
    """Two convolutions at half the size; a node aggregates both (Yu et al., 2018, sec. 3.2)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = ConvolutionUnit(n_in, n_out, stride=2)
        self.second = ConvolutionUnit(n_out, n_out)
        self.node = ConvolutionUnit(2 * n_out, n_out, side=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, n_out, y / 2, x / 2)."""
        first = self.first(x)
        aggregated: torch.Tensor = self.node(torch.cat((first, self.second(first)), dim=1))
        return aggregated


class AggregationNode(nn.Module):
    """Brings a coarse map to a finer one's size and aggregates the two."""

    def __init__(self, n_fine: int, n_coarse: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(n_coarse, n_fine, 1, bias=False)
        self.merge = ConvolutionUnit(n_fine, n_fine)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return a map of the fine one's shape."""
        merged: torch.Tensor = self.merge(doubled(self.narrow(coarse)) + fine)
        return merged


class TinyDLA(nn.Module):
    """Aggregated stages at strides 2 to 16, then a triangle of aggregation nodes.

    Each row of the triangle merges every two neighbouring strides, until one map at stride 2 is
    left: iterative deep aggregation of Yu et al., "Deep layer aggregation" (2018), figure 4.
    Differs: upsampling repeats values, no deformable convolution.
    """

    stride: int = 16
    """Sides of the input must be multiples of this."""
    border_px: int = 64
    """How far from the border zeros around the input change the output."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        pairs = list(pairwise(WIDTHS))
        self.down = nn.ModuleList([ConvolutionUnit(3, WIDTHS[0], stride=2)])
        self.down.extend(AggregatedStage(fine, coarse) for fine, coarse in pairs)
        self.rows = nn.ModuleList(
            nn.ModuleList(AggregationNode(fine, coarse) for fine, coarse in pairs[:length])
            for length in range(len(pairs), 0, -1)
        )
        self.head = ShuffleHead(WIDTHS[0], n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, n_classes, y, x)."""
        maps = features(list(self.down), x)
        for row in self.rows:
            nodes = list(row.children())
            maps = [node(*two) for node, two in zip(nodes, pairwise(maps), strict=True)]
        logits: torch.Tensor = self.head(maps[0])
        return logits
