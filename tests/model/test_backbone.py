"""Test that the three steps of the backbone compute what timm's own forward computes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from svipctl.errors import ConfigError
from svipctl.model.backbone import check_supported, create_backbone, embed_patches, encode, grid_of, image_size_of
from tests.model.tiny import ARGUMENTS, images, scramble, vit

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "no-class-token": {"class_token": False, "global_pool": "avg"},
    "average-pooled": {"global_pool": "avg"},
    "registers": {"reg_tokens": 4},
    "registers-outside-position": {"reg_tokens": 2, "no_embed_class": True},
    "dynamic-size": {"dynamic_img_size": True},
    "dynamic-size-without-class-token": {"dynamic_img_size": True, "class_token": False, "global_pool": "avg"},
    "query-key-norm": {"qk_norm": True},
    "attention-norm": {"scale_attn_norm": True},
    "layer-scale": {"init_values": 0.1},
    "pre-norm": {"pre_norm": True},
    "no-position": {"pos_embed": "none"},
    "no-qkv-bias": {"qkv_bias": False},
    "wide-grid": {"img_size": (16, 32)},
}


def hybrid() -> VisionTransformer:
    stem = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.ReLU(), nn.Conv2d(6, 8, 2, 2))
    kwargs = ARGUMENTS | {"patch_size": 1, "num_classes": 0}
    return scramble(VisionTransformer(**kwargs, embed_layer=partial(HybridEmbed, backbone=stem))).eval()


def timm_patches(network: VisionTransformer, pixels: Tensor) -> Tensor:
    return network.fc_norm(network.forward_features(pixels))[:, network.num_prefix_tokens :]


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_encode_equals_timms_own_forward(variant: str) -> None:
    network = vit(**VARIANTS[variant])
    pixels = images(2)[:, :, : network.patch_embed.img_size[0]]
    patches, attention = encode(network, embed_patches(network, pixels))
    torch.testing.assert_close(patches, timm_patches(network, pixels), atol=2e-5, rtol=1e-4)
    assert len(attention) == ARGUMENTS["depth"]


@torch.no_grad()
def test_encode_equals_timms_own_forward_with_a_convolutional_stem() -> None:
    network = hybrid()
    check_supported(network, "hybrid")
    assert grid_of(network) == (4, 4)
    patches, _ = encode(network, embed_patches(network, images(2)))
    torch.testing.assert_close(patches, timm_patches(network, images(2)), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_encode_equals_timms_own_forward_with_a_distillation_token() -> None:
    network = scramble(create_backbone("deit_tiny_distilled_patch16_224", ARGUMENTS)).eval()
    patches, _ = encode(network, embed_patches(network, images(2)))
    assert patches.shape == (2, 16, 16)
    torch.testing.assert_close(patches, timm_patches(network, images(2)), atol=2e-5, rtol=1e-4)


@torch.no_grad()
def test_attention_of_a_block_reproduces_its_output() -> None:
    network = vit(qk_norm=True)
    tokens = network._pos_embed(embed_patches(network, images(1)))
    attention = encode(network, embed_patches(network, images(1)))[1][0]
    block = network.blocks[0].attn
    qkv = block.qkv(network.blocks[0].norm1(tokens)).reshape(1, 17, 3, 2, 8).permute(2, 0, 3, 1, 4)
    maps = (block.q_norm(qkv[0]) @ block.k_norm(qkv[1]).transpose(-2, -1) * 8**-0.5).softmax(dim=-1)
    torch.testing.assert_close(attention.rows(), maps.mean(dim=1))


@torch.no_grad()
def test_a_gated_attention_is_computed_as_timm_does() -> None:
    network = vit()
    if not hasattr(network.blocks[0].attn, "gate"):
        pytest.skip("this timm has no gated attention")
    for block in network.blocks:
        block.attn.gate = scramble(nn.Linear(16, 16), 9)
    patches, _ = encode(network, embed_patches(network, images(2)))
    torch.testing.assert_close(patches, timm_patches(network, images(2)), atol=2e-5, rtol=1e-4)


def test_attention_dropout_acts_in_training_only() -> None:
    network = vit()
    for block in network.blocks:
        block.attn.attn_drop.p = 0.5
    patches = embed_patches(network, images(1))
    assert torch.equal(encode(network, patches)[0], encode(network, patches)[0])
    network.train()
    assert not torch.equal(encode(network, patches)[0], encode(network, patches)[0])


def test_short_name_builds_the_preset_and_arguments_override_it() -> None:
    toy = create_backbone("vit_toy", {"depth": 1})
    assert (image_size_of(toy), grid_of(toy), len(toy.blocks), toy.embed_dim) == (64, (8, 8), 1, 128)


def test_unknown_backbone_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no backbone named 'vit_toi'") as caught:
        create_backbone("vit_toi")
    assert "'vit_toy'" in caught.value.why


@pytest.mark.parametrize(
    "name", ["vit_small_patch16_18x2_224", "eva02_tiny_patch14_224", "swin_tiny_patch4_window7_224", "resnet18"]
)
def test_network_that_is_not_a_plain_vision_transformer_is_refused(name: str) -> None:
    arguments = {"depth": 1} if name.startswith(("vit", "eva")) else {}
    with pytest.raises(ConfigError, match=f"'{name}' is not a plain Vision Transformer"):
        create_backbone(name, arguments)


@pytest.mark.parametrize("arguments", [{"nonsense": 1}, {"embed_dim": 16}, {"global_pool": "best"}])
def test_argument_that_timm_refuses_is_a_configuration_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="timm cannot build 'vit_tiny' with"):
        create_backbone("vit_tiny", {"depth": 1} | arguments)


def test_dropping_patches_is_refused_because_windows_need_every_patch() -> None:
    with pytest.raises(ConfigError, match="drops patches"):
        create_backbone("vit_tiny", {"depth": 1, "patch_drop_rate": 0.5})


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ConfigError, match="takes images of 32 x 64 pixels") as refused:
        image_size_of(create_backbone("vit_tiny", {"img_size": [32, 64], "depth": 1}))
    assert "set img_size = 64" in refused.value.todo
