"""Time a training step on the host: a ViT of 12 blocks, on tensors so small that its kernels take almost no time.

    PYTHONPATH=. python benchmarks/host_time.py [--precision bf16] [--steps 150]

Width 32, 12 blocks, one image of 16 patches, recipe `svipctl`, on one thread of the CPU. Prints the fastest step by
part, and the number of Python function calls in a step, which does not depend on the load of the machine.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

import torch
from torch import Tensor

from svipctl.datasets.images import NORMALISATIONS, mirrored
from svipctl.model.backbone import create_backbone
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.svip import SVIP
from svipctl.model.training_pass import training_pass
from svipctl.settings.layers import resolve
from svipctl.training.optimisation import Optimisation
from svipctl.training.step import Stepper

ATTRIBUTES, CLASSES = 312, 150
SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "num_heads": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--steps", type=int, default=150)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    dtype = torch.bfloat16 if wanted.precision == "bf16" else torch.float32
    settings = resolve("cub", flags={"recipe": "svipctl"}).settings
    words = torch.randn(ATTRIBUTES, 300)
    network = SVIP(create_backbone("vit_base", SMALL), ATTRIBUTES, settings.method, word_vectors=words).train()
    table = torch.rand(CLASSES, ATTRIBUTES)
    groups = group_columns([range(start, start + 12) for start in range(0, ATTRIBUTES, 12)])
    optimisation = Optimisation(network, settings.optim, epochs=30, steps_per_epoch=100)
    epoch = settings.optim.warmup_epochs
    optimisation.renew(epoch)
    fastest: dict[str, float] = {}

    def clocked(part: str, started: float) -> None:
        fastest[part] = min(fastest.get(part, float("inf")), 1000 * (time.perf_counter() - started))

    def loss_of(images: Tensor, labels: Tensor, epoch: int, _: Tensor | None) -> Terms:
        started = time.perf_counter()
        output = training_pass(network, NORMALISATIONS["imagenet"](images), dtype)
        clocked("forward", started)
        started = time.perf_counter()
        terms = training_loss(output, labels, table, groups, settings.method)
        clocked("loss", started)
        return terms

    apply = optimisation.apply

    def update(epoch: int, number: int) -> Tensor:
        started = time.perf_counter()
        norm = apply(epoch, number)
        clocked("clip and update", started)
        return norm

    optimisation.apply = update  # type: ignore[method-assign]
    step = Stepper(loss_of, optimisation)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    labels, mirror = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)

    def train(number: int) -> None:
        started = time.perf_counter()
        step(mirrored(pixels, mirror), labels, epoch, number)
        clocked("step", started)

    for number in range(10):
        train(number)
    fastest.clear()
    for number in range(wanted.steps):
        train(number)
    print(f"{wanted.precision}: " + ", ".join(f"{part} {took:.2f} ms" for part, took in fastest.items()))
    profile = cProfile.Profile()
    profile.runcall(train, 0)
    print(f"{pstats.Stats(profile).total_calls:,} calls of functions in a step")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
