"""Implement `svipctl visualize report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._figure import evaluate, open_run_dataset, show_plan
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True, reads="EVALUATION")
def report(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    run: _options.RunName = None,
    output: Annotated[Path | None, _options.output("Output HTML file. (default: report.html of the run)")] = None,
    dry_run: bool,
) -> None:
    """Write an HTML report of a run.

    The file is self-contained and needs no network.

    Protocols with intervals, curves, each class, images with their windows and attributes, configuration with origins,
    environment, provenance, and the commands that reproduce the run. The page follows the light or dark theme of the
    browser.

    Examples:
        svipctl visualize report toybirds
        svipctl visualize report cub --run svipctl-seed0 -o report.html

    """
    found, settings = select_run(dataset, run, overrides)

    from svipctl.visuals.report.page import check_page_name, render, write_page

    file = output or found.folder / "report.html"
    check_page_name(file)
    if dry_run:
        show_plan(found, file, "report", settings)
        return
    benchmark = open_run_dataset(found, settings)
    measured = evaluate(found, benchmark, settings)

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
            **measured.model.gamma.document(),
            "bytes": size,
            "files": [str(file)],
        }
    )
