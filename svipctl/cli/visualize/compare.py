"""Implement `svipctl visualize compare`."""

from __future__ import annotations

from pathlib import Path

from svipctl.cli import _completion
from svipctl.cli._command import Overrides, argument, command, output_option, sink
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._figure import evaluate, open_run_dataset
from svipctl.errors import ConfigError
from svipctl.settings import effects, flags


@command(*flags.EVALUATION, reads=effects.EVALUATION)
def compare(
    runs: list[str] = argument(
        "Two or more runs of one data set: names, <data set>/<name>, or folders.",
        metavar="RUN...",
        autocompletion=_completion.runs,
    ),
    *,
    overrides: Overrides,
    output: Path | None = output_option("Output HTML file. (default: comparison.html next to the first run)"),
    dry_run: bool,
) -> None:
    """Write an HTML comparison of runs.

    The page shows configurations, protocols with paired differences, curves and classes.

    All runs are evaluated on the same images; differences are relative to the first run.

    Examples:
        svipctl visualize compare toybirds/svipctl-seed0 toybirds/reference-seed0
        svipctl visualize compare runs/cub/mine runs/cub/theirs -o comparison.html

    """
    if len(runs) < 2:
        raise ConfigError(
            "a comparison needs at least two runs", todo="pass two or more, or run `svipctl visualize report`"
        )

    found = [select_run(None, name, overrides) for name in runs]
    folders = [run for run, _ in found]

    from svipctl.visuals.report.page import check_page_name, render, write_page

    file = output or folders[0].folder.parent / "comparison.html"
    check_page_name(file)
    names = [run.name for run in folders]
    labels = [run.name if names.count(run.name) == 1 else str(run.folder) for run in folders]
    paths = [str(run.folder) for run in folders]
    if dry_run:
        text = f"{', '.join(labels)} would be evaluated, and compared in {file}"
        sink.plan({"figure": "comparison", "runs": paths, "files": [str(file)]}, text)
        return

    from svipctl.visuals.report import comparison

    trained = [run.settings() for run in folders]
    comparison.check_same_data(labels, trained)
    benchmarks = [open_run_dataset(settings) for _, settings in found]
    comparison.check_same_images(labels, benchmarks, trained)
    evaluations = {
        label: evaluate(run, benchmark, settings, what=f"predicting, {label}")
        for label, benchmark, (run, settings) in zip(labels, benchmarks, found)
    }
    settings = found[0][1]
    contents = comparison.compare(folders, evaluations, resamples=settings.eval.bootstrap, seed=settings.seed)
    size = write_page(file, render("compare.html", contents))
    document = comparison.comparison_document(contents)
    sink.result(
        f"{file}: {len(found)} runs, {size / 2**20:.1f} MiB",
        {**document, "runs": paths, "figure": "comparison", "bytes": size, "files": [str(file)]},
    )
