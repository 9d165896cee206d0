"""Implement `svipctl visualize compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import find_any_run, select_run
from svipctl.cli.visualize._figure import evaluate, open_run_dataset
from svipctl.errors import ConfigError
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True, reads="EVALUATION")
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Two or more runs of one data set: names, <data set>/<name>, or folders.",
            show_default=False,
            autocompletion=_completion.runs,
        ),
    ],
    *,
    overrides: Overrides,
    output: Annotated[
        Path | None, _options.output("Output HTML file. (default: comparison.html next to the first run)")
    ] = None,
    dry_run: bool,
) -> None:
    """Write an HTML comparison of runs.

    The page shows configurations, protocols with paired differences, curves and classes.

    All runs are evaluated on the same images; differences are to the first one.

    Examples:
        svipctl visualize compare toybirds/svipctl-seed0 toybirds/reference-seed0
        svipctl visualize compare runs/cub/mine runs/cub/theirs -o comparison.html

    """
    if len(runs) < 2:
        raise ConfigError(
            "a comparison needs at least two runs", todo="pass two or more, or run `svipctl visualize report`"
        )

    folders = [find_any_run(name, overrides) for name in runs]
    found = [select_run(run.settings().dataset, str(run.folder), overrides) for run in folders]

    from svipctl.visuals.report.page import check_page_name, render, write_page

    file = output or folders[0].folder.parent / "comparison.html"
    check_page_name(file)
    names = [run.name for run in folders]
    labels = [run.name if names.count(run.name) == 1 else str(run.folder) for run in folders]
    paths = [str(run.folder) for run in folders]
    if dry_run:
        sink.say(f"{', '.join(labels)} would be evaluated, and compared in {file}")
        sink.document({"dry_run": True, "figure": "comparison", "runs": paths, "files": [str(file)]})
        return

    from svipctl.visuals.report.comparison import Candidate, check_same_data, check_same_images
    from svipctl.visuals.report.comparison import compare as compare_runs

    check_same_data(labels, [run.settings() for run in folders])
    benchmarks = [open_run_dataset(run, settings) for run, settings in found]
    check_same_images(labels, benchmarks, [run.settings() for run in folders])
    candidates = [
        Candidate(label, run, evaluate(run, benchmark, settings, what=f"predicting, {label}"))
        for label, benchmark, (run, settings) in zip(labels, benchmarks, found)
    ]
    settings = found[0][1]
    comparison = compare_runs(candidates, resamples=settings.eval.bootstrap, seed=settings.seed)
    size = write_page(file, render("compare.html", comparison))
    sink.say(f"{file}: {len(candidates)} runs, {size / 2**20:.1f} MiB")
    sink.document(
        {
            **comparison.document(),
            "runs": paths,
            "figure": "comparison",
            "bytes": size,
            "files": [str(file)],
        }
    )
