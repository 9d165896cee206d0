"""Export a run: write the file under a temporary name, compare it in its own runtime, and only then rename it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, spread
from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.evaluation.leakage import check_untouched
from svipctl.export.card import CARD, is_ours, model_card
from svipctl.export.description import describe
from svipctl.export.graph import ExportGraph, ExportPrecision, Pixels
from svipctl.export.onnx import open_onnx, require_onnx, write_onnx
from svipctl.export.parity import TOLERANCE, compare
from svipctl.export.safetensors import open_safetensors, write_safetensors
from svipctl.export.torch_export import open_torch, write_torch
from svipctl.files import atomic_write_text, file_sha256, is_text, unfinished_file
from svipctl.inference.checkpoint import read_metadata
from svipctl.inference.gamma import Gamma
from svipctl.inference.load import load_run
from svipctl.quoting import shell_words
from svipctl.runs.run import Run
from svipctl.types import ProgressCallback

Format = Literal["onnx", "torch", "safetensors"]
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2", "safetensors": ".safetensors"}
_WRITERS = {"onnx": write_onnx, "torch": write_torch, "safetensors": write_safetensors}
_OPENERS = {"onnx": open_onnx, "torch": open_torch, "safetensors": open_safetensors}

_SHARES: dict[ExportPrecision, float] = {"fp32": 1.0, "fp16": 0.5, "int8": 0.25}
"""Size of the weights in the file relative to those of the run."""
_NOT_OF_PIXELS = ("random", "object")


def format_of(path: Path) -> Format | None:
    """Return the format of a file name's ending, if any."""
    return next((format for format, suffix in SUFFIXES.items() if path.suffix.lower() == suffix), None)


@dataclass(frozen=True)
class ExportRequest:
    """Request for an export and its verification."""

    format: Format
    output: Path | None = None
    """The file; by default in the run's folder, one folder per kind of export."""
    precision: ExportPrecision = "fp32"
    pixels: Pixels = field(default_factory=Pixels)
    gamma: Gamma | None = None
    """Gamma in the file's description; the run's calibrated gamma if None."""
    licence: str | None = None
    """Licence of the weights, as their owner states it."""
    images: int = 256
    """Number of evaluation images to compare on, evenly chosen; 0 for all."""
    tolerance: float | None = None
    """`parity.TOLERANCE` of the precision if None."""
    replace: bool = False
    """True if existing files may be replaced."""

    def file(self, run: Run) -> Path:
        """Return the file that the export writes."""
        if self.output is not None:
            return self.output
        kind = "-".join([self.format, self.precision, self.pixels.kind] + ["resize"] * self.pixels.resize)
        return run.folder / "export" / kind / f"model{SUFFIXES[self.format]}"

    def plan(self, run: Run) -> dict[str, Any]:
        """Return the files that an export would write, and their approximate size."""
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
        """Raise ConfigError for an impossible request before any work is done."""
        run.require_network()
        if self.precision == "int8" and self.format != "onnx":
            raise ConfigError(
                f"--precision int8 is not available for {self.format}",
                why="onnxruntime does the dynamic quantization",
                todo="use --format onnx, or --precision fp16",
            )
        if self.format == "onnx":
            require_onnx()
        if self.pixels.resize and read_metadata(run.best).resize == "square":
            raise ConfigError(
                "--resize cannot be used: it resizes the shorter side and crops, but this run resizes images to a square",
                todo="omit --resize, and resize images to a square before you pass them to the exported model",
            )
        selection = run.settings().method.selection
        if selection in _NOT_OF_PIXELS:
            raise ConfigError(
                f"a run with method.selection = {selection} cannot be exported",
                why="its selection is not a function of the image alone",
                todo="export a run with another selection; this one is a control for experiments",
            )
        path = self.file(run)
        if not is_text(str(path)):
            raise ConfigError(
                f"{path} cannot be exported to: its name is not UTF-8",
                why="the libraries that write and check the formats take only names in UTF-8",
                todo="choose another file with -o",
            )
        if format_of(path) not in (None, self.format):
            raise ConfigError(
                f"the file name extension of {path} does not match the format {self.format}",
                todo=f"use the name {path.with_suffix(SUFFIXES[self.format])}, or choose "
                f"{shell_words('--format', format_of(path))}",
            )
        if path.is_dir():
            raise ConfigError(
                f"{path} is a folder",
                todo=f"pass a file, for instance {shell_words('-o', path / f'model{path.suffix}')}",
            )
        if path.exists() and not self.replace:
            raise ConfigError(f"{path} already exists", todo="choose another file with -o, or replace it with --force")
        card = path.parent / CARD
        if card.exists() and not is_ours(card):
            raise ConfigError(
                f"the model card cannot be written: {card} exists",
                why="it was not written by svipctl, so it is not overwritten",
                todo="choose another folder with -o, or move the file away",
            )


@dataclass(frozen=True)
class ExportResult:
    """Result of an export."""

    path: Path
    """The exported file; if verification failed, the file under its `.failed-parity` name."""
    report: Path
    document: dict[str, Any]
    """The report."""

    @property
    def passed(self) -> bool:
        """True if the file gives the same answers as the model."""
        return bool(self.document["passed"])


def export_run(
    run: Run, benchmark: Benchmark, request: ExportRequest, progress: ProgressCallback | None = None
) -> ExportResult:
    """Export a run's best checkpoint and compare it with the model.

    Args:
        run: Run of the benchmark.
        benchmark: Data set with the classes and attributes of training; its evaluation images are compared.
        request: The request.
        progress: Called with images compared and images to compare.

    Returns:
        The result. A file that failed is never at the requested path, and does not replace an existing file.

    Raises:
        ConfigError: The request is impossible.
        DataError: The run was trained on another data set or on the evaluation images, or an image is damaged.
        ResourceError: The disk is full.

    """
    request.check(run)
    model = load_run(run, torch.device("cpu"))
    metadata, classes = model.metadata, model.own_classes(benchmark)
    images, labels = _evaluation_images(run, benchmark, request.images)
    gamma = request.gamma or model.gamma
    description = describe(model, classes, gamma, request.pixels, request.precision, request.licence)
    graph = ExportGraph(
        model.network, metadata.mean, metadata.std, metadata.image_size, request.pixels, request.precision
    )
    path = request.file(run)
    with explained_disk_errors(f"the export {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_file(path.with_name(f".{path.stem}.unchecked{SUFFIXES[request.format]}")) as unfinished:
            _WRITERS[request.format](graph, description, unfinished)
            runner = _OPENERS[request.format](unfinished)
            report = compare(
                runner,
                model,
                request.pixels,
                classes,
                gamma.value,
                images,
                labels,
                TOLERANCE[request.precision] if request.tolerance is None else request.tolerance,
                progress,
                upright=benchmark.upright,
            )
            failed = path.with_name(f"{path.name}.failed-parity")
            final = path if report["passed"] else failed
            document = {
                "file": final.name,
                "bytes": unfinished.stat().st_size,
                "sha256": file_sha256(unfinished),
                "format": request.format,
                "precision": request.precision,
                "resize_inside": request.pixels.resize,
                "run": str(run.folder),
                "checkpoint_sha256": metadata.sha256,
                **report,
            }
            # The report and the card are written first, so that an interruption never leaves a file without them.
            atomic_write_text(_report_of(final), json.dumps(document, indent=2) + "\n")
            if report["passed"]:
                atomic_write_text(path.parent / CARD, model_card(description, document))
            unfinished.replace(final)
            if report["passed"]:
                for earlier in (failed, _report_of(failed)):
                    earlier.unlink(missing_ok=True)
    return ExportResult(final, _report_of(final), document)


def _evaluation_images(run: Run, benchmark: Benchmark, count: int) -> tuple[list[Path], np.ndarray]:
    """Return evenly chosen evaluation images, seen and unseen ones, and their classes."""
    split = benchmark.split(run.settings().train.fold)
    check_untouched(run, benchmark.files(split.scored))
    indices = spread(split.scored, count or len(split.scored))
    return [benchmark.image_path(int(index)) for index in indices], benchmark.labels[indices]


def _report_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.parity.json")
