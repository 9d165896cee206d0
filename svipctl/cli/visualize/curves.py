"""Implement `svipctl visualize curves`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._figure import evaluate, open_run_dataset, plan_figure, show_plan
from svipctl.cli.visualize._options import FigureOptions
from svipctl.errors import DataError
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True, reads="EVALUATION")
def curves(
    dataset: _options.Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    training: Annotated[bool, typer.Option("--training", help="Plot only training curves; evaluate nothing.")] = False,
    dry_run: bool,
) -> None:
    """Plot training and evaluation curves.

    Loss terms and accuracies over training, the seen-unseen curve, H over gamma, and reliability.

    The points of every protocol are on the seen-unseen curve; those chosen on the scored images are open marks.

    Examples:
        svipctl visualize curves toybirds
        svipctl visualize curves cub --training -o curves.svg

    """
    figure = plan_figure("curves", dataset, options, overrides)
    run, settings, file = figure.run, figure.settings, figure.file
    if dry_run:
        show_plan(run, file, "curves", settings)
        return

    from svipctl.datasets.names import dataset_name
    from svipctl.visuals.curves import everything_figure, reliabilities, training_figure
    from svipctl.visuals.history import read_history

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
        measured = evaluate(run, open_run_dataset(run, settings), settings)
        honest, gamma = reliabilities(measured), measured.model.gamma
        title += f"\nPredictions are made with {gamma}."
        figure.draw(lambda: everything_figure(history, measured.results, honest, title))
        document = {
            **gamma.document(),
            "ausuc": 100 * measured.results.curve.area,
            "calibration_error": {name: 100 * one.error for name, one in honest.items()},
        }
    figure.show(str(file), run.settings().dataset, epochs=len(history.epochs), **document)
