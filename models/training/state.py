"""Everything that a training needs to go on where it was killed."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import torch

from models.networks.weights import weights_digest

if TYPE_CHECKING:
    from types import TracebackType

    from torch import nn

    from models.training.protocols import StateSink
    from models.training.sampling import Randomness
    from models.training.settings import TrainingSettings

_MODEL, _BEST, _ADAM = "model/", "best/", "adam/"

log = logging.getLogger(__name__)


def on_cpu(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return copies of the tensors, contiguous, in main memory."""
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in state.items()
    }


@dataclass(slots=True)
class Progress:
    """How far a training is."""

    step: int = 0
    """Optimiser steps done."""
    loss_sum: float = 0.0
    """Over the steps of the epoch under way."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record per finished epoch."""
    best_epoch: int = 0
    """The epoch, counted from 1, whose validation was best; 0 before the first."""
    best_selection: float | None = None
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)

    def card(self) -> dict[str, Any]:
        """Return everything but the tensors, as JSON."""
        names = ("step", "loss_sum", "history", "best_epoch", "best_selection")
        # a copy: history grows while the card waits to be written
        card: dict[str, Any] = json.loads(json.dumps({name: getattr(self, name) for name in names}))
        return card


def fingerprint(network: nn.Module, settings: TrainingSettings, randomness: Randomness) -> str:
    """Return a hash of all that a saved state must have in common with the training it resumes.

    Call it before the first step: the first weights are part of it.
    """
    wanted = settings.model_dump(mode="json")
    text = json.dumps([wanted, randomness.seed, randomness.stage], sort_keys=True)
    return hashlib.sha256((text + weights_digest(network.state_dict())).encode()).hexdigest()


def snapshot(
    network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress
) -> dict[str, torch.Tensor]:
    """Return copies of all tensors of a training."""
    tensors = {_MODEL + name: tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            tensors[f"{_ADAM}{key}/{name}"] = value
    best = {_BEST + name: tensor for name, tensor in progress.best_state.items()}
    return {**on_cpu(tensors), **best}


def restore(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    sink: StateSink | None,
    expected: str,
) -> Progress:
    """Put network and optimiser where the sink's state was, and return how far that is.

    A state of another training, by its fingerprint, is left alone with a warning.
    """
    saved = None if sink is None else sink.load()
    if saved is None:
        return Progress()
    tensors, card = saved
    if card.get("fingerprint") != expected:
        log.warning("The saved training state is of other settings; training starts anew.")
        return Progress()
    network.load_state_dict(_under(_MODEL, tensors))
    _restore_moments(network, optimiser, _under(_ADAM, tensors))
    numbers = {name: value for name, value in card.items() if name != "fingerprint"}
    return Progress(**numbers, best_state=_under(_BEST, tensors))


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _restore_moments(
    network: nn.Module, optimiser: torch.optim.Optimizer, moments: dict[str, torch.Tensor]
) -> None:
    parameters = dict(network.named_parameters())
    for path, value in moments.items():
        key, name = path.split("/", maxsplit=1)
        parameter = parameters[name]
        # fused Adam walks memory, so a moment must lie in memory as its parameter does
        like = parameter.detach() if value.shape == parameter.shape else value
        place = torch.empty_like(like, dtype=value.dtype, device=parameter.device)
        optimiser.state[parameter][key] = place.copy_(value)


class Keeper:
    """Saves states in a thread of its own, so that the network does not wait for the disk."""

    def __init__(self, sink: StateSink | None, every_s: float) -> None:
        self._sink = sink
        self._every_s = every_s
        self._saved_at = time.monotonic()
        self._saving: Future[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="state")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)
        if error is None and self._saving is not None:
            self._saving.result()

    def is_due(self) -> bool:
        """Return whether it is time to save, and the last state is written."""
        if self._sink is None or time.monotonic() - self._saved_at < self._every_s:
            return False
        return self._saving is None or self._saving.done()

    def save(self, tensors: dict[str, torch.Tensor], card: dict[str, Any]) -> None:
        """Start saving; raise here what the last saving raised."""
        if self._sink is None:
            return
        if self._saving is not None:
            self._saving.result()
        self._saving = self._pool.submit(self._sink.save, tensors, card)
        self._saved_at = time.monotonic()
