"""Time one training step and one inference batch: the published implementation and svipctl's engine, in one process.

    python benchmarks/engine.py --backbone vit_base --batch-size 8
    python benchmarks/engine.py --backbone vit_base --batch-size 64 --device cuda

`svipctl` is what `--precision auto` gives: bf16 if the hardware multiplies bf16 matrices, else fp32.
The configurations alternate on the same images for several rounds, so that a busy machine slows all of them;
the fastest round counts. Peak memory on a GPU is per configuration, without the memory that the others keep. "Kept" is
what the forward passes of a step save for its backward pass, on any device. "Operations" are the multiplications and
additions of matrix products and convolutions as torch counts them in the plain passes; the share of the machine's rate
compares them with a large product timed here.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import published_step
import torch
from saved_tensors import SavedTensors
from torch.utils.flop_counter import FlopCounterMode

from svipctl.device import autocast, choose_dtype, cpu_has_bf16
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.recipe import Recipe
from svipctl.model.scores import normalise_class_attributes
from svipctl.model.svip import SVIP, Checkpointing
from svipctl.settings.layers import resolve
from svipctl.training.optimisation import Optimisation
from svipctl.training.step import Stepper

ATTRIBUTES, CLASSES = 312, 150
BATCHES = 4  # per inference call, as an evaluation has many
GROUPS = [list(range(start, start + 12)) for start in range(0, ATTRIBUTES, 12)]


@dataclass
class Timed:
    """A configuration: a training step, an inference, and their times per round."""

    name: str
    dtype: torch.dtype
    model: SVIP
    train: Callable[[], object]
    infer: Callable[[], object]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"train": [], "infer": []})
    memory: dict[str, float] = field(default_factory=dict)
    resident: float = 0.0
    """Device memory of the parameters, gradients and moments between two calls, in MiB."""
    kept: float = 0.0
    """Memory that a training step saves for its backward pass, in MiB."""


def main() -> None:
    wanted = arguments()
    device = torch.device(wanted.device)
    torch.manual_seed(0)
    size = image_size_of(create_backbone(wanted.backbone))
    images = torch.randn(wanted.batch_size, 3, size, size, device=device)
    labels = torch.randint(0, CLASSES, (wanted.batch_size,), device=device)
    words = torch.randn(ATTRIBUTES, 300)
    table = normalise_class_attributes(torch.rand(CLASSES, ATTRIBUTES)).to(device)
    groups = group_columns(GROUPS).to(device)

    def network(recipe: Recipe) -> SVIP:
        torch.manual_seed(0)
        return SVIP(create_backbone(wanted.backbone), ATTRIBUTES, recipe, word_vectors=words).to(device).train()

    def published() -> Timed:
        model = network(resolve("cub", flags={"recipe": "reference"}).settings.method)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
        return Timed(
            "published",
            torch.float32,
            model,
            lambda: published_step.training_step(model, optimizer, images, labels, table, groups),
            lambda: [published_step.inference(model, images) for _ in range(BATCHES)],
        )

    def ours(
        name: str, recipe: str, dtype: torch.dtype, *, compiled: bool = False, checkpointing: Checkpointing = "none"
    ) -> Timed:
        settings = resolve("cub", flags={"recipe": recipe}).settings
        model = network(settings.method)
        model.run_blocks(compiled=compiled, checkpointing=checkpointing)
        optimisation = Optimisation(model, settings.optim, epochs=30, steps_per_epoch=100)
        optimisation.renew(settings.optim.warmup_epochs)

        def loss_of(some: torch.Tensor, theirs: torch.Tensor, epoch: int, _: torch.Tensor | None) -> Terms:
            with autocast(dtype, device):
                output = model.training_pass(some)
            return training_loss(output, theirs, table, groups, settings.method)

        step = Stepper(loss_of, optimisation)

        def infer() -> object:
            with torch.no_grad(), autocast(dtype, device):  # open over all batches, as in TrainedModel.inference
                return [model.predict(images).attributes for _ in range(BATCHES)]

        return Timed(name, dtype, model, lambda: step(images, labels, settings.optim.warmup_epochs, 1), infer)

    auto, half = choose_dtype("auto", device), torch.bfloat16
    makers: dict[str, Callable[[], Timed]] = {
        "published": published,
        "reference": lambda: ours("reference", "reference", torch.float32),
        "svipctl-fp32": lambda: ours("svipctl-fp32", "svipctl", torch.float32),
        "svipctl-bf16": lambda: ours("svipctl-bf16", "svipctl", half),
        "svipctl": lambda: ours("svipctl", "svipctl", auto),
        "svipctl-mlp": lambda: ours("svipctl-mlp", "svipctl", auto, checkpointing="mlp"),
        "svipctl-blocks": lambda: ours("svipctl-blocks", "svipctl", auto, checkpointing="blocks"),
        "svipctl-compiled": lambda: ours("svipctl-compiled", "svipctl", auto, compiled=True),
        "svipctl-compiled-mlp": lambda: ours(
            "svipctl-compiled-mlp", "svipctl", auto, compiled=True, checkpointing="mlp"
        ),
    }
    names = ["published", "reference", *(["svipctl-fp32"] if auto == half else []), "svipctl", "svipctl-mlp"]
    names += ["svipctl-blocks", "svipctl-compiled", "svipctl-compiled-mlp"]
    names = wanted.configurations.split(",") if wanted.configurations else names
    if unknown := set(names) - set(makers):
        raise SystemExit(f"--configurations {','.join(sorted(unknown))}: the names are {', '.join(makers)}")
    chosen = []
    for name in names:
        before = allocated_mib(device)
        one = makers[name]()
        for kind in ("train", "infer"):  # the first call allocates, chooses kernels and compiles
            timed(getattr(one, kind), device)
        one.resident = allocated_mib(device) - before
        kept = SavedTensors(one.model)
        with kept.counting():
            one.train()
        one.kept = kept.mib
        del kept
        chosen.append(one)
    for _ in range(wanted.rounds):
        for one in chosen:
            for kind in ("train", "infer"):
                restart_peak(device)
                of_others = allocated_mib(device) - one.resident
                calls = BATCHES if kind == "infer" else 1
                one.seconds[kind].append(timed(getattr(one, kind), device) / calls)
                one.memory[kind] = peak_mib(device) - of_others

    operations = counted(ours("count", "svipctl", torch.float32), images)
    dtypes = dict.fromkeys([torch.float32, auto, *(one.dtype for one in chosen)])
    rates = {name_of(dtype): matrix_rate(dtype, device) for dtype in dtypes}
    report = summary(chosen, wanted, operations, rates, device)
    show(report)
    if wanted.json:
        wanted.json.write_text(json.dumps(report, indent=2) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vit_base")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--configurations", help="names with commas between, the published one first")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def timed(work: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def restart_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def allocated_mib(device: torch.device) -> float:
    """Return the current size of the device's tensors, in MiB."""
    return torch.cuda.memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0


def peak_mib(device: torch.device) -> float:
    """Return the maximum since `restart_peak`, in MiB; NaN on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else float("nan")


def counted(one: Timed, images: torch.Tensor) -> dict[str, float]:
    """Return the operations per image."""
    found = {}
    for kind in ("train", "infer"):
        with FlopCounterMode(display=False) as counter:
            getattr(one, kind)()
        found[kind] = counter.get_total_flops() / len(images) / (BATCHES if kind == "infer" else 1)
    return found


def matrix_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Return the operations per second of a large product, the best of several."""
    side = 8192 if device.type == "cuda" else 2048
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: one @ other, device) for _ in range(10))


def summary(
    chosen: list[Timed],
    wanted: argparse.Namespace,
    operations: dict[str, float],
    rates: dict[str, float],
    device: torch.device,
) -> dict[str, object]:
    base = chosen[0]
    rows = []
    for one in chosen:
        rate = rates[name_of(one.dtype)]
        row: dict[str, object] = {"configuration": one.name, "kept_mib": one.kept}
        for kind in ("train", "infer"):
            seconds = min(one.seconds[kind])
            row[kind] = {
                "seconds": seconds,
                "images_per_second": wanted.batch_size / seconds,
                "ratio": min(base.seconds[kind]) / seconds,
                "share_of_matrix_rate": wanted.batch_size * operations[kind] / seconds / rate,
                "peak_mib": None if device.type == "cpu" else one.memory[kind],
            }
        rows.append(row)
    return {
        "machine": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "bf16_units": device.type == "cuda" or cpu_has_bf16(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "backbone": wanted.backbone,
        "batch_size": wanted.batch_size,
        "rounds": wanted.rounds,
        "operations_per_image": operations,
        "matrix_rate": rates,
        "rows": rows,
    }


def show(report: dict[str, object]) -> None:
    print({key: value for key, value in report.items() if key != "rows"})
    for row in report["rows"]:
        print(f"{row['configuration']:22} keeps {row['kept_mib']:.0f} MiB for the backward pass")
        for kind in ("train", "infer"):
            figures = row[kind]
            print(
                f"{row['configuration']:22} {kind:6} {figures['seconds']:8.3f} s {figures['images_per_second']:8.2f} images/s"
                f"  ratio {figures['ratio']:5.2f}  share of matrix rate {figures['share_of_matrix_rate']:.2f}"
                + (f"  peak {figures['peak_mib']:.0f} MiB" if figures["peak_mib"] else "")
            )


if __name__ == "__main__":
    main()
