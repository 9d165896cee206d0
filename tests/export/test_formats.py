"""Test each format, read in its own runtime: it answers as the graph does, and contains its description."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from svipctl.errors import DataError
from svipctl.export.description import KEY, from_text
from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.onnx import open_onnx, write_onnx
from svipctl.export.safetensors import open_safetensors, read_safetensors, write_safetensors
from svipctl.export.torch_export import open_torch, write_torch
from svipctl.model.recipe import Recipe
from tests.model.tiny import ARGUMENTS, ATTRIBUTES, NAME, svip, vit

pytestmark = pytest.mark.slow

PLAIN = Pixels()
HALF = ([0.5] * 3, [0.5] * 3)
FORMATS: dict[str, tuple[Callable[..., None], Callable[[Path], Any]]] = {
    "onnx": (write_onnx, open_onnx),
    "torch": (write_torch, open_torch),
    "safetensors": (write_safetensors, open_safetensors),
}


def description(recipe: Recipe, pixels: Pixels, precision: str) -> dict[str, Any]:
    return {
        "format": 1,
        "made_by": "test",
        "precision": precision,
        "pixels": {"kind": pixels.kind, "resize_inside": pixels.resize},
        "image_size": 32,
        "mean": HALF[0],
        "std": HALF[1],
        "backbone": NAME,
        "backbone_args": ARGUMENTS | {"depth": 1},
        "attributes": [str(number) for number in range(ATTRIBUTES)],
        "method": recipe.model_dump(mode="json"),
        "window": 2,
        "classifier_hidden": 8,
    }


Written = tuple[ExportGraph, Path, dict[str, Any]]
Write = Callable[..., Written]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Return a function that writes a file of a kind once, of few blocks, because an ONNX export takes seconds."""

    @functools.cache
    def once(kind: str, precision: str = "fp32", pixels: Pixels = PLAIN) -> Written:
        recipe = Recipe(keep=2, pooling="max")
        graph = ExportGraph(svip(recipe, backbone=vit(depth=1)), *HALF, 32, pixels, precision)  # type: ignore[arg-type]
        about = description(recipe, pixels, precision)
        path = tmp_path_factory.mktemp(kind) / "model"
        FORMATS[kind][0](graph, about, path)
        return graph, path, about

    return once


def inputs(pixels: Pixels, batch: int, classes: int, sides: tuple[int, int]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(batch)
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, *sides), dtype=np.uint8))
    table, gamma = rng.random((classes, ATTRIBUTES), dtype=np.float32), rng.random(classes, dtype=np.float32)
    return pixels.of_bytes(images).numpy(), table, gamma


def outputs(graph: ExportGraph, given: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    with torch.no_grad():
        return [output.numpy() for output in graph(*(torch.from_numpy(array) for array in given))]


@pytest.mark.parametrize("kind", FORMATS)
def test_batch_size_and_classes_are_free(kind: str, write: Write) -> None:
    graph, path, _ = write(kind)
    runner = FORMATS[kind][1](path)
    for batch, classes in ((1, 1), (3, 9), (16, 4)):
        given = inputs(PLAIN, batch, classes, (32, 32))
        for found, wanted in zip(runner(*given), outputs(graph, given)):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "precision", "pixels"),
    [("onnx", "int8", Pixels("float", resize=True)), ("torch", "fp16", PLAIN), ("safetensors", "fp16", PLAIN)],
)
def test_smaller_files_select_the_same_windows_and_nearly_the_same_scores(
    kind: str, precision: str, pixels: Pixels, write: Write
) -> None:
    _, path, _ = write(kind, precision, pixels)
    graph = ExportGraph(write("safetensors")[0].model, *HALF, 32, pixels)
    runner = FORMATS[kind][1](path)
    for sides in ((90, 50), (20, 61)) if pixels.resize else ((32, 32),):
        given = inputs(pixels, 3, 4, sides)
        found, (scores, _, patch_scores) = runner(*given), outputs(graph, given)
        np.testing.assert_allclose(found.patch_scores, patch_scores, atol=1e-5)
        np.testing.assert_allclose(found.scores, scores, atol=5e-2)
        assert not np.array_equal(found.scores, scores)


def test_half_precision_halves_the_blocks(write: Write) -> None:
    _, whole, _ = write("safetensors")
    _, half, _ = write("safetensors", "fp16")
    assert half.stat().st_size < whole.stat().st_size


def test_int8_quantises_the_blocks_and_leaves_no_other_file(write: Write) -> None:
    _, path, _ = write("onnx", "int8", Pixels("float", resize=True))
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("MatMulInteger") == 4  # qkv, proj and the two of the MLP in the one block
    assert [found.name for found in path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_description_is_in_every_file(kind: str, write: Write) -> None:
    _, path, about = write(kind)
    if kind == "onnx":
        (text,) = [entry.value for entry in onnx.load(path).metadata_props if entry.key == KEY]
        found = from_text(text, path)
    elif kind == "torch":
        extra = {KEY: ""}
        torch.export.load(path, extra_files=extra)
        found = from_text(extra[KEY], path)
    else:
        found = read_safetensors(path)[1]
    assert found == about


@pytest.mark.parametrize("content", [b"", b"no safetensors at all"])
def test_a_damaged_safetensors_file_is_a_data_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_safetensors(tmp_path / "model")


def test_a_safetensors_file_of_another_program_is_distinguished(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "model")
    with pytest.raises(DataError, match="not exported by this version"):
        read_safetensors(tmp_path / "model")
