"""Save and load the state of a training run, to the step: everything except the weights that the next step depends on.

The order of the images and their random transforms are functions of (seed, epoch, image), so a position in the run is
two numbers. The saved state is the optimizer, gradients that accumulate in parameters outside it (the published
warm-up), the random generators, the sums for the epoch's means, and the best epoch so far.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator, ConfigDict, NonNegativeInt, TypeAdapter, ValidationError

from svipctl.errors import DataError, explained_damage, misfits
from svipctl.pickles import torch_reason
from svipctl.quoting import shell_words
from svipctl.runs.manifest import is_expected, read_checked
from svipctl.training.optimisation import Optimisation

FILE = "training.pt"
_FIGURES_OF_0_1 = (
    *("loss", "cross_entropy", "patch", "consistency", "decorrelation"),
    *("source_accuracy", "patch_accuracy", "patch_auc", "patch_recall", "gradient_norm"),
)


def _named_sums(sums: Any) -> Any:
    """Return sums by name: release 0.1 wrote them in the order of its metrics, with one accuracy."""
    return dict(zip(_FIGURES_OF_0_1, sums)) if isinstance(sums, list) else sums


@dataclass
class Position:
    """A position between two steps."""

    __pydantic_config__ = ConfigDict(strict=True, revalidate_instances="always", allow_inf_nan=False)

    epoch: NonNegativeInt = 0
    """Number of finished epochs: trained, evaluated and recorded."""
    step: NonNegativeInt = 0
    """Number of finished steps of the current epoch."""
    sums: Annotated[dict[str, float], BeforeValidator(_named_sums)] = field(default_factory=dict)
    """Name of a metric -> its sum over those steps."""
    seconds: float = 0.0
    """Seconds of those steps."""
    waited: float = 0.0
    """Seconds of these in which the loop waited for batches."""
    best: dict[str, Any] = field(default_factory=dict)
    """Record of the epoch in `checkpoints/best`."""
    record: dict[str, Any] = field(default_factory=dict)
    """Record of the last finished epoch."""


def save_state(folder: Path, position: Position, optimisation: Optimisation) -> None:
    """Write `training.pt` into a checkpoint folder; it can be loaded with `weights_only=True`."""
    untrained = set(optimisation.untrained)
    waiting = [(name, value.grad) for name, value in optimisation.model.named_parameters() if value in untrained]
    state = {
        "progress": vars(position),
        "optimizer": optimisation.optimizer.state_dict(),
        "gradients": {name: gradient for name, gradient in waiting if gradient is not None},
        "random": _random_states(optimisation.parameters[0].device),
    }
    with (folder / FILE).open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch's own, at the end of a file that a full disk truncated
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.flush()
        os.fsync(file.fileno())


def load_state(folder: Path, optimisation: Optimisation) -> Position:
    """Restore optimizer, accumulated gradients and random generators, and return the position of the run.

    Load the weights first.

    Raises:
        DataError: The state is missing, damaged, or of another network.

    """
    with _state_of(folder) as state:
        position = _position(state)
        optimisation.renew(position.epoch if position.step else max(position.epoch - 1, 0))  # as it was when saved
        optimisation.optimizer.load_state_dict(state["optimizer"])
        parameters = dict(optimisation.model.named_parameters())
        for name, gradient in state["gradients"].items():
            parameters[name].grad = gradient.to(parameters[name].device)
        _set_random_states(state["random"], optimisation.parameters[0].device)
    return position


def read_position(folder: Path) -> tuple[int, int]:
    """Return the position of a checkpoint: finished epochs, and finished steps of the current one."""
    with _state_of(folder) as state:
        position = _position(state)
    return position.epoch, position.step


@contextmanager
def _state_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of `training.pt`; raise DataError if it is missing, damaged, or cannot be used in the block."""
    if not is_expected(folder, FILE):
        raise DataError(f"{folder} has no training state to resume from", todo="train again")
    todo = "train a new run without --resume; its weights may be intact: "
    todo += shell_words("--init-from", folder.parent.parent)
    content = read_checked(folder, FILE, todo=todo)
    with explained_damage(f"the training state {folder / FILE}", "is damaged", todo=todo, why=_why):
        yield torch.load(BytesIO(content), map_location="cpu", weights_only=True)


def _why(error: Exception) -> str:
    return misfits(error) if isinstance(error, ValidationError) else torch_reason(error)


def _position(state: dict[str, Any]) -> Position:
    """Return the position of a state; raises KeyError, TypeError and pydantic's ValueError."""
    return TypeAdapter(Position).validate_python(Position(**state["progress"]))


def _random_states(device: torch.device) -> dict[str, Any]:
    """Return the random states of Python, NumPy, torch, and the one GPU in use: others would allocate memory."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def _set_random_states(states: dict[str, Any], device: torch.device) -> None:
    version, numbers, normal = states["python"]
    random.setstate((version, tuple(numbers), normal))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
