"""First weights: what was asked for, or an error that says what to change."""

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from models.errors import WeightsError
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.networks.weights import weights_digest, weights_record

SMALL = "tu-mobilenetv3_small_050"


@pytest.fixture
def without_hub(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))


@pytest.fixture
def encoder_file(tmp_path):
    donor = build(NetworkSettings(encoder=SMALL, weights="random"), seed=7)
    path = tmp_path / "encoder.safetensors"
    save_file(donor.body.get_submodule("encoder").state_dict(), path)
    return path


@pytest.mark.parametrize("encoder", ["resnet18", SMALL])
def test_offline_imagenet_is_an_error_that_names_the_setting(without_hub, encoder):
    with pytest.raises(WeightsError, match=r"networks\.<name>\.weights.*random"):
        build(NetworkSettings(encoder=encoder), seed=0)


def test_an_unreachable_hub_is_found_out_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match="cannot be reached"):
        build(NetworkSettings(encoder="resnet18"), seed=0)
    assert constants.HF_HUB_OFFLINE is False


def test_encoder_weights_come_from_a_file(encoder_file):
    settings = NetworkSettings(encoder=SMALL, weights=str(encoder_file))
    record = weights_record(settings, build(settings, seed=1))
    random = NetworkSettings(encoder=SMALL, weights="random")
    donor = weights_record(random, build(random, seed=7))
    assert record["encoder_sha256"] == donor["encoder_sha256"]
    assert record["sha256"] != donor["sha256"]  # the decoder is of seed 1
    assert record["source"] == "file encoder.safetensors"


def test_names_with_the_encoder_prefix_are_understood(encoder_file, tmp_path):
    whole = build(NetworkSettings(encoder=SMALL, weights="random"), seed=7).body.get_submodule(
        "encoder"
    )
    path = tmp_path / "prefixed.safetensors"
    save_file({f"encoder.{k}": v for k, v in whole.state_dict().items()}, path)
    plain, prefixed = (
        build(NetworkSettings(encoder=SMALL, weights=str(p)), seed=0) for p in (encoder_file, path)
    )
    assert weights_digest(plain.state_dict()) == weights_digest(prefixed.state_dict())


def test_a_file_of_another_encoder_is_refused(encoder_file):
    settings = NetworkSettings(encoder="tu-mobilenetv3_small_075", weights=str(encoder_file))
    with pytest.raises(WeightsError, match="do not fit"):
        build(settings, seed=0)


def test_a_missing_or_broken_file_is_refused(tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not tensors")
    for path in (tmp_path / "nowhere.safetensors", broken):
        with pytest.raises(WeightsError, match="cannot be read"):
            build(NetworkSettings(encoder=SMALL, weights=str(path)), seed=0)


def test_the_digest_sees_names_shapes_and_values_but_not_order_or_layout():
    a, b = torch.arange(16.0).reshape(1, 2, 2, 4), torch.ones(2)
    plain = weights_digest({"a": a, "b": b})
    assert plain == weights_digest({"b": b, "a": a.to(memory_format=torch.channels_last)})
    assert plain != weights_digest({"a": a, "c": b})
    assert plain != weights_digest({"a": a.reshape(1, 2, 4, 2), "b": b})
    assert plain != weights_digest({"a": a, "b": b + 1e-6})
