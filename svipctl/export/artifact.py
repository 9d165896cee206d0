"""Exporting a run: write the file aside, compare it in its own runtime, and only then put it in place."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.evaluation.leakage import check_untouched
from svipctl.export.card import CARD, is_ours, model_card
from svipctl.export.description import describe
from svipctl.export.graph import ExportPrecision, Pixels, ShippedGraph
from svipctl.export.onnx import OnnxRunner, require_onnx, write_onnx
from svipctl.export.parity import TOLERANCE, compare
from svipctl.export.runner import Runner
from svipctl.export.safetensors import SafetensorsRunner, write_safetensors
from svipctl.export.torch_export import TorchRunner, write_torch
from svipctl.files import atomic_write_text, file_sha256, unfinished_file
from svipctl.inference.checkpoint import read_metadata
from svipctl.inference.gamma import Gamma
from svipctl.inference.load import load_run
from svipctl.quoting import shell_words
from svipctl.runs.run import Run
from svipctl.types import ProgressCallback

Format = Literal["onnx", "torch", "safetensors"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
_WRITERS = {"onnx": write_onnx, "torch": write_torch, "safetensors": write_safetensors}
_RUNNERS: dict[Format, Callable[[Path], Runner]] = {
    "onnx": OnnxRunner,
    "torch": TorchRunner,
    "safetensors": SafetensorsRunner,
}

_SHARES: dict[ExportPrecision, float] = {"fp32": 1.0, "fp16": 0.5, "int8": 0.25}
"""Size of the weights in the file against those of the run."""
_NOT_OF_PIXELS = ("random", "object")


def format_of(path: Path) -> Format | None:
    """The format whose files are named so, if any."""
    return next((format for format, suffix in SUFFIXES.items() if path.suffix.lower() == suffix), None)


@dataclass(frozen=True)
class Order:
    """What is to be exported, and how it is checked."""

    format: Format
    output: Path | None = None
    """The file; by default in the run's folder, one folder for each kind of export."""
    precision: ExportPrecision = "fp32"
    pixels: Pixels = field(default_factory=Pixels)
    gamma: Gamma | None = None
    """Written into the file's description; the run's calibrated one if None."""
    licence: str | None = None
    """Of the weights, as their owner states it."""
    images: int = 256
    """Evaluation images to compare on, evenly chosen; 0 for all."""
    tolerance: float | None = None
    """`parity.TOLERANCE` of the precision if None."""
    replace: bool = False
    """True if files that are there already may be replaced."""

    def file(self, run: Run) -> Path:
        """Where the export goes."""
        if self.output is not None:
            return self.output
        kind = "-".join([self.format, self.precision, self.pixels.kind] + ["resize"] * self.pixels.resize)
        return run.folder / "export" / kind / f"model{SUFFIXES[self.format]}"

    def plan(self, run: Run) -> dict[str, Any]:
        """Return what an export would write, and about how large it would be."""
        weights = run.best / "model.safetensors"
        size = weights.stat().st_size if weights.exists() else 0
        return {
            "run": str(run.folder),
            "file": str(self.file(run)),
            "format": self.format,
            "precision": self.precision,
            "about_bytes": round(size * _SHARES[self.precision]),
            "images_compared": self.images or "all",
        }

    def check(self, run: Run) -> None:
        """Raise ConfigError for what cannot be done, before anything is."""
        run.require_network()
        if self.precision == "int8" and self.format != "onnx":
            raise ConfigError(
                f"--precision int8 is not there for {self.format}",
                why="dynamic quantisation is onnxruntime's",
                todo="use --format onnx, or --precision fp16",
            )
        if self.format == "onnx":
            require_onnx()
        if self.pixels.resize and read_metadata(run.best).resize == "square":
            raise ConfigError(
                "--resize resizes the shorter side and crops, and this run was trained on images resized to a square",
                todo="leave out --resize, and resize images before they are given to the file",
            )
        selection = run.settings().method.selection
        if selection in _NOT_OF_PIXELS:
            raise ConfigError(
                f"a run with method.selection = {selection} cannot be exported",
                why="what it selects is no function of an image that a graph could hold",
                todo="it is a control for experiments; export a run that selects otherwise",
            )
        path = self.file(run)
        if format_of(path) not in (None, self.format):
            raise ConfigError(
                f"{path} has the name of another format than {self.format}",
                todo=f"name it {path.with_suffix(SUFFIXES[self.format])}, or choose {shell_words('--format', format_of(path))}",
            )
        if path.is_dir():
            raise ConfigError(
                f"{path} is a folder",
                todo=f"name a file, for instance {shell_words('-o', path / f'model{path.suffix}')}",
            )
        if path.exists() and not self.replace:
            raise ConfigError(
                f"{path} is there already", todo="choose another file with -o, or replace it with --force"
            )
        card = path.parent / CARD
        if card.exists() and not is_ours(card):
            raise ConfigError(
                f"{card} is in the way of the model card",
                why="it was not written by svipctl, so it is not replaced",
                todo="choose another folder with -o, or move it away",
            )


@dataclass(frozen=True)
class Shipped:
    """What an export left on the disk."""

    path: Path
    """The exported file; when it failed, the file under a name that says so."""
    report: Path
    document: dict[str, Any]
    """The report."""

    @property
    def passed(self) -> bool:
        """True if the file answers as the model does."""
        return bool(self.document["passed"])


def export_run(run: Run, benchmark: Benchmark, order: Order, progress: ProgressCallback | None = None) -> Shipped:
    """Export a run's best checkpoint and compare it with the model.

    Args:
        run: A run of that benchmark.
        benchmark: With the same classes and attributes as in training; its evaluation images are compared on.
        order: What is wanted.
        progress: Called with images compared and images to compare.

    Returns:
        Where the file is. One that failed is never at the place asked for, and leaves what is there alone.

    Raises:
        ConfigError: The order cannot be carried out.
        DataError: The run was trained on another data set or on the evaluation images, or an image is damaged.
        ResourceError: The disk is full.

    """
    order.check(run)
    model = load_run(run, torch.device("cpu"))
    metadata, classes = model.metadata, model.own_classes(benchmark)
    images, labels = _evaluation_images(run, benchmark, order.images)
    gamma = order.gamma or model.gamma
    description = describe(model, classes, gamma, order.pixels, order.precision, order.licence)
    graph = ShippedGraph(model.network, metadata.mean, metadata.std, metadata.image_size, order.pixels, order.precision)
    path = order.file(run)
    with explained_disk_errors(f"the export {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_file(path.with_name(f".{path.stem}.unchecked{SUFFIXES[order.format]}")) as unfinished:
            _WRITERS[order.format](graph, description, len(classes.classes), unfinished)
            runner = _RUNNERS[order.format](unfinished)
            parity = compare(
                runner,
                model,
                order.pixels,
                classes,
                gamma.value,
                images,
                labels,
                TOLERANCE[order.precision] if order.tolerance is None else order.tolerance,
                progress,
                upright=benchmark.upright,
            )
            failed = path.with_name(f"{path.name}.failed-parity")
            final = failed if parity.breaches else path
            document = {
                "file": final.name,
                "bytes": unfinished.stat().st_size,
                "sha256": file_sha256(unfinished),
                "format": order.format,
                "precision": order.precision,
                "resize_inside": order.pixels.resize,
                "run": str(run.folder),
                "checkpoint_sha256": metadata.sha256,
                **parity.document(),
            }
            report = _report_of(final)
            # What speaks of the file before the file: cut short here, both are of this export or the next one's work.
            atomic_write_text(report, json.dumps(document, indent=2) + "\n")
            if not parity.breaches:
                atomic_write_text(path.parent / CARD, model_card(description, document))
            unfinished.replace(final)
            if not parity.breaches:
                for earlier in (failed, _report_of(failed)):
                    earlier.unlink(missing_ok=True)
    return Shipped(final, report, document)


def _evaluation_images(run: Run, benchmark: Benchmark, count: int) -> tuple[list[Path], np.ndarray]:
    """Evenly chosen evaluation images, seen and unseen ones, and their classes."""
    split = benchmark.split(run.settings().train.fold)
    indices = np.concatenate([split.seen, split.unseen])
    check_untouched(run, [benchmark.images[index] for index in indices])
    if 0 < count < len(indices):
        indices = indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]
    return [benchmark.image_path(int(index)) for index in indices], benchmark.labels[indices]


def _report_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.parity.json")
