"""Implement `svipctl visualize curves`."""

from __future__ import annotations

from svipctl.cli._command import Dataset, Overrides, command, option
from svipctl.cli.visualize._figure import FigureOptions, evaluate, open_run_dataset, plan_figure
from svipctl.errors import DataError
from svipctl.settings import effects, flags


@command(*flags.EVALUATION, reads=effects.EVALUATION)
def curves(
    dataset: Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    training: bool = option(False, "Plot only training curves; evaluate nothing."),
    dry_run: bool,
) -> None:
    """Plot training and evaluation curves.

    The figure shows loss terms and accuracies over training, the seen-unseen curve, H over gamma, and reliability.

    Each protocol is a point on the seen-unseen curve, drawn as an open marker if gamma was chosen on the scored images.

    Examples:
        svipctl visualize curves toybirds
        svipctl visualize curves cub --training -o curves.svg

    """
    figure = plan_figure("curves", dataset, options, overrides)
    if dry_run:
        figure.show_plan()
        return

    from svipctl.datasets.names import dataset_name
    from svipctl.visuals.curves import everything_figure, reliabilities, training_figure
    from svipctl.visuals.history import read_history

    run = figure.run
    history = read_history(run)
    if training and not history.epochs:
        raise DataError(
            f"{run.name} has no records of its training",
            why="metrics.jsonl is missing",
            todo="omit --training, or choose another run",
        )
    title = f"{dataset_name(run.settings().dataset)} · {run.name}"
    document: dict[str, object] = {}
    if training:
        figure.draw(lambda: training_figure(history, title))
    else:
        measured = evaluate(run, open_run_dataset(figure.settings), figure.settings)
        honest, gamma = reliabilities(measured), measured.model.gamma
        title += f"\nPredictions are made with {gamma}."
        figure.draw(lambda: everything_figure(history, measured.results, honest, title))
        document = {
            **gamma.document(),
            "ausuc": 100 * measured.results.curve.area,
            "calibration_error": {name: 100 * one.error for name, one in honest.items()},
        }
    figure.show(str(figure.file), run.settings().dataset, epochs=len(history.epochs), **document)
