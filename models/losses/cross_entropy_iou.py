"""Cross entropy plus soft intersection over union (Li, sec. 2.2, equations 1 to 3)."""

from __future__ import annotations

import torch

from models.annotations import PixelClass

_TINY = 1e-6
"""Makes the IoU of nothing with nothing 1 instead of 0/0."""
_SOFTMAX_CHANNELS = 3


def cross_entropy_iou(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return l_CE + l_IOU of one batch; never negative.

    Pixels of class 255 (ignore) count nowhere; a batch of nothing else costs 0.

    Parameters
    ----------
    logits : Tensor
        (n, 3, y, x) for the softmax over background, edge and inner; (n, 2, y, x) for two
        independent Bernoulli channels, edge and inner. Any float type: computed in float32.
    classes : Tensor
        (n, y, x) uint8, values of `PixelClass`.

    Returns
    -------
    Tensor
        A float32 scalar.

    References
    ----------
    Li et al., equations (1) to (3). Differs: the printed (1) lacks its minus and sums where a
    learning rate of 1e-3 needs a mean over the pixels, so both are put right. With the softmax,
    (1) becomes the usual cross entropy of three classes; with two channels it is literal.
    """
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.float()
        known = (classes != PixelClass.IGNORE).unsqueeze(1)
        n_known = known.sum().clamp(min=1)
        if logits.shape[1] == _SOFTMAX_CHANNELS:
            cross_entropy, probability = _softmax_terms(scores, classes)
        else:
            cross_entropy, probability = _bernoulli_terms(scores, classes)
        mean = (cross_entropy * known).sum() / n_known
        return mean + _iou_loss(probability * known, _targets(classes))


def _targets(classes: torch.Tensor) -> torch.Tensor:
    """Return (n, 2, y, x) float32: whether the pixel is edge, whether it is inner."""
    return torch.stack((classes == PixelClass.EDGE, classes == PixelClass.INNER), dim=1).float()


def _softmax_terms(
    scores: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    logs = scores.log_softmax(dim=1)
    wanted = torch.cat(((classes == PixelClass.BACKGROUND).unsqueeze(1), _targets(classes)), dim=1)
    # a sum over the one-hot classes, because the library's NLL is not deterministic on CUDA
    return -(wanted * logs).sum(dim=1, keepdim=True), logs[:, 1:].exp()


def _bernoulli_terms(
    scores: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    wanted = _targets(classes)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
    return entropy, scores.sigmoid()


def _iou_loss(probability: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the sum over edge and inner of 1 - soft IoU over the whole batch."""
    both = (wanted * probability).sum(dim=(0, 2, 3))
    either = wanted.sum(dim=(0, 2, 3)) + probability.sum(dim=(0, 2, 3)) - both
    return (1 - (both + _TINY) / (either + _TINY)).clamp(min=0).sum()
