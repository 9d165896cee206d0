"""Implement `svipctl visualize confusion`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._figure import evaluate, open_run_dataset, plan_figure, show_plan
from svipctl.cli.visualize._options import FigureOptions
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True, reads="EVALUATION")
def confusion(
    dataset: _options.Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    top: Annotated[int, typer.Option("--top", min=1, max=20, help="Number of pairs of classes to show.")] = 8,
    dry_run: bool,
) -> None:
    """Show the most confused classes.

    For each pair an image of the mistake and one of the other class are shown.

    Answers are given with the run's gamma from validation images, or with gamma 0 where it has none.

    Examples:
        svipctl visualize confusion toybirds
        svipctl visualize confusion cub --top 5 -o confused.png

    """
    figure = plan_figure("confusion", dataset, options, overrides)
    run, settings, file = figure.run, figure.settings, figure.file
    if dry_run:
        show_plan(run, file, "confusion", settings)
        return

    from svipctl.visuals.confusion import confusion_figure, confusion_of, thumbnails

    benchmark = open_run_dataset(run, settings, file)
    measured = evaluate(run, benchmark, settings)
    names, thumbnail = measured.classes, thumbnails(measured, benchmark)
    row, counts, pairs = confusion_of(measured, top)
    title = f"{benchmark.name} · {run.name}\nAnswers are given with {measured.model.gamma}."
    if pairs:
        figure.draw(lambda: confusion_figure(counts, pairs, names, thumbnail, row, title))
    figure.show(
        f"{file}: {len(pairs)} pairs" if pairs else "no image was classified incorrectly: there is nothing to show",
        benchmark.name,
        protocol=row,
        **measured.model.gamma.document(),
        pairs=[{"true": names[one.true], "answered": names[one.answered], "mistakes": one.mistakes} for one in pairs],
        files=[str(file)] if pairs else [],
    )
