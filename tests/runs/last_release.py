"""Read the committed runs of release 0.1.0; tests/data/runs-0.1/README.md describes how they were made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

COMMITTED = Path(__file__).parents[1] / "data" / "runs-0.1"


def recorded(relative: str) -> Any:
    """Return a committed JSON document."""
    return json.loads((COMMITTED / relative).read_text(encoding="utf-8"))


def copy_runs(folder: Path) -> Path:
    """Copy the runs into `folder`, with the training state of `stopped` as release 0.1.0 wrote it."""
    runs = Path(shutil.copytree(COMMITTED / "runs" / "small", folder))
    last = runs / "stopped" / "checkpoints" / "last"
    tensors, structure = last / "training.safetensors", last / "training.json"
    torch.save(_restored(json.loads(structure.read_text(encoding="utf-8")), load_file(tensors)), last / "training.pt")
    tensors.unlink()
    structure.unlink()
    return runs


def _restored(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return the Python value that a node of training.json describes."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _restored(one, tensors) for key, one in content}
    return {"list": list, "tuple": tuple}[kind](_restored(one, tensors) for one in content)
