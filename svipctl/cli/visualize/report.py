"""Implement `svipctl visualize report`."""

from __future__ import annotations

from pathlib import Path

from svipctl.cli._command import Dataset, Overrides, RunName, command, output_option
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._figure import Figure, evaluate, open_run_dataset
from svipctl.settings import effects, flags


@command(*flags.EVALUATION, reads=effects.EVALUATION)
def report(
    dataset: Dataset,
    *,
    overrides: Overrides,
    run: RunName = None,
    output: Path | None = output_option("Output HTML file. (default: report.html of the run)"),
    dry_run: bool,
) -> None:
    """Write an HTML report of a run.

    The page shows protocols with intervals, curves, each class, images with their windows and attributes, the
    configuration with origins, the environment, provenance, and the commands that reproduce the run.

    The file is self-contained and needs no network; it follows the light or dark theme of the browser.

    Examples:
        svipctl visualize report toybirds
        svipctl visualize report cub --run svipctl-seed0 -o report.html

    """
    found, settings = select_run(dataset, run, overrides)

    from svipctl.visuals.report.page import check_page_name, render, write_page

    file = output or found.folder / "report.html"
    check_page_name(file)
    figure = Figure("report", found, settings, file)
    if dry_run:
        figure.show_plan()
        return
    benchmark = open_run_dataset(settings)
    measured = evaluate(found, benchmark, settings)

    from svipctl.visuals.report.contents import gather

    contents = gather(found, benchmark, settings, measured)
    size = write_page(file, render("run.html", contents))
    figure.show(
        f"{file}: {len(contents['classes'])} classes, {size / 2**20:.1f} MiB",
        benchmark.name,
        classes=len(contents["classes"]),
        protocols=measured.document["protocols"],
        **measured.model.gamma.document(),
        bytes=size,
    )
