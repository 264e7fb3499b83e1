"""The loss of Li, equations (1) to (3)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.losses.cross_entropy_iou import cross_entropy_iou
from models.losses.registry import loss_for
from models.losses.settings import LossSettings

BACKGROUND, EDGE, INNER, IGNORE = 0, 1, 2, 255


def pixels(*values):
    """One image of one row."""
    return torch.tensor([[values]], dtype=torch.uint8)


def logits_of(*rows):
    """Logits whose softmax, or sigmoid for two rows, is the given probability of each pixel."""
    p = torch.tensor(rows, dtype=torch.float32)
    return (p.logit() if len(rows) == 2 else p.log())[None, :, None, :]


def test_two_pixels_by_hand_with_three_classes():
    # pixel 0 is edge with p = (.2, .5, .3), pixel 1 is inner with p = (.1, .1, .8)
    logits = logits_of([0.2, 0.1], [0.5, 0.1], [0.3, 0.8])
    cross_entropy = -(math.log(0.5) + math.log(0.8)) / 2
    edge = 1 - 0.5 / (1 + 0.6 - 0.5)
    inner = 1 - 0.8 / (1 + 1.1 - 0.8)
    found = cross_entropy_iou(logits, pixels(EDGE, INNER))
    assert float(found) == pytest.approx(cross_entropy + edge + inner, rel=1e-4)


def test_two_pixels_by_hand_with_two_bernoulli_channels():
    # pixel 0 is background with p(edge, inner) = (.2, .1), pixel 1 is inner with (.4, .7)
    logits = logits_of([0.2, 0.4], [0.1, 0.7])
    wrong_way = math.log(0.8) + math.log(0.9) + math.log(0.6) + math.log(0.7)
    edge = 1 - 0 / (0 + 0.6)
    inner = 1 - 0.7 / (1 + 0.8 - 0.7)
    found = cross_entropy_iou(logits, pixels(BACKGROUND, INNER))
    assert float(found) == pytest.approx(-wrong_way / 2 + edge + inner, rel=1e-4)


@pytest.mark.parametrize("n_channels", [2, 3])
def test_ignored_pixels_change_nothing_and_get_no_gradient(n_channels):
    rows = [0.2, 0.1, 0.6], [0.5, 0.1, 0.2], [0.3, 0.8, 0.2]
    logits = logits_of(*rows[-n_channels:]).requires_grad_()
    loss = cross_entropy_iou(logits, pixels(EDGE, INNER, IGNORE))
    without = cross_entropy_iou(logits[..., :2], pixels(EDGE, INNER))
    assert float(loss.detach()) == pytest.approx(float(without.detach()))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[..., 2].abs().max() == 0
    assert gradient[..., :2].abs().min() > 0


def test_a_batch_of_ignored_pixels_costs_nothing_and_stays_finite():
    logits = torch.randn(1, 3, 1, 2, requires_grad=True)
    loss = cross_entropy_iou(logits, pixels(IGNORE, IGNORE))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("n_channels", [2, 3])
def test_a_confident_right_answer_costs_almost_nothing(n_channels):
    logits = torch.full((1, 3, 1, 3), -20.0)
    logits[0, [0, 1, 2], 0, [0, 1, 2]] = 20.0
    found = cross_entropy_iou(logits[:, -n_channels:], pixels(BACKGROUND, EDGE, INNER))
    assert 0 <= float(found) < 1e-4


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n_channels=st.sampled_from([2, 3]),
    spread=st.floats(0, 60),
    shares=st.tuples(*[st.floats(0.01, 1)] * 4),
)
def test_the_loss_is_never_negative_whatever_the_batch(seed, n_channels, spread, shares):
    random = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(2, n_channels, 5, 7, generator=random)
    drawn = torch.multinomial(torch.tensor(shares), 70, replacement=True, generator=random)
    classes = torch.tensor([0, 1, 2, 255], dtype=torch.uint8)[drawn].reshape(2, 5, 7)
    found = float(cross_entropy_iou(logits, classes))
    assert math.isfinite(found)
    assert found >= 0


def test_it_is_computed_in_float32_inside_autocast():
    logits = torch.randn(1, 3, 8, 8).bfloat16()
    classes = torch.randint(0, 3, (1, 8, 8), dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = cross_entropy_iou(logits, classes)
    assert inside.dtype == torch.float32
    assert float(inside) == float(cross_entropy_iou(logits.float(), classes))


def test_the_default_settings_name_this_loss():
    assert loss_for(LossSettings()) is cross_entropy_iou
