"""First weights of an encoder: from the hub, from a file, or none; never silently random."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from models.networks.segmenter import Segmenter
    from models.networks.settings import NetworkSettings

_SETTING = "networks.<name>.weights"
_PROBE_TIMEOUT_S = 10.0


def load(encoder: nn.Module, settings: NetworkSettings) -> None:
    """Fill a freshly built encoder with the weights that the settings name.

    Raises
    ------
    WeightsError
        If they cannot be had; the message names the setting to change.
    """
    if settings.weights == "random":
        return
    tensors = (
        _imagenet(settings.encoder) if settings.weights == "imagenet" else _read(settings.weights)
    )
    try:
        encoder.load_state_dict(tensors)
    except (RuntimeError, KeyError) as cause:
        raise WeightsError(
            f"{_SETTING}: the tensors of {settings.weights!r} do not fit the encoder "
            f"{settings.encoder!r}: {str(cause)[:300]}. Give a safetensors file of that "
            "encoder's state, or set it to random."
        ) from cause


def weights_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return the sha256 of names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_record(settings: NetworkSettings, network: Segmenter) -> dict[str, Any]:
    """Return what a freshly built network starts from, for the run's record.

    ``sha256`` is of the whole network, ``encoder_sha256`` of the encoder alone (None for the
    tiny ones): two runs that loaded the same pretrained encoder agree in the second.
    """
    encoder = getattr(network.body, "encoder", None)
    source = settings.weights
    if source not in {"random", "imagenet"}:
        source = f"file {os.path.basename(source)}"  # noqa: PTH119  # a name, not a file access
    return {
        "family": settings.family,
        "encoder": settings.encoder if settings.family == "unet" else None,
        "source": source,
        "n_parameters": sum(p.numel() for p in network.parameters()),
        "sha256": weights_digest(network.state_dict()),
        "encoder_sha256": None if encoder is None else weights_digest(encoder.state_dict()),
    }


def _read(path: str) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as cause:
        raise WeightsError(
            f"{_SETTING}: {path} cannot be read as a safetensors file: {cause}. "
            "Give the path of one, or set it to random."
        ) from cause
    prefix = "encoder."
    if all(name.startswith(prefix) for name in tensors):
        return {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return tensors


def _imagenet(encoder: str) -> dict[str, torch.Tensor]:
    """Return the state of the encoder as smp or timm publish it."""
    import segmentation_models_pytorch as smp  # 8 s: only where it is needed

    weights: str | bool = encoder.startswith("tu-") or "imagenet"
    reachable = _hub_is_reachable()
    try:
        with _offline(not reachable):
            loaded = smp.encoders.get_encoder(encoder, weights=weights)
    except (OSError, RuntimeError, KeyError, ValueError) as cause:
        why = str(cause) if reachable else "the hub cannot be reached and no copy is cached"
        raise WeightsError(
            f"{_SETTING}: ImageNet weights of {encoder!r} cannot be had: {why}. "
            "Set it to random, or to the path of a safetensors file with the encoder's weights."
        ) from cause
    state: dict[str, torch.Tensor] = loaded.state_dict()
    return state


def _hub_is_reachable() -> bool:
    """Ask once: the hub's own client would try each file six times, half a minute in all."""
    from huggingface_hub import constants  # only where needed

    if constants.HF_HUB_OFFLINE:
        return False
    request = Request(constants.ENDPOINT, method="HEAD")  # noqa: S310  # the hub's own https address
    try:
        urlopen(request, timeout=_PROBE_TIMEOUT_S).close()  # noqa: S310  # as above
    except HTTPError:
        return True  # it answered
    except OSError:
        return False
    return True


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Let the hub's client look at its cache only."""
    from huggingface_hub import constants  # only where needed

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or wanted
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
