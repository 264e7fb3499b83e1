"""Networks by their settings."""

from __future__ import annotations

import difflib
import threading
from typing import TYPE_CHECKING, cast

import torch

from models.errors import ConfigError
from models.networks.segmenter import N_CHANNELS, Segmenter
from models.networks.tiny_dla import TinyDLA
from models.networks.tiny_resnet import TinyResNet

if TYPE_CHECKING:
    from torch import nn

    from models.networks.settings import NetworkSettings

_UNET_STRIDE = 32
_UNET_BORDER_PX = 192
"""Measured on trained networks (docs/decisions/0010-exact-seams.md): the receptive field of a
ResNet-34 is wider than this, but what lies further out hardly counts."""
_DRAWING = threading.Lock()
"""First weights are drawn from the process's one generator: from two threads they would mix."""


def build(settings: NetworkSettings, seed: int) -> Segmenter:
    """Return a new network, the same weights for the same settings and seed.

    The process's random state is left as it was.

    Raises
    ------
    ConfigError
        If there is no such encoder.
    WeightsError
        If the pretrained weights cannot be had.
    """
    n_channels = N_CHANNELS[settings.head]
    with _DRAWING, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if settings.family == "tiny_resnet":
            resnet = TinyResNet(n_channels)
            return Segmenter(resnet, settings.head, resnet.stride, resnet.border_px)
        if settings.family == "tiny_dla":
            dla = TinyDLA(n_channels)
            return Segmenter(dla, settings.head, dla.stride, dla.border_px)
        unet = _unet(settings, n_channels)
        return Segmenter(unet, settings.head, _UNET_STRIDE, _UNET_BORDER_PX)


def _unet(settings: NetworkSettings, n_channels: int) -> nn.Module:
    import segmentation_models_pytorch as smp  # 8 s: the tiny networks go without

    from models.networks import weights  # as above

    _require_encoder(settings.encoder)
    try:
        network = smp.Unet(
            encoder_name=settings.encoder, encoder_weights=None, in_channels=3, classes=n_channels
        )
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise ConfigError(
            f"networks.<name>.encoder: {settings.encoder!r} cannot be the encoder of a U-Net: "
            f"{cause}. Choose another, for example resnet34 or tu-dla34."
        ) from cause
    weights.load(network.encoder, settings)
    return cast("nn.Module", network)


def _require_encoder(name: str) -> None:
    """Raise unless smp or timm has an encoder of that name."""
    import segmentation_models_pytorch as smp  # 8 s
    import timm  # 3 s

    from_timm = {f"tu-{model}" for model in timm.list_models()}
    known = from_timm.union(smp.encoders.get_encoder_names())
    architecture = name.split(".", maxsplit=1)[0] if name.startswith("tu-") else name
    if architecture in known:
        return
    close = difflib.get_close_matches(architecture, sorted(known), n=4, cutoff=0.5)
    hint = f"Close: {', '.join(close)}" if close else "Try resnet34 or tu-dla34"
    raise ConfigError(
        f"networks.<name>.encoder: no encoder is called {name!r}. {hint}. "
        "Names are smp's, or timm's with tu- in front."
    )
