"""Each format, read back in its own runtime, answers as the graph; what it says of itself travels with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from svipctl.errors import DataError
from svipctl.export.description import KEY, from_text
from svipctl.export.graph import Pixels, ShippedGraph
from svipctl.export.onnx import OnnxRunner, write_onnx
from svipctl.export.safetensors import SafetensorsRunner, read_safetensors, write_safetensors
from svipctl.export.torch_export import TorchRunner, write_torch
from svipctl.model.recipe import Recipe
from tests.model.tiny import ARGUMENTS, ATTRIBUTES, NAME, svip

HALF = ([0.5] * 3, [0.5] * 3)
FORMATS: dict[str, tuple[Callable[..., None], Callable[[Path], Any]]] = {
    "onnx": (write_onnx, OnnxRunner),
    "torch": (write_torch, TorchRunner),
    "safetensors": (write_safetensors, SafetensorsRunner),
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
        "backbone_args": ARGUMENTS,
        "attributes": [str(number) for number in range(ATTRIBUTES)],
        "method": recipe.model_dump(),
        "window": 2,
        "classifier_hidden": 8,
    }


def written(
    kind: str, folder: Path, *, pixels: Pixels | None = None, precision: str = "fp32", classes: int = 4
) -> tuple[ShippedGraph, Path, dict[str, Any]]:
    recipe, pixels = Recipe(keep=2, pooling="max"), pixels or Pixels()
    graph = ShippedGraph(svip(recipe), *HALF, 32, pixels, precision)  # type: ignore[arg-type]
    about = description(recipe, pixels, precision)
    FORMATS[kind][0](graph, about, classes, folder / "model")
    return graph, folder / "model", about


def inputs(pixels: Pixels, batch: int, classes: int, sides: tuple[int, int]) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(batch)
    images = torch.from_numpy(rng.integers(0, 256, (batch, 3, *sides), dtype=np.uint8))
    table, gamma = rng.random((classes, ATTRIBUTES), dtype=np.float32), rng.random(classes, dtype=np.float32)
    return pixels.of_bytes(images).numpy(), table, gamma


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("pixels", [Pixels(), Pixels("float", resize=True)])
def test_batch_size_classes_and_image_size_are_free(kind: str, pixels: Pixels, tmp_path: Path) -> None:
    graph, path, _ = written(kind, tmp_path, pixels=pixels)
    runner = FORMATS[kind][1](path)
    for batch, classes, sides in ((1, 1, (32, 32)), (3, 9, (90, 50)), (16, 4, (20, 61))):
        given = inputs(pixels, batch, classes, sides if pixels.resize else (32, 32))
        with torch.no_grad():
            expected = graph(*(torch.from_numpy(array) for array in given))
        for found, wanted in zip(runner(*given), expected):
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)


def test_a_file_traced_with_one_class_takes_many(tmp_path: Path) -> None:
    _, path, _ = written("onnx", tmp_path, classes=1)
    assert OnnxRunner(path)(*inputs(Pixels(), 2, 5, (32, 32))).scores.shape == (2, 5)


@pytest.mark.parametrize(("kind", "precision"), [("onnx", "fp16"), ("onnx", "int8"), ("torch", "fp16"), ("safetensors", "fp16")])  # fmt: skip
def test_smaller_files_choose_the_same_windows_and_nearly_the_same_scores(
    kind: str, precision: str, tmp_path: Path
) -> None:
    graph, path, _ = written(kind, tmp_path)
    whole = path.stat().st_size
    _, path, _ = written(kind, tmp_path, precision=precision)
    assert path.stat().st_size < whole
    given = inputs(Pixels(), 3, 4, (32, 32))
    with torch.no_grad():
        scores, _, patch_scores = (output.numpy() for output in graph(*(torch.from_numpy(array) for array in given)))
    found = FORMATS[kind][1](path)(*given)
    np.testing.assert_allclose(found.patch_scores, patch_scores, atol=1e-5)
    np.testing.assert_allclose(found.scores, scores, atol=5e-2)
    assert not np.array_equal(found.scores, scores)


def test_int8_quantises_the_blocks_and_leaves_no_other_file(tmp_path: Path) -> None:
    _, path, _ = written("onnx", tmp_path, precision="int8")
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("MatMulInteger") == 4 * ARGUMENTS["depth"]
    assert [found.name for found in tmp_path.iterdir()] == ["model"]


def test_the_description_is_in_every_file(tmp_path: Path) -> None:
    for kind in FORMATS:
        (tmp_path / kind).mkdir()
        _, path, about = written(kind, tmp_path / kind)
        if kind == "onnx":
            text = OnnxRunner(path).session.get_modelmeta().custom_metadata_map[KEY]
        elif kind == "torch":
            extra = {KEY: ""}
            torch.export.load(path, extra_files=extra)
            text = extra[KEY]
        else:
            text = None
        assert (from_text(text, path) if text else read_safetensors(path)[1]) == about


@pytest.mark.parametrize("content", [b"", b"no safetensors at all"])
def test_a_damaged_safetensors_file_is_a_data_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_safetensors(tmp_path / "model")


def test_another_programs_safetensors_file_is_told_apart(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"weight": torch.ones(2)}, tmp_path / "model")
    with pytest.raises(DataError, match="not exported by this version"):
        read_safetensors(tmp_path / "model")
