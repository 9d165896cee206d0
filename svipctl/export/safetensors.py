"""Export the weights as safetensors with a description from which svipctl rebuilds the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from svipctl.errors import ConfigError, DataError
from svipctl.export.description import KEY, from_text, to_text
from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.runner import Runner
from svipctl.inference.network import network_from_state
from svipctl.model.svip import SVIP


def write_safetensors(graph: ExportGraph, description: dict[str, Any], path: Path) -> None:
    """Write the weights under the names of the checkpoint, fp16 where the graph computes in it."""
    tensors = {name: tensor.contiguous() for name, tensor in graph.model.state_dict().items()}
    # `save_file` creates files that only the owner may read.
    path.write_bytes(save(tensors, metadata={KEY: to_text(description)}))


def read_safetensors(path: Path) -> tuple[SVIP, dict[str, Any]]:
    """Return the network in fp32 arithmetic, and the description.

    Raises:
        DataError: The file is damaged, or was not written by `write_safetensors`.

    """
    try:
        with safe_open(path, framework="pt") as file:
            description = from_text((file.metadata() or {}).get(KEY), path)
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
        model = network_from_state(description, state)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (SafetensorError, ConfigError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged or not an exported model", why=str(error)) from error
    return model.eval(), description


def open_safetensors(path: Path) -> Runner:
    """Return the file in svipctl's own network, on the CPU."""
    model, about = read_safetensors(path)
    pixels = Pixels(about["pixels"]["kind"], about["pixels"]["resize_inside"])
    graph = ExportGraph(model, about["mean"], about["std"], about["image_size"], pixels)
    return Runner.of_module("svipctl", graph)
