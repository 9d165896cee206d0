"""`svipctl visualize report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.visualize.measured import found_run, measured_run, opened_benchmark, tell_plan


def report(
    dataset: options.Dataset,
    run: options.RunName = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The HTML file. (default: report.html of the run)", show_default=False),
    ] = None,
    batch_size: options.BatchSize = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write everything about a run into one HTML file that needs nothing else and asks the network for nothing.

    Protocols with intervals, curves, each class, images with their windows and attributes, configuration with origins,
    environment, provenance, and the commands that make it again. The page follows the reader's light or dark theme.

    Examples: `svipctl visualize report toybirds`, `svipctl visualize report cub --run svipctl-seed0 -o report.html`
    """
    found, settings = found_run(
        dataset,
        run,
        config=config,
        assignments=assignments,
        eval__batch_size=batch_size,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )

    from svipctl.visuals.report.page import check_page_name, render, write_page

    file = output or found.folder / "report.html"
    check_page_name(file)
    if dry_run:
        tell_plan(found, file, "report", settings)
        return
    benchmark = opened_benchmark(found, settings)
    measured = measured_run(found, benchmark, settings)

    from svipctl.visuals.report.contents import gather

    contents = gather(found, benchmark, settings, measured)
    size = write_page(file, render("run.html", contents))
    sink.say(f"{file}: {len(contents.classes)} classes, {size / 2**20:.1f} MiB")
    sink.document(
        {
            "dataset": benchmark.name,
            "run": str(found.folder),
            "figure": "report",
            "classes": len(contents.classes),
            "protocols": measured.document["protocols"],
            "bytes": size,
            "files": [str(file)],
        }
    )
