"""`svipctl export`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import CheckFailed, ConfigError, nearest

if TYPE_CHECKING:
    from svipctl.export.artifact import Format, Order, Shipped
    from svipctl.export.graph import ExportPrecision, PixelKind

_CHECK = "Check"


def export(
    dataset: options.Dataset,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx, torch or safetensors. (default: as --output is named, or onnx)",
            autocompletion=complete.export_formats,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file. (default: in the run's folder, export/...)", show_default=False),
    ] = None,
    run: options.RunName = None,
    precision: Annotated[
        str,
        typer.Option("--precision", help="fp32, fp16, or int8 (ONNX).", autocompletion=complete.export_precisions),
    ] = "fp32",
    input_: Annotated[
        str, typer.Option("--input", metavar="uint8|float", help="Pixels as bytes or as float32 in 0..1.")
    ] = "uint8",
    resize: Annotated[
        bool, typer.Option("--resize", help="Take images of any size, resized and cropped inside.")
    ] = False,
    gamma: Annotated[
        float | None, typer.Option("--gamma", help="Named in the file. (default: the run's calibrated one)")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Of the weights, as you state it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    images: Annotated[
        int,
        typer.Option("--images", min=0, help="Evaluation images to compare on; 0 for all.", rich_help_panel=_CHECK),
    ] = 256,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Largest difference that passes. (default: 1e-3 in fp32, 2e-2 in fp16, 0.25 in int8)",
            rich_help_panel=_CHECK,
        ),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Ship a run as one file that takes pixels, a class table and gamma, checked against the model.

    Examples: `svipctl export toybirds`, `svipctl export cub -o cub.pt2`,
    `svipctl export toybirds --precision int8 --resize`
    """
    _check(format=format, precision=precision, pixels=input_, gamma=gamma, tolerance=tolerance)

    from svipctl.cli.configure import resolved
    from svipctl.runs.finding import find_run

    settings = resolved(dataset, config=config, assignments=assignments, data_dir=data_dir, runs_dir=runs_dir).settings
    found = find_run(settings.runs_dir, settings.dataset, run)

    from svipctl.datasets.registry import open_benchmark
    from svipctl.export.artifact import Order, export_run, format_of
    from svipctl.export.graph import Pixels
    from svipctl.signals import listening

    order = Order(
        format=cast("Format", format) if format else format_of(output or Path()) or "onnx",
        output=output,
        precision=cast("ExportPrecision", precision),
        pixels=Pixels(cast("PixelKind", input_), resize),
        gamma=gamma,
        licence=licence,
        images=images,
        tolerance=tolerance,
        replace=force,
    )
    order.check(found)
    if dry_run:
        _plan(order, found)
        return
    with sink.progress(f"drawing {dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=found.settings().data.allow_partial
        )
    sink.note(f"writing {order.file(found)} of run {found.name}")
    with listening() as stop, sink.progress("comparing") as progress:

        def watched(done: int, total: int) -> None:
            progress(done, total)
            stop.raise_if_asked()

        shipped = export_run(found, benchmark, order, watched)
    _show(shipped)
    document = shipped.document | {"path": str(shipped.path), "report": str(shipped.report)}
    if not shipped.passed:
        raise CheckFailed(
            f"the exported file does not answer as the model does; it is withheld as {shipped.path}",
            why="\n".join(shipped.document["breaches"]),
            todo=f"see {shipped.report}, or allow more with --tolerance",
            document=document,
        )
    sink.document(document)


def _check(*, format: str | None, precision: str, pixels: str, gamma: float | None, tolerance: float | None) -> None:
    for flag, value, known in (
        ("--format", format, ("onnx", "torch", "safetensors")),
        ("--precision", precision, ("fp32", "fp16", "int8")),
        ("--input", pixels, ("uint8", "float")),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"{flag} {value}: there is no such choice", why=nearest(value, known))
    if gamma is not None and not math.isfinite(gamma):
        raise ConfigError(f"--gamma {gamma}: not a finite number")
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
        raise ConfigError(f"--tolerance {tolerance}: not a positive number")


def _plan(order: Order, found: Any) -> None:
    from svipctl.cli.plans import in_words

    weights = found.best / "model.safetensors"
    share = {"fp32": 1.0, "fp16": 0.5, "int8": 0.25}[order.precision]
    size = weights.stat().st_size if weights.exists() else 0
    plan = {
        "run": str(found.folder),
        "file": str(order.file(found)),
        "format": order.format,
        "precision": order.precision,
        "about_bytes": round(size * share),
        "images_compared": order.images or "all",
    }
    sink.say(in_words(plan))
    sink.document({"dry_run": True, **plan})


def _show(shipped: Shipped) -> None:
    document = shipped.document
    rows = [
        [
            f"batch {one['batch']}, {one['classes']} classes",
            str(one["images"]),
            *("not finite" if gap is None else f"{gap:.1e}" for gap in one["largest_difference"].values()),
            f"{100 * one['equal_answers']:.1f} %",
        ]
        for one in document["comparisons"]
    ]
    columns = ["compared", "images", "scores", "attributes", "patch scores", "equal answers"]
    sink.table(f"largest differences, {document['runtime']} against {document['reference']}", columns, rows)
    accuracy = document["accuracy"]
    altered = ", enlarged and made one size in each batch" if document["resize_inside"] else ""
    sink.say(
        f"accuracy on {accuracy['images']} evaluation images{altered}: model {accuracy['model']:.1f} %, "
        f"exported {accuracy['exported']:.1f} %"
    )
    if shipped.passed:
        sink.say(f"done: {shipped.path} ({document['bytes'] / 2**20:.1f} MiB)")
