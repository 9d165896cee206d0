"""Implement `svipctl visualize confusion`."""

from __future__ import annotations

from svipctl.cli._command import Dataset, Overrides, command, option
from svipctl.cli.visualize._figure import FigureOptions, evaluate, open_run_dataset, plan_figure
from svipctl.settings import effects, flags


@command(*flags.EVALUATION, reads=effects.EVALUATION)
def confusion(
    dataset: Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    top: int = option(8, "Number of pairs of classes to show.", min=1, max=20),
    dry_run: bool,
) -> None:
    """Show the most confused classes.

    For each pair of confused classes, it shows a misclassified image and an image of the predicted class.

    Predictions use the run's gamma from validation images, or gamma 0 if it has none.

    Examples:
        svipctl visualize confusion toybirds
        svipctl visualize confusion cub --top 5 -o confused.png

    """
    figure = plan_figure("confusion", dataset, options, overrides)
    if dry_run:
        figure.show_plan()
        return

    from svipctl.visuals.confusion import confusion_figure, confusion_of, image_reader

    run = figure.run
    benchmark = open_run_dataset(figure.settings, figure.file)
    measured = evaluate(run, benchmark, figure.settings)
    names, read = measured.classes, image_reader(measured, benchmark)
    row, counts, pairs = confusion_of(measured, top)
    title = f"{benchmark.name} · {run.name}\nPredictions are made with {measured.model.gamma}."
    if pairs:
        figure.draw(lambda: confusion_figure(counts, pairs, names, read, row, title))
    figure.show(
        f"{figure.file}: {len(pairs)} pairs"
        if pairs
        else "no image was classified incorrectly: there is nothing to show",
        benchmark.name,
        protocol=row,
        **measured.model.gamma.document(),
        pairs=[{"true": names[one.true], "answered": names[one.answered], "mistakes": one.mistakes} for one in pairs],
        files=[str(figure.file)] if pairs else [],
    )
