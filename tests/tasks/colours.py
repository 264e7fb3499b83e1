"""A network that needs no training: it reads the classes off the colours of a drawn image."""

import torch
from torch import nn


class Colours(nn.Module):
    """Red is background, green edge, blue inner."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 12.0))

    def forward(self, images):
        return self.gain * images
