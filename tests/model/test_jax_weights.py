"""Test Vision Transformers in JAX's .npz: the network is restored exactly, and a file of another one is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from svipctl.errors import DataError
from svipctl.model.weights import load_backbone
from tests.model.tiny import ARGUMENTS, NAME, images, vit

Arrays = dict[str, np.ndarray]


def as_jax(network: VisionTransformer, prefix: str = "") -> Arrays:
    """Return a network with the names, shapes and order of arrays of Flax's reference implementation of ViT."""

    def dense(weight: Tensor) -> np.ndarray:
        return weight.detach().numpy().T

    heads, width = network.blocks[0].attn.num_heads, network.embed_dim
    found = {
        "cls": network.cls_token.detach().numpy(),
        "embedding/kernel": network.patch_embed.proj.weight.detach().permute(2, 3, 1, 0).numpy(),
        "embedding/bias": network.patch_embed.proj.bias.detach().numpy(),
        "Transformer/posembed_input/pos_embedding": network.pos_embed.detach().numpy(),
        "Transformer/encoder_norm/scale": network.norm.weight.detach().numpy(),
        "Transformer/encoder_norm/bias": network.norm.bias.detach().numpy(),
        "head/kernel": np.zeros((width, 10)),
        "head/bias": np.zeros(10),
        "pre_logits/kernel": np.zeros((width, width)),
    }
    for number, block in enumerate(network.blocks):
        at = f"Transformer/encoderblock_{number}"
        for name, norm in (("LayerNorm_0", block.norm1), ("LayerNorm_2", block.norm2)):
            found |= {
                f"{at}/{name}/scale": norm.weight.detach().numpy(),
                f"{at}/{name}/bias": norm.bias.detach().numpy(),
            }
        mha = f"{at}/MultiHeadDotProductAttention_1"
        for name, weight, bias in zip(
            ("query", "key", "value"), block.attn.qkv.weight.chunk(3), block.attn.qkv.bias.chunk(3)
        ):
            found[f"{mha}/{name}/kernel"] = dense(weight).reshape(width, heads, -1)
            found[f"{mha}/{name}/bias"] = bias.detach().numpy().reshape(heads, -1)
        found[f"{mha}/out/kernel"] = dense(block.attn.proj.weight).reshape(heads, -1, width)
        found[f"{mha}/out/bias"] = block.attn.proj.bias.detach().numpy()
        for layer, part in enumerate((block.mlp.fc1, block.mlp.fc2)):
            found[f"{at}/MlpBlock_3/Dense_{layer}/kernel"] = dense(part.weight)
            found[f"{at}/MlpBlock_3/Dense_{layer}/bias"] = part.bias.detach().numpy()
    return {prefix + name: array for name, array in found.items()}


def store(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("prefix", ["", "opt/target/"])
def test_the_saved_network_is_restored(tmp_path: Path, prefix: str) -> None:
    network = vit()
    path = store(tmp_path / "w.npz", as_jax(network, prefix))
    loaded, source = load_backbone(NAME, ARGUMENTS, str(path))
    assert source == {"source": "w.npz", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    state = loaded.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images()), network(images()))


def without(name: str) -> Any:
    return lambda arrays: {key: array for key, array in arrays.items() if key != name}


KERNEL = "Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel"


@pytest.mark.parametrize(
    ("changed", "arguments", "said"),
    [
        (without("embedding/kernel"), {}, "no embedding/kernel"),
        (without(KERNEL), {}, f"missing: {KERNEL}"),
        (without("head/bias"), {"depth": 1}, "blocks: 2 in the file, 1 in the backbone"),
        (without("head/bias"), {"depth": 3}, "blocks: 2 in the file, 3 in the backbone"),
        (without("head/bias"), {"img_size": 64}, r"pos_embedding: \(1, 17, 16\) in the file, \(1, 65, 16\)"),
        (without("head/bias"), {"patch_size": 4}, r"embedding/kernel: \(8, 8, 3, 16\) in the file, \(4, 4, 3, 16\)"),
        (without("head/bias"), {"mlp_ratio": 2}, "size of tensor"),
        (lambda arrays: arrays | {"Transformer/encoderblock_1/extra": np.ones(3)}, {}, "numbers in the file"),
        (lambda arrays: arrays | {"cls": np.full((1, 1, 16), np.nan)}, {}, "not finite: cls_token"),
        (lambda arrays: arrays | {"cls": np.array([{}, 1], dtype=object)}, {}, "not a .npz file of plain arrays"),
    ],
)
def test_a_file_of_another_network_is_refused(changed: Any, arguments: Any, said: str, tmp_path: Path) -> None:
    path = store(tmp_path / "w.npz", changed(as_jax(vit())))
    with pytest.raises(DataError, match=said):
        load_backbone(NAME, ARGUMENTS | arguments, str(path))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_a_damaged_file_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(DataError, match="not a .npz file of plain arrays"):
        load_backbone(NAME, ARGUMENTS, str(tmp_path / "w.npz"))
    with pytest.raises(DataError, match="there is no weights file"):
        load_backbone(NAME, ARGUMENTS, str(tmp_path / "gone.npz"))
