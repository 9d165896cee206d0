"""Count the GPU memory of a training step without a GPU, on tensors that have a size and no values.

    python benchmarks/gpu_memory.py --backbone vit_base --batch-size 64

Counts parameters, gradients, both moments, and what the forward passes save for the backward pass, with the attention
kernels that torch has for a current GPU. Temporary memory within an operation is not counted, nor the one block (or
MLP) that is recomputed at a time, so the peak on a real GPU is higher; `benchmarks/engine.py` measures it there.
Needs a torch that is built for CUDA and supports autograd on tensors without values: 2.15 does, 2.5 does not.
"""

from __future__ import annotations

import argparse

import published_step
import torch
import torch.nn.functional as F
from saved_tensors import SavedTensors
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from svipctl.device import autocast
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.model.losses import training_loss
from svipctl.model.svip import SVIP, Checkpointing
from svipctl.settings.layers import resolve

ATTRIBUTES, CLASSES = 312, 150
GPU = torch.device("cuda", 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_base")
    parser.add_argument("--batch-size", type=int, default=64)
    wanted = parser.parse_args()
    pretend_there_is_a_gpu()
    base = 0.0
    for name, recipe, dtype, checkpointing in (
        ("published", "reference", torch.float32, "none"),
        ("reference, fp32", "reference", torch.float32, "none"),
        ("svipctl, bf16", "svipctl", torch.bfloat16, "none"),
        ("svipctl, bf16, checkpointing=mlp", "svipctl", torch.bfloat16, "mlp"),
        ("svipctl, bf16, checkpointing=blocks", "svipctl", torch.bfloat16, "blocks"),
    ):
        resident, kept = counted(wanted, recipe, dtype, checkpointing, published=name == "published")
        total = resident + kept
        base = base or total
        print(f"{name:36} resident {resident:6.0f} MiB  kept {kept:6.0f} MiB  sum {total:6.0f} MiB  {total / base:.2f}")


def counted(
    wanted: argparse.Namespace, recipe: str, dtype: torch.dtype, checkpointing: Checkpointing, *, published: bool
) -> tuple[float, float]:
    """Return MiB of parameters, gradients and moments, and MiB saved for the backward pass."""
    method = resolve("cub", flags={"recipe": recipe}).settings.method
    backbone = create_backbone(wanted.backbone)
    side = image_size_of(backbone)
    model = SVIP(backbone, ATTRIBUTES, method, word_vectors=torch.randn(ATTRIBUTES, 300)).train()
    model.run_blocks(checkpointing=checkpointing)
    with FakeTensorMode(allow_non_fake_inputs=False):
        move(model)
        kept = SavedTensors(model)
        images = torch.randn(wanted.batch_size, 3, side, side, device=GPU)
        labels = torch.randint(0, CLASSES, (wanted.batch_size,), device=GPU)
        table = torch.rand(CLASSES, ATTRIBUTES, device=GPU)
        groups = torch.empty(ATTRIBUTES // 12, 12, dtype=torch.int64, device=GPU)
        with kept.counting():
            with autocast(dtype, GPU):
                output = published_step.training_pass(model, images) if published else model.training_pass(images)
            training_loss(output, labels, table, groups, method)
    resident = 4 * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return resident / 2**20, kept.mib


def pretend_there_is_a_gpu() -> None:
    """Replace the calls with which torch or the published implementation query a real GPU."""
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False  # type: ignore[assignment]
    torch.cuda.is_bf16_supported = lambda *_, **__: True  # type: ignore[assignment]
    F.scaled_dot_product_attention = attention  # type: ignore[assignment]
    # The published implementation selects windows by boolean indices, whose number depends on values.
    published_step._pooled = lambda windows, chosen: (windows * chosen.unsqueeze(-1)).sum(dim=1)


def attention(queries: Tensor, keys: Tensor, values: Tensor, dropout_p: float, scale: float) -> Tensor:
    """Use the kernel that torch chooses on a GPU; without one it would use the one that keeps every attention map."""
    if queries.dtype == torch.float32:
        fused = torch.ops.aten._scaled_dot_product_efficient_attention
        return fused(queries, keys, values, None, True, dropout_p, False, scale=scale)[0]
    return torch.ops.aten._scaled_dot_product_flash_attention(queries, keys, values, dropout_p, scale=scale)[0]


def move(network: nn.Module) -> None:
    """Move parameters and buffers to the GPU; they lose their values."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(torch.empty(parameter.shape, device=GPU)))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=GPU))


if __name__ == "__main__":
    main()
