"""Compare the speed of an exported file in onnxruntime with the model in eager PyTorch, fp32, on the same cores.

Both take uint8 pixels, a class table and gamma, and give the same answers (`svipctl export` has checked that). They
alternate in one process, each with the requested number of threads; the fastest round of each is reported.

    PYTHONPATH=. python benchmarks/exported.py RUN --threads 2
    PYTHONPATH=. python benchmarks/exported.py --backbone deit_base --threads 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.onnx import open_onnx, write_onnx
from svipctl.inference.load import load_checkpoint
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP

BATCHES = (1, 16)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--backbone", default="deit_base", help="Without a run: random weights of this backbone.")
    parser.add_argument("--attributes", type=int, default=312)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.run:
        trained = load_checkpoint(chosen.run / "checkpoints" / "best")
        model, size, attributes = trained.network, trained.metadata.image_size, len(trained.attributes)
    else:
        backbone, attributes = create_backbone(chosen.backbone), chosen.attributes
        size = image_size_of(backbone)
        model = SVIP(backbone, attributes, Recipe(context="free")).eval()
    graph = ExportGraph(model, [0.5] * 3, [0.5] * 3, size, Pixels())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(graph, {"precision": "fp32", "made_by": "benchmark"}, path)
        runner = open_onnx(path, chosen.threads)
    rng = np.random.default_rng(0)
    table = rng.random((chosen.classes, attributes), dtype=np.float32)
    gamma = np.zeros(chosen.classes, dtype=np.float32)
    for batch in BATCHES:
        images = rng.integers(0, 256, (batch, 3, size, size), dtype=np.uint8)
        tensors = tuple(torch.from_numpy(array) for array in (images, table, gamma))

        def eager(given: tuple[torch.Tensor, ...] = tensors) -> object:
            with torch.inference_mode():
                return graph(*given)

        def exported(given: tuple[np.ndarray, ...] = (images, table, gamma)) -> object:
            return runner(*given)

        once = max(seconds(eager), seconds(exported))
        repeats = max(1, min(200, int(1.5 / once)))
        rounds = {"eager": [], "onnxruntime": []}  # type: dict[str, list[float]]
        for _ in range(chosen.rounds):
            for name, work in (("eager", eager), ("onnxruntime", exported)):
                rounds[name].append(sum(seconds(work) for _ in range(repeats)) / repeats)
        best = {name: min(found) for name, found in rounds.items()}
        print(
            f"batch {batch:2d}: eager {1e3 * best['eager']:.2f} ms, onnxruntime {1e3 * best['onnxruntime']:.2f} ms, "
            f"{best['eager'] / best['onnxruntime']:.2f} times as fast ({repeats} calls a round, {chosen.rounds} rounds)",
            flush=True,
        )


if __name__ == "__main__":
    main()
