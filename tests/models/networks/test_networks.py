"""Every network, through the registry."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from pydantic import ValidationError

from models.errors import ConfigError
from models.networks.registry import build
from models.networks.segmenter import class_probabilities
from models.networks.settings import NetworkSettings
from models.networks.weights import weights_digest

TINY = ["tiny_resnet", "tiny_dla"]


def digest(settings, seed):
    return weights_digest(build(settings, seed).state_dict())


@pytest.mark.parametrize("family", TINY)
@pytest.mark.parametrize("size", [(64, 64), (33, 50)])
def test_logits_have_the_size_of_the_image(family, size):
    network = build(NetworkSettings(family=family), seed=0).eval()
    assert network(torch.rand(2, 3, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("encoder", ["resnet34", "tu-dla34", "tu-mobilenetv3_small_050"])
def test_a_unet_takes_any_encoder_of_smp_and_timm(encoder):
    settings = NetworkSettings(encoder=encoder, weights="random", head="sigmoid2")
    network = build(settings, seed=0).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 40, 64)).shape == (1, 2, 40, 64)


@pytest.mark.parametrize("family", TINY)
def test_tiny_networks_have_about_a_third_of_a_million_parameters(family):
    network = build(NetworkSettings(family=family), seed=0)
    assert 0.25e6 < sum(p.numel() for p in network.parameters()) < 0.35e6


@pytest.mark.parametrize("family", TINY)
def test_a_seed_decides_the_weights(family):
    settings = NetworkSettings(family=family)
    assert digest(settings, 1) == digest(settings, 1) != digest(settings, 2)


def test_building_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    build(NetworkSettings(family="tiny_dla"), seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_network_normalises_colours_itself():
    network = build(NetworkSettings(family="tiny_resnet"), seed=0)
    network.body = torch.nn.Identity()
    white = network(torch.ones(1, 3, 16, 16))[0, :, 0, 0]
    assert white.tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-3)


def test_every_weight_of_a_network_is_reached_by_the_gradient():
    for family in TINY:
        network = build(NetworkSettings(family=family), seed=0)
        network(torch.rand(2, 3, 32, 32)).square().mean().backward()
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


def test_an_unknown_encoder_names_close_ones():
    with pytest.raises(ConfigError, match="resnet34"):
        build(NetworkSettings(encoder="resnet43", weights="random"), seed=0)
    with pytest.raises(ConfigError, match="tu-vgg19_bn"):
        build(NetworkSettings(encoder="tu-vgg19_bm", weights="random"), seed=0)


def test_an_encoder_that_a_unet_cannot_use_is_refused():
    with pytest.raises(ConfigError, match="cannot be the encoder"):
        build(NetworkSettings(encoder="tu-vit_tiny_patch16_224", weights="random"), seed=0)


def test_only_a_unet_starts_from_imagenet():
    assert NetworkSettings().weights == "imagenet"
    assert NetworkSettings(family="tiny_dla").weights == "random"
    with pytest.raises(ValidationError, match="set weights to random"):
        NetworkSettings(family="tiny_dla", weights="imagenet")


def test_softmax_probabilities_sum_to_one():
    p = class_probabilities(torch.randn(2, 3, 4, 5).bfloat16(), "softmax3")
    assert p.dtype == torch.float32
    assert torch.allclose(p.sum(dim=1), torch.ones(2, 4, 5))


def test_two_bernoulli_channels_become_three_classes_that_exclude_each_other():
    logits = torch.tensor([0.3, 0.8]).logit().reshape(1, 2, 1, 1)
    p = class_probabilities(logits, "sigmoid2").flatten()
    neither, edge, inner = 0.7 * 0.2, 0.3 * 0.2, 0.7 * 0.8
    assert p.tolist() == pytest.approx(
        [one / (neither + edge + inner) for one in (neither, edge, inner)]
    )


def test_networks_that_are_built_at_once_have_the_weights_of_those_built_alone():
    settings = [NetworkSettings(family="tiny_resnet"), NetworkSettings(family="tiny_dla")]
    alone = [digest(one, seed=3) for one in settings]
    barrier = threading.Barrier(2)

    def built(one):
        barrier.wait(10)
        return [digest(one, seed=3) for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(built, settings))
    assert together == [[one] * 10 for one in alone]
