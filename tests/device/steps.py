"""Run training steps, saving, resuming and inference of a tiny network, on any device."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svipctl.datasets.images import NORMALISATIONS, mirrored
from svipctl.device import autocast
from svipctl.model.losses import Terms, training_loss
from svipctl.model.training_pass import training_pass
from svipctl.settings.layers import resolve
from svipctl.training.optimisation import Optimisation
from svipctl.training.state import Position, load_state, save_state
from svipctl.training.step import Stepper
from tests.device import simulated
from tests.model.tiny import ATTRIBUTES, svip
from tests.reference.test_switches_matter import FLIPPED

_REFERENCE = resolve("cub", flags={"recipe": "reference"}).settings.method
RECIPES = {name: resolve("cub", flags={"recipe": name}).settings.method for name in ("svipctl", "reference", "paper")}
RECIPES |= {name: _REFERENCE.model_copy(update={name: value}) for name, value in FLIPPED.items()}
RECIPES["class-token"] = _REFERENCE.model_copy(update={"head": "class-token", "passes": "source"})
RECIPES |= {name: RECIPES["svipctl"].model_copy(update={"selection": name}) for name in ("random", "centre", "object")}
PLACES = {
    "class scores": "svipctl.model.losses.class_scores",
    "normalisation": "svipctl.datasets.images._channels",
    "rollout": "svipctl.model.rollout._starting_row",
    "selected windows": "svipctl.model.svip.top_mask",
    "word vectors": "svipctl.model.contextualization.WordContext.forward",
    "patch logits": "svipctl.model.patch_classifier.PatchClassifier.logits",
}
"""Functions whose result can be moved to the CPU, by a name for it."""


@dataclass(frozen=True)
class Case:
    """Network, recipe and options of training."""

    recipe: str
    dtype: torch.dtype = torch.float32
    frozen: bool = False
    checkpointing: Any = "none"
    parts: int = 1


@dataclass(frozen=True)
class Outcome:
    """Figures of the steps, (steps, figures), and predicted attributes, (B, K)."""

    figures: Tensor
    attributes: Tensor


def run(case: Case, kind: str) -> Outcome:
    """Train two steps, the second without waits, save and load the state, train a third step and predict."""
    device = torch.device("cpu") if kind == "cpu" else torch.device(kind, 0)
    recipe = RECIPES[case.recipe]
    torch.manual_seed(0)
    model = svip(recipe).train()
    model.run_blocks(checkpointing=case.checkpointing)
    model.to(device)
    optim = resolve("cub", flags={"recipe": "svipctl"}).settings.optim
    optimisation = Optimisation(model, optim.model_copy(update={"warmup_epochs": 1}), epochs=3, steps_per_epoch=3)
    epoch = 0 if case.frozen else 1
    if epoch:
        optimisation.renew(epoch)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    rows = torch.randint(0, 4, (4,), generator=generator)
    table = torch.rand(4, ATTRIBUTES, generator=generator).to(device)
    scores = torch.rand(4, model.grid.windows, generator=generator)
    groups = torch.tensor([[0, 1], [2, 3]]).to(device)

    def loss_of(images: Tensor, labels: Tensor, epoch: int, coverage: Tensor | None) -> Terms:
        frozen = optimisation.backbone_is_frozen(epoch)
        inputs = NORMALISATIONS["half"](images)
        output = training_pass(model, inputs, case.dtype, frozen_backbone=frozen, coverage=coverage)
        return training_loss(output, labels, table, groups, recipe)

    step = Stepper(loss_of, optimisation, parts=case.parts)

    def train(number: int) -> Tensor:
        images = mirrored(pixels.to(device, non_blocking=True), torch.tensor([True, False, True, False]))
        labels, coverage = rows.to(device, non_blocking=True), scores.to(device, non_blocking=True)
        return step(images, labels, epoch, number, coverage)

    NORMALISATIONS["half"](pixels.to(device))  # its constants are copied once
    figures = [train(0)]  # the first may wait: libraries are loaded
    with forbid_waits(device):
        figures.append(train(1))
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder), Position(epoch=epoch, step=2), optimisation)
        load_state(Path(folder), optimisation)
    figures.append(train(2))
    model.eval()
    images = NORMALISATIONS["half"](pixels.to(device))
    with torch.no_grad(), autocast(case.dtype, device):
        predicted = model.predict(images, coverage=scores.to(device))
        model.source_attention(images)
    return Outcome(torch.stack(figures).cpu(), predicted.attributes.float().cpu())


@contextmanager
def forbid_waits(device: torch.device) -> Iterator[None]:
    """Make a wait for the device an error."""
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        with simulated.Waits.set_allowed(False):
            yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def run_with(place: str, change: Callable[[Tensor], Tensor]) -> None:
    """Run the recipe `svipctl` on the device, with the result of one of `PLACES` changed."""
    path, _, name = PLACES[place].rpartition(".")
    module, _, kind = path.rpartition(".")
    owner: Any = getattr(importlib.import_module(module), kind) if kind[0].isupper() else importlib.import_module(path)
    original = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Tensor:
        return change(original(*arguments, **named))

    setattr(owner, name, changed)
    try:
        run(Case("svipctl"), simulated.NAME)
    finally:
        setattr(owner, name, original)


def on_cpu(value: Tensor) -> Tensor:
    """Copy a tensor to the CPU, without counting the wait."""
    with simulated.Waits.set_allowed(True):
        return value.cpu()


def waited_for(value: Tensor) -> Tensor:
    """Wait for a value of a tensor."""
    value.flatten()[0].item()
    return value
