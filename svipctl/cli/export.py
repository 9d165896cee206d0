"""`svipctl export`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import open_dataset
from svipctl.errors import CheckFailed, ConfigError
from svipctl.plans import describe_plan
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.export.artifact import Shipped


@command(flags.DATA_DIR, flags.RUNS_DIR, dry_run=True, reads="EXPORT")
def export(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    format: Annotated[
        Literal["onnx", "torch", "safetensors"] | None,
        typer.Option("--format", help="Format of the file. (default: as --output is named, or onnx)"),
    ] = None,
    output: Annotated[Path | None, _options.output("File to write. (default: in the run's folder, export/...)")] = None,
    run: _options.RunName = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option("--precision", help="Arithmetic of the file; int8 is for ONNX."),
    ] = "fp32",
    input_: Annotated[
        Literal["uint8", "float"], typer.Option("--input", help="Pixels as bytes or as float32 in 0..1.")
    ] = "uint8",
    resize: Annotated[
        bool, typer.Option("--resize", help="Accept images of any size, and resize and crop them in the graph.")
    ] = False,
    gamma: Annotated[
        float | None, typer.Option("--gamma", help="Gamma written into the file. (default: the run's calibrated one)")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the weights, as you state it.")] = None,
    push: Annotated[
        str | None,
        typer.Option("--push", metavar="OWNER/NAME", help="Publish it on the Hugging Face Hub, with a model card."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    images: Annotated[
        int,
        typer.Option("--images", min=0, help="Evaluation images to verify the file with; 0 for all."),
    ] = 256,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Largest difference that passes. (default: 1e-3 in fp32, 2e-2 in fp16, 0.25 in int8)",
        ),
    ] = None,
    dry_run: bool,
) -> None:
    """Export a run to a file, and verify it.

    The file is in ONNX, torch.export or safetensors format, and is compared with the model. With --push the checkpoint,
    the file and a model card go to a repository of the Hugging Face Hub, a private one if it is new.

    Examples:
        svipctl export toybirds
        svipctl export cub -o cub.pt2
        svipctl export toybirds --precision int8 --resize
        svipctl export cub --push OWNER/NAME --licence cc-by-4.0

    """
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
        raise ConfigError(f"--tolerance {tolerance}: not a positive number")

    from svipctl.runs.lookup import find_run

    settings = overrides.resolve(dataset).settings
    found = find_run(settings.runs_dir, settings.dataset, run, data_dir=settings.data_dir)

    from svipctl.export.artifact import Order, export_run, format_of
    from svipctl.export.graph import Pixels
    from svipctl.inference.gamma import Gamma

    order = Order(
        format=format or format_of(output or Path()) or "onnx",
        output=output,
        precision=precision,
        pixels=Pixels(input_, resize),
        gamma=None if gamma is None else Gamma(gamma, "given to the export"),
        licence=licence,
        images=images,
        tolerance=tolerance,
        replace=force,
    )
    order.check(found)
    if push is not None:
        from svipctl.export.hub import check_push

        check_push(push, licence, offline=settings.offline)
    if dry_run:
        plan = order.plan(found) | ({"push": push} if push else {})
        sink.say(describe_plan(plan))
        sink.document({"dry_run": True, **plan})
        return
    benchmark = open_dataset(settings, allow_partial=found.settings().data.allow_partial)
    sink.note(f"writing {order.file(found)} of run {found.name}")
    with sink.progress("comparing") as progress:
        shipped = export_run(found, benchmark, order, progress)
    _show(shipped)
    document = shipped.document | {"path": str(shipped.path), "report": str(shipped.report)}
    if not shipped.passed:
        raise CheckFailed(
            f"the exported file does not answer as the model does; it is withheld as {shipped.path}",
            why="\n".join(shipped.document["breaches"]),
            todo=f"see {shipped.report}, or allow more with --tolerance",
            document=document,
        )
    if push is not None:
        from svipctl.export.hub import push as push_to_hub

        document["published"] = push_to_hub(shipped, found, push, str(licence))
        sink.say(f"published: {document['published']}")
    sink.document(document)


def _show(shipped: Shipped) -> None:
    from svipctl.export.parity import comparison_rows

    document = shipped.document
    columns = ["compared", "images", "scores", "attributes", "patch scores", "equal answers"]
    sink.table(
        f"largest differences, {document['runtime']} against {document['reference']}",
        columns,
        comparison_rows(document),
    )
    accuracy = document["accuracy"]
    altered = ", enlarged and made one size in each batch" if document["resize_inside"] else ""
    sink.say(
        f"accuracy on {accuracy['images']} evaluation images{altered}: model {accuracy['model']:.1f} %, "
        f"exported {accuracy['exported']:.1f} %"
    )
    if shipped.passed:
        sink.say(f"done: {shipped.path} ({document['bytes'] / 2**20:.1f} MiB)")
