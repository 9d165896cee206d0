"""`svipctl visualize confusion`."""

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
    top: Annotated[int, typer.Option("--top", min=1, max=20, help="Show this many pairs of classes.")] = 8,
    dry_run: bool,
) -> None:
    """Show the most confused classes.

    Each pair comes with an image of the mistake and one of the other class.

    Answers are those of gzsl-calibrated where the run has a gamma from validation, else of gzsl-oracle.

    Examples:
        svipctl visualize confusion toybirds
        svipctl visualize confusion cub --top 5 -o confused.png

    """
    figure = plan_figure("confusion", dataset, options, overrides)
    run, settings, file = figure.run, figure.settings, figure.file
    if dry_run:
        show_plan(run, file, "confusion", settings)
        return

    import numpy as np

    from svipctl.datasets.images import decode
    from svipctl.evaluation.per_class import answers_under, reading_row
    from svipctl.evaluation.per_class import confusion as confusion_counts
    from svipctl.visuals.confusion import Picture, confused_pairs, confusion_figure

    benchmark = open_run_dataset(run, settings)
    measured = evaluate(run, benchmark, settings)
    names = measured.classes
    row = reading_row(measured.results)
    labels, answers = measured.results.answers.labels, answers_under(measured.results, row)
    counts = confusion_counts(labels, answers, len(names))
    pairs = confused_pairs(counts, labels, answers, top)

    def thumbnail(place: int) -> Picture:
        return np.asarray(decode(benchmark.image_path(int(measured.predictions.indices[place]))).resize((160, 160)))

    title = f"{benchmark.name} · {run.name}"
    if pairs:
        figure.draw(lambda: confusion_figure(counts, pairs, names, thumbnail, row, title))
    figure.show(
        f"{file}: {len(pairs)} pairs" if pairs else "no image was answered wrongly: there is nothing to show",
        benchmark.name,
        protocol=row,
        pairs=[{"true": names[one.true], "answered": names[one.answered], "mistakes": one.mistakes} for one in pairs],
        files=[str(file)] if pairs else [],
    )
