import pytest
import torch
from torch import nn

from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.prediction.frozen import Frozen, freeze, threads_of
from models.runtime import Runtime

FP32 = Runtime("cpu", "fp32", 1)
BF16 = Runtime("cpu", "bf16", 1)


@pytest.fixture(autouse=True)
def one_thread():
    with threads_of(FP32):
        yield


def images(side_px=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, side_px, side_px, 3), generator=generator, dtype=torch.uint8)


def as_the_network_takes_them(pixels):
    return pixels.permute(0, 3, 1, 2).float() / 255


def with_lived_in_norms(network):
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(0, 0.3, generator=generator)
            module.get_buffer("running_var").uniform_(0.5, 2, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
    return network


def tiny(family="tiny_resnet"):
    return with_lived_in_norms(build(NetworkSettings(family=family, weights="random"), seed=0))


def n_norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("family", ["tiny_resnet", "tiny_dla"])
def test_a_frozen_network_gives_the_logits_of_the_eager_one_without_its_batch_norms(family):
    network = tiny(family).eval()
    frozen = freeze(network, FP32)
    with torch.no_grad():
        expected = network(as_the_network_takes_them(images()))
    assert n_norms(network) > 0
    assert n_norms(frozen) == 0
    torch.testing.assert_close(frozen(images()), expected, rtol=1e-4, atol=1e-4)


def test_probabilities_in_bf16_stay_within_a_hundredth():
    network = tiny().eval()
    with torch.no_grad():
        expected = network(as_the_network_takes_them(images())).softmax(1)
    found = freeze(network, BF16)(images())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.softmax(1), expected, rtol=0, atol=1e-2)


def test_weights_are_stored_in_bf16_and_the_rest_is_not():
    frozen = freeze(tiny(), BF16)
    convolutions = [m for m in frozen.modules() if isinstance(m, nn.Conv2d)]
    assert {conv.weight.dtype for conv in convolutions} == {torch.bfloat16}
    assert {buffer.dtype for buffer in frozen.buffers()} <= {torch.float32, torch.int64}


def test_the_network_is_left_as_it_was():
    network = tiny().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    freeze(network, BF16)(images())
    after = network.state_dict()
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


class TwoReaders(nn.Module):
    """The convolution's output is read by the batch norm and by the sum."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        made = self.conv(x)
        return made + self.norm(made)


class SharedConvolution(TwoReaders):
    """The convolution runs twice, once without a batch norm."""

    def forward(self, x):
        return self.norm(self.conv(x)) + self.conv(x)


class GivesTheConvolution(TwoReaders):
    """The batch norm's result has no part in the output."""

    def forward(self, x):
        made = self.conv(x)
        self.norm(made)
        return made


@pytest.mark.parametrize("kind", [TwoReaders, SharedConvolution, GivesTheConvolution])
def test_a_convolution_that_others_read_too_is_not_folded(kind, caplog):
    torch.manual_seed(0)
    network = with_lived_in_norms(kind()).eval()
    frozen = freeze(network, FP32)
    assert n_norms(frozen) == 1
    assert not caplog.records  # left alone at once, not found out by a changed output
    with torch.no_grad():
        expected = network(as_the_network_takes_them(images()))
    torch.testing.assert_close(frozen(images()), expected)


class CountsItsNorms(TwoReaders):
    """Doubles its output once no batch norm is left: folding would change it."""

    def forward(self, x):
        return self.norm(self.conv(x)) * (1 + (n_norms(self) == 0))


def test_a_network_that_folding_would_change_runs_unfolded(caplog):
    network = with_lived_in_norms(CountsItsNorms()).eval()
    frozen = freeze(network, FP32)
    with torch.no_grad():
        expected = network(as_the_network_takes_them(images()))
    torch.testing.assert_close(frozen(images()), expected)
    assert "runs unfolded" in caplog.text


@pytest.mark.parametrize("head", ["softmax3", "sigmoid2"])
def test_the_head_of_the_network_is_kept(head):
    network = build(NetworkSettings(family="tiny_resnet", weights="random", head=head), seed=0)
    assert freeze(network, FP32).head == head
    assert isinstance(freeze(network, FP32), Frozen)


def test_threads_are_as_before_after_use():
    before = torch.get_num_threads()
    with threads_of(Runtime("cpu", "fp32", before + 1)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
