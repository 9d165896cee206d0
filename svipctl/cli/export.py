"""Implement `svipctl export`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

from svipctl.cli._command import Dataset, Overrides, RunName, command, option, output_option, sink
from svipctl.cli._runs import find_run, open_dataset
from svipctl.errors import CheckFailed, ConfigError
from svipctl.quoting import shell_command
from svipctl.settings import effects, flags


@command(flags.DATA_DIR, flags.RUNS_DIR, reads=effects.EXPORT)
def export(
    dataset: Dataset,
    *,
    overrides: Overrides,
    format: Literal["onnx", "torch", "safetensors"] | None = option(
        None, "File format. (default: from the ending of --output, or onnx)"
    ),
    output: Path | None = output_option("Output file. (default: export/ in the run folder)"),
    run: RunName = None,
    precision: Literal["fp32", "fp16", "int8"] = option("fp32", "Numerical precision of the file; int8 needs ONNX."),
    input_: Literal["uint8", "float"] = option("uint8", "Pixel type: bytes, or float32 in 0..1.", "--input"),
    resize: bool = option(False, "Accept images of any size: resize and crop in the graph."),
    gamma: float | None = option(None, "Gamma in the file. (default: the run's calibrated gamma, or 0 if it has none)"),
    licence: str | None = option(None, "Licence of the weights."),
    push: str | None = option(
        None, "Hugging Face Hub repository to publish the export in, with a model card.", metavar="OWNER/NAME"
    ),
    force: bool = option(False, "Replace existing files."),
    images: int = option(256, "Number of evaluation images for verification; 0 for all.", min=0),
    tolerance: float | None = option(
        None,
        "Largest accepted difference from the model's outputs. (default: 1e-3 in fp32, 2e-2 in fp16, 0.25 in int8)",
    ),
    dry_run: bool,
) -> None:
    """Export a run and verify the file.

    The file is in ONNX, torch.export or safetensors format, and is compared with the model. With --push, the
    checkpoint, the file and a model card are uploaded to the Hugging Face Hub; a new repository is private.

    Examples:
        svipctl export toybirds
        svipctl export cub -o cub.pt2
        svipctl export toybirds --precision int8 --resize
        svipctl export cub --push OWNER/NAME --licence cc-by-4.0

    """
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
        raise ConfigError(f"--tolerance {tolerance}: not a positive number")
    found, settings = find_run(dataset, run, overrides)

    from svipctl.export import hub
    from svipctl.export.artifact import ExportRequest, export_run, format_of
    from svipctl.export.graph import Pixels
    from svipctl.export.parity import comparison_rows
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
        hub.check_push(push, licence, offline=settings.offline)
    if dry_run:
        sink.plan(request.plan(found) | ({"push": push} if push else {}))
        return
    if push is not None:
        if found.evaluation() is None:
            sink.warn(
                f"{found.name} was not evaluated, so the card has no metrics; to add them: {shell_command('eval', dataset)}"
            )
        hub.check_access(push)
    benchmark = open_dataset(settings)
    sink.note(f"writing {request.file(found)} of run {found.name}")
    with sink.progress("comparing") as progress:
        result = export_run(found, benchmark, request, progress)
    document = result.document | {"path": str(result.path), "report": str(result.report)}
    sink.table(
        f"largest absolute differences: exported file ({document['runtime']}) and model ({document['reference']})",
        ["compared", "images", "scores", "attributes", "patch scores", "same prediction"],
        comparison_rows(document),
    )
    accuracy = document["accuracy"]
    altered = ", enlarged to one size per batch" if document["resize_inside"] else ""
    sink.say(
        f"accuracy on {accuracy['images']} evaluation images{altered}: model {accuracy['model']:.1f} %, "
        f"exported {accuracy['exported']:.1f} %"
    )
    if not result.passed:
        raise CheckFailed(
            f"the exported file does not reproduce the model; it was renamed to {result.path}",
            why="\n".join(document["breaches"]),
            todo=f"see {result.report}, or use a larger --tolerance",
            document=document,
        )
    sink.say(f"done: {result.path} ({document['bytes'] / 2**20:.1f} MiB)")
    if push is not None:
        document["published"] = hub.push(result, found, push, str(licence))
        sink.say(f"published: {document['published']}")
    sink.document(document)
