"""Count the kernels that a training step launches, the bytes that they read and write, and waits, without a GPU.

    PYTHONPATH=. python benchmarks/launches.py --backbone vit_base --batch-size 64

The step runs on the simulated device of the tests, on tensors that have a size and no values, with the operators that
torch chooses on CUDA: its autocast, fused attention, and clipping and updates of many tensors at once. Each operator
that is not a view counts as one launch; an operator over many tensors as the number that torch's `multi_tensor_apply`
needs for their number and size. The bytes are those of all arguments and results. Needs a torch with a Python backend
for devices, such as 2.15.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from svipctl.datasets.images import NORMALISATIONS, mirrored
from svipctl.model import backbone
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.svip import SVIP
from svipctl.model.training_pass import training_pass
from svipctl.settings.layers import resolve
from svipctl.training.optimisation import Optimisation
from svipctl.training.step import Stepper
from tests.device import simulated

ATTRIBUTES, CLASSES = 312, 150
GROUPS = [range(start, start + 12) for start in range(0, ATTRIBUTES, 12)]
_NO_KERNEL = {"empty", "empty_strided", "empty_like", "new_empty", "_local_scalar_dense"}
_CHUNK, _BLOCKS, _TENSORS = 65536, 320, (110, 64, 48, 36, 30)  # of multi_tensor_apply: elements per launch, by lists


class Count(TorchDispatchMode):
    """Launches and bytes, by part of the step and by operator."""

    def __init__(self) -> None:
        super().__init__()
        self.part = "forward"
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.operators: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        if not func.is_view and name not in _NO_KERNEL and not name.startswith("_unsafe_view"):
            tensors = [value for value in tree_flatten((args, kwargs, result))[0] if isinstance(value, Tensor)]
            launches = many(args) if name.startswith(("_foreach", "_fused_adam")) else 1
            self.launches[self.part] += launches
            self.operators[name] += launches
            self.bytes[self.part] += sum(value.numel() * value.element_size() for value in tensors)
        return result


def many(args: Any) -> int:
    """Return the launches of an operator over lists of tensors."""
    lists = [value for value in args if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor)]
    chunks = sum(math.ceil(value.numel() / _CHUNK) for value in lists[0])
    return max(math.ceil(chunks / _BLOCKS), math.ceil(len(lists[0]) / _TENSORS[len(lists) - 1]))


def attention(queries: Tensor, keys: Tensor, values: Tensor, dropout: float, scale: float) -> Tensor:
    """Use the kernel that torch chooses on a GPU."""
    if queries.dtype == torch.float32:
        fused = torch.ops.aten._scaled_dot_product_efficient_attention
        return fused(queries, keys, values, None, True, dropout, False, scale=scale)[0]
    return torch.ops.aten._scaled_dot_product_flash_attention(queries, keys, values, dropout, scale=scale)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_base")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--recipe", default="svipctl")
    wanted = parser.parse_args()
    settings = resolve("cub", flags={"recipe": wanted.recipe}).settings
    dtype = torch.bfloat16 if wanted.recipe == "svipctl" else torch.float32
    words = torch.randn(ATTRIBUTES, 300)
    network = SVIP(backbone.create_backbone(wanted.backbone), ATTRIBUTES, settings.method, word_vectors=words).train()
    side = backbone.image_size_of(network.backbone)
    simulated.install()
    simulated.BACKING[0] = torch.device("meta")
    backbone._mix = lambda one, queries, keys, values: attention(queries, keys, values, 0.0, one.scale)
    clip_grad._has_foreach_support = lambda tensors, device: True  # as for tensors of CUDA
    device, count = simulated.device(), Count()
    network.to(device)
    table, groups = torch.rand(CLASSES, ATTRIBUTES).to(device), group_columns(GROUPS).to(device)
    optimisation = Optimisation(network, settings.optim, epochs=30, steps_per_epoch=100)
    optimisation.renew(settings.optim.warmup_epochs)

    def loss_of(images: Tensor, labels: Tensor, epoch: int, _: Tensor | None) -> Terms:
        output = training_pass(network, NORMALISATIONS["imagenet"](images), dtype)
        count.part = "loss"
        terms = training_loss(output, labels, table, groups, settings.method)
        count.part = "backward"
        return terms

    apply = optimisation.apply

    def update(epoch: int, number: int) -> Tensor:
        count.part = "clip and update"
        return apply(epoch, number)

    optimisation.apply = update  # type: ignore[method-assign]
    step = Stepper(loss_of, optimisation)
    pixels = torch.zeros(wanted.batch_size, 3, side, side, dtype=torch.uint8)
    rows, mirror = torch.zeros(wanted.batch_size, dtype=torch.int64), torch.zeros(wanted.batch_size, dtype=torch.bool)

    def train(number: int) -> None:
        count.part = "forward"
        images = mirrored(pixels.to(device, non_blocking=True), mirror)
        step(images, rows.to(device, non_blocking=True), settings.optim.warmup_epochs, number)

    train(0)
    with count, simulated.Waits.set_allowed(False):
        train(1)
    print(
        f"{wanted.recipe}, {wanted.backbone}, batch {wanted.batch_size}: {sum(count.launches.values()):,} launches, ",
        end="",
    )
    print(f"{sum(count.bytes.values()) / 1e9:.1f} GB, no wait")
    for part, launches in count.launches.items():
        print(f"  {part:16} {launches:5,} launches {count.bytes[part] / 1e9:6.2f} GB")
    for name, launches in count.operators.most_common(12):
        print(f"  {name:45} {launches:5,}")


if __name__ == "__main__":
    main()
