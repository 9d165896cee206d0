"""Implement `svipctl export`."""

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
    from svipctl.export.artifact import ExportResult


@command(flags.DATA_DIR, flags.RUNS_DIR, dry_run=True, reads="EXPORT")
def export(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    format: Annotated[
        Literal["onnx", "torch", "safetensors"] | None,
        typer.Option("--format", help="File format. (default: from the ending of --output, or onnx)"),
    ] = None,
    output: Annotated[Path | None, _options.output("Output file. (default: export/ in the run folder)")] = None,
    run: _options.RunName = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        typer.Option("--precision", help="Arithmetic of the file; int8 needs ONNX."),
    ] = "fp32",
    input_: Annotated[
        Literal["uint8", "float"], typer.Option("--input", help="Pixel type: bytes, or float32 in 0..1.")
    ] = "uint8",
    resize: Annotated[bool, typer.Option("--resize", help="Resize and crop images of any size in the graph.")] = False,
    gamma: Annotated[
        float | None, typer.Option("--gamma", help="Gamma in the file. (default: the run's calibrated gamma)")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="Licence of the weights.")] = None,
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="OWNER/NAME",
            help="Hugging Face Hub repository to publish the export in, with a model card.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    images: Annotated[
        int,
        typer.Option("--images", min=0, help="Number of evaluation images for verification; 0 for all."),
    ] = 256,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Largest accepted difference. (default: 1e-3 in fp32, 2e-2 in fp16, 0.25 in int8)",
        ),
    ] = None,
    dry_run: bool,
) -> None:
    """Export a run to a file, and verify it.

    The file is in ONNX, torch.export or safetensors format, and is compared with the model. With --push, the
    checkpoint, the file and a model card go to a repository of the Hugging Face Hub, a private one if it is new.

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

    from svipctl.export.artifact import ExportRequest, export_run, format_of
    from svipctl.export.graph import Pixels
    from svipctl.inference.gamma import Gamma

    request = ExportRequest(
        format=format or format_of(output or Path()) or "onnx",
        output=output,
        precision=precision,
        pixels=Pixels(input_, resize),
        gamma=None if gamma is None else Gamma(gamma, "given with --gamma"),
        licence=licence,
        images=images,
        tolerance=tolerance,
        replace=force,
    )
    request.check(found)
    if push is not None:
        from svipctl.export.hub import check_push

        check_push(push, licence, offline=settings.offline)
    if dry_run:
        plan = request.plan(found) | ({"push": push} if push else {})
        sink.say(describe_plan(plan))
        sink.document({"dry_run": True, **plan})
        return
    benchmark = open_dataset(settings, allow_partial=found.settings().data.allow_partial)
    sink.note(f"writing {request.file(found)} of run {found.name}")
    with sink.progress("comparing") as progress:
        result = export_run(found, benchmark, request, progress)
    _show(result)
    document = result.document | {"path": str(result.path), "report": str(result.report)}
    if not result.passed:
        raise CheckFailed(
            f"the exported file does not reproduce the model; it was renamed to {result.path}",
            why="\n".join(result.document["breaches"]),
            todo=f"see {result.report}, or use a larger --tolerance",
            document=document,
        )
    if push is not None:
        from svipctl.export.hub import push as push_to_hub

        document["published"] = push_to_hub(result, found, push, str(licence))
        sink.say(f"published: {document['published']}")
    sink.document(document)


def _show(result: ExportResult) -> None:
    from svipctl.export.parity import comparison_rows

    document = result.document
    columns = ["compared", "images", "scores", "attributes", "patch scores", "equal answers"]
    sink.table(
        f"largest differences, {document['runtime']} against {document['reference']}",
        columns,
        comparison_rows(document),
    )
    accuracy = document["accuracy"]
    altered = ", enlarged to one size per batch" if document["resize_inside"] else ""
    sink.say(
        f"accuracy on {accuracy['images']} evaluation images{altered}: model {accuracy['model']:.1f} %, "
        f"exported {accuracy['exported']:.1f} %"
    )
    if result.passed:
        sink.say(f"done: {result.path} ({document['bytes'] / 2**20:.1f} MiB)")
