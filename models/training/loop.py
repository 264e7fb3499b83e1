"""The training loop: the same bytes for the same arguments, killed and resumed or not."""

from __future__ import annotations

import math
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from models.errors import TrainingError
from models.losses.registry import loss_for
from models.training.batches import Batch, ahead
from models.training.sampling import Randomness, Sampler
from models.training.schedule import learning_rate
from models.training.state import Keeper, Progress, fingerprint, on_cpu, restore, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from models.runtime import Runtime
    from models.training.protocols import RegionSource, StateSink
    from models.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class Hooks:
    """What happens beside the steps; each may be left out."""

    sink: StateSink | None = None
    """Keeps the state, so that a kill costs seconds."""
    validate: Callable[[nn.Module, int], dict[str, float]] | None = None
    """From the network, set to evaluation, and the epoch, counted from 1, to scores; the highest
    ``selection`` is the best. It must leave the network as it is and draw from no global random
    state."""
    report: Callable[[dict[str, Any]], None] | None = None
    """Told ``{"kind": "step", "step", "n_steps"}`` after each step and ``{"kind": "epoch", ...}``
    with the epoch's record after each epoch."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training ends with."""

    state: dict[str, torch.Tensor]
    """The weights kept, on the CPU."""
    history: list[dict[str, Any]]
    """Per epoch: epoch (from 1), step, loss, learning_rate and, where there was a validation,
    its scores as ``validation_<name>``."""
    best_epoch: int
    """The epoch of the best validation; 0 without one."""
    n_steps: int
    """Optimiser steps really taken."""


def train(
    network: nn.Module,
    source: RegionSource,
    settings: TrainingSettings,
    randomness: Randomness,
    runtime: Runtime,
    hooks: Hooks = Hooks(),  # frozen
) -> Outcome:
    """Train the network in place, with a fresh optimiser, and return the weights to keep.

    Parameters
    ----------
    network : nn.Module
        From images (n, 3, y, x) float in 0 to 1 to logits; it starts from the weights it has.
    source : RegionSource
        Regions with labels.
    settings : TrainingSettings
        What to do.
    randomness : Randomness
        Seed and stage: everything random follows from them, the epoch and the crop's index.
    runtime : Runtime
        Device, precision and threads.
    hooks : Hooks
        Saving, validation, progress.

    Raises
    ------
    TrainingError
        If there is no region, or the loss is no longer a number.
    """
    if len(source) == 0:
        raise TrainingError(
            "Training has no region. At least one annotated region must be in the training part "
            "of the split; check `signetflow status` and the fold."
        )
    sampler = Sampler(source, settings, randomness)
    with computing(runtime):
        expected = fingerprint(network, settings, randomness)
        training = _Training(network, settings, runtime, sampler.steps_per_epoch)
        training.progress = restore(network, training.optimiser, hooks.sink, expected)
        with Keeper(hooks.sink, settings.save_every_s) as keeper:
            for _ in training.run(sampler, hooks):
                if keeper.is_due():
                    training.settle_loss()
                    tensors = snapshot(network, training.optimiser, training.progress)
                    keeper.save(tensors, {**training.progress.card(), "fingerprint": expected})
    return training.outcome()


@contextmanager
def computing(runtime: Runtime) -> Iterator[None]:
    """Compute with the runtime's threads and, on CUDA, with deterministic algorithms only."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(runtime.threads)
    torch.use_deterministic_algorithms(deterministic or runtime.device == "cuda")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        torch.set_num_threads(threads)


class _Training:
    """One training under way."""

    def __init__(
        self, network: nn.Module, settings: TrainingSettings, runtime: Runtime, epoch_steps: int
    ) -> None:
        self.network = network.to(runtime.device).to(memory_format=torch.channels_last)
        self.settings = settings
        self.runtime = runtime
        self.epoch_steps = epoch_steps
        self.n_steps = epoch_steps * settings.epochs
        self.optimiser = torch.optim.Adam(
            network.parameters(), lr=settings.learning_rate, fused=True
        )
        self.loss = loss_for(settings.loss)
        self.progress = Progress()
        self._unsettled: torch.Tensor | None = None

    def run(self, sampler: Sampler, hooks: Hooks) -> Iterator[None]:
        """Take the steps that are left; yield after each, when a state may be saved."""
        self.network.train()

        def read(step: int) -> Batch:
            images, classes = sampler.batch(*divmod(step, self.epoch_steps))
            tensors = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(classes)
            if self.runtime.device == "cuda":
                tensors = tensors[0].pin_memory(), tensors[1].pin_memory()
            return Batch(*tensors)

        with closing(ahead(read, self.progress.step, self.n_steps)) as batches:
            for batch in batches:
                self._step(batch)
                if self.progress.step % self.epoch_steps == 0:
                    self._end_epoch(hooks)
                yield
                if hooks.report is not None:
                    done = {"step": self.progress.step, "n_steps": self.n_steps}
                    hooks.report({"kind": "step", **done})

    def _step(self, batch: Batch) -> None:
        device = self.runtime.device
        images = batch.images.to(device, non_blocking=True).float().div(255)
        classes = batch.classes.to(device, non_blocking=True)
        bf16 = self.runtime.precision == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = self.network(images)
        loss = self.loss(logits, classes)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if self.settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.progress.step, self.n_steps)
        self.optimiser.step()
        self.settle_loss()
        self._unsettled = loss.detach()
        self.progress.step += 1

    def settle_loss(self) -> None:
        """Add the loss of the last step, read one step late so that a GPU need not wait."""
        if self._unsettled is None:
            return
        loss, self._unsettled = float(self._unsettled), None
        if not math.isfinite(loss):
            raise TrainingError(
                f"The loss is {loss} at step {self.progress.step} of {self.n_steps}. Lower "
                "training.learning_rate, set training.gradient_clip (for example 1.0), or try "
                "runtime.precision: fp32."
            )
        self.progress.loss_sum += loss

    def _end_epoch(self, hooks: Hooks) -> None:
        self.settle_loss()
        progress = self.progress
        epoch = progress.step // self.epoch_steps
        record: dict[str, Any] = {
            "epoch": epoch,
            "step": progress.step,
            "loss": progress.loss_sum / self.epoch_steps,
            "learning_rate": learning_rate(self.settings, progress.step - 1, self.n_steps),
        }
        progress.loss_sum = 0.0
        every = self.settings.validate_every
        is_due = bool(every) and (epoch % every == 0 or epoch == self.settings.epochs)
        if hooks.validate is not None and is_due:
            record.update(self._validate(hooks.validate, epoch))
        progress.history.append(record)
        if hooks.report is not None:
            hooks.report({"kind": "epoch", "n_epochs": self.settings.epochs, **record})

    def _validate(
        self, validate: Callable[[nn.Module, int], dict[str, float]], epoch: int
    ) -> dict[str, float]:
        self.network.eval()
        with torch.no_grad():
            scores = validate(self.network, epoch)
        self.network.train()
        best, selection = self.progress.best_selection, scores["selection"]
        if not math.isnan(selection) and (best is None or selection > best):
            self.progress.best_epoch, self.progress.best_selection = epoch, selection
            if self.settings.keep == "best":
                self.progress.best_state = on_cpu(self.network.state_dict())
        return {f"validation_{name}": score for name, score in scores.items()}

    def outcome(self) -> Outcome:
        """Return what the training ends with."""
        progress = self.progress
        return Outcome(
            state=progress.best_state or on_cpu(self.network.state_dict()),
            history=progress.history,
            best_epoch=progress.best_epoch,
            n_steps=progress.step,
        )
