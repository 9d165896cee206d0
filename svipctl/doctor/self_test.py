"""Test a device: compare its results with the CPU's, and measure speed and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from svipctl.datasets.images import NORMALISATIONS
from svipctl.device import autocast, choose_dtype, peak_memory, precision_name, use_device
from svipctl.doctor.finding import Finding
from svipctl.errors import is_out_of_memory
from svipctl.inference.network import build_network
from svipctl.model.backbone import image_size_of
from svipctl.model.losses import Terms, group_columns, training_loss
from svipctl.model.scores import normalise_class_attributes
from svipctl.model.svip import SVIP
from svipctl.model.training_pass import training_pass
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings
from svipctl.training.optimisation import Optimisation
from svipctl.training.step import Stepper

ATTRIBUTES, CLASSES = 312, 150
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Largest relative difference from the CPU; in float32 a difference of 1e-3 indicates TF32."""
_SMALL = "toybirds"
_BATCH, _BATCH_OF_CPU = 64, 2
_TIMED = 10  # steps, after three


@dataclass(frozen=True)
class Workload:
    """A network with random weights and a batch of random images, the same on each device."""

    network: SVIP
    images: Tensor
    """uint8 (B, 3, size, size)."""
    dtype: torch.dtype
    train: Callable[[], Tensor]
    """Function that trains a step and returns its metrics, on the device."""

    def predict(self) -> Tensor:
        """Return the predicted attributes (B, K)."""
        self.network.eval()
        with torch.no_grad(), autocast(self.dtype, self.images.device):
            predicted = self.network.predict(NORMALISATIONS["half"](self.images)).attributes
        self.network.train()
        return predicted


def make_workload(settings: Settings, device: torch.device, dtype: torch.dtype, batch_size: int) -> Workload:
    """Build the workload of a configuration, as `svipctl train` would run it.

    Raises:
        ConfigError: The backbone does not exist.

    """
    torch.manual_seed(0)
    words = torch.randn(ATTRIBUTES, 300)
    network = build_network(settings.model, settings.method, ATTRIBUTES, words).train()
    network.run_blocks(compiled=settings.train.compile, checkpointing=settings.train.checkpointing)
    size = image_size_of(network.backbone)
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8).to(device)
    labels = torch.randint(0, CLASSES, (batch_size,)).to(device)
    table = normalise_class_attributes(torch.rand(CLASSES, ATTRIBUTES)).to(device)
    groups = group_columns([range(start, start + 12) for start in range(0, ATTRIBUTES, 12)]).to(device)
    optimisation = Optimisation(network.to(device), settings.optim, epochs=100, steps_per_epoch=100)
    epoch = settings.optim.warmup_epochs
    optimisation.renew(epoch)

    def loss_of(images: Tensor, labels: Tensor, _: int, coverage: Tensor | None) -> Terms:
        output = training_pass(network, NORMALISATIONS["half"](images), dtype, coverage=coverage)
        return training_loss(output, labels, table, groups, settings.method)

    step = Stepper(loss_of, optimisation)
    return Workload(network, images, dtype, lambda: step(images, labels, epoch, 0))


def self_test(gpu: str = "auto", dataset: str = "cub") -> Iterator[Finding]:
    """Train and evaluate on a device, compare it with the CPU, and yield each finding at once.

    Args:
        gpu: Device, as for `--gpu`.
        dataset: Data set whose preset is timed.

    Raises:
        ConfigError: The device does not exist.

    """
    device = use_device(gpu)
    default = choose_dtype("auto", device)
    small = resolve(_SMALL).settings
    expected = _outcome(small, torch.device("cpu"), torch.float32)
    for dtype in dict.fromkeys((torch.float32, default)):
        yield compare_with_cpu(
            f"self-test {precision_name(dtype)}", device, _outcome(small, device, dtype), expected, dtype
        )
    yield from _speed(resolve(dataset).settings, device, default)


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference as a share of the expected norm; infinite if a value is not finite."""
    if not found.isfinite().all():
        return float("inf")
    return float((found - expected).norm() / expected.norm())


def seconds_a_call(call: Callable[[], object], device: torch.device, calls: int) -> float:
    """Return the mean seconds per call of consecutive calls, including the device's work."""
    _wait_for(device)
    started = time.perf_counter()
    for _ in range(calls):
        call()
    _wait_for(device)
    return (time.perf_counter() - started) / calls


def _outcome(settings: Settings, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    work = make_workload(settings, device, dtype, 4)
    figures = torch.stack([work.train(), work.train()]).double().cpu()
    losses, norms = figures[:, 0], figures[:, -1]
    return {"loss": losses, "gradient norm": norms, "attributes": work.predict().double().cpu()}


def compare_with_cpu(
    name: str, device: torch.device, found: dict[str, Tensor], expected: dict[str, Tensor], dtype: torch.dtype
) -> Finding:
    """Return the finding for results of a device next to those of the CPU in fp32; the tolerance is that of the dtype."""
    gaps = {what: relative_difference(value, expected[what]) for what, value in found.items()}
    good = max(gaps.values()) <= TOLERANCE[dtype]
    said = ", ".join(f"{what} {gap:.1e}" for what, gap in gaps.items())
    text = f"two training steps and an evaluation on {device} differ from the CPU in fp32 by {said}"
    todo = "" if good else "report it with the output of svipctl doctor, and use --gpu cpu"
    return Finding(name, "ok" if good else "wrong", f"{text} (allowed {TOLERANCE[dtype]:g})", todo)


def _speed(settings: Settings, device: torch.device, dtype: torch.dtype) -> Iterator[Finding]:
    is_cpu = device.type == "cpu"
    batch_size = _BATCH_OF_CPU if is_cpu else _BATCH
    what = f"{settings.model.backbone}, batch {batch_size}, {precision_name(dtype)} on {device}"
    try:
        work = make_workload(settings, device, dtype, batch_size)
        seconds_a_call(work.train, device, 1 if is_cpu else 3)
        training = seconds_a_call(work.train, device, 1 if is_cpu else _TIMED)
        memory = peak_memory(device)
        inference = seconds_a_call(work.predict, device, 1 if is_cpu else _TIMED)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        yield Finding("self-test memory", "wrong", f"not enough for {what}", "use --batch-size auto")
        return
    rates = f"training {batch_size / training:.1f} images/s, inference {batch_size / inference:.1f} images/s"
    yield Finding("self-test speed", "ok", f"{rates} ({what})")
    yield Finding("self-test memory", "ok", f"{memory:,.0f} MiB at most in training ({what})")


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
