"""`svipctl visualize curves`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._evaluation import evaluate, open_run_dataset, show_plan
from svipctl.cli.visualize._images import output_file
from svipctl.cli.visualize._options import FigureOptions
from svipctl.errors import DataError
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True)
def curves(
    dataset: _options.Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    training: Annotated[
        bool, typer.Option("--training", help="Plot only the records of training; evaluate nothing.")
    ] = False,
    dry_run: bool,
) -> None:
    """Plot training and evaluation curves.

    Loss terms and accuracies over training, the seen-unseen curve, H over gamma, and reliability.

    The points of every protocol stand on the seen-unseen curve; those chosen on the scored images are open marks.

    Examples:
        svipctl visualize curves toybirds
        svipctl visualize curves cub --training -o curves.svg

    """
    found, settings = select_run(dataset, options.run, overrides)
    file = output_file(options.output, found, "curves")
    if dry_run:
        show_plan(found, file, "curves", settings)
        return

    from svipctl.datasets.names import dataset_name
    from svipctl.visuals.curves import everything_figure, reliabilities, training_figure
    from svipctl.visuals.history import read_history
    from svipctl.visuals.style import save, themed

    history = read_history(found)
    if training and not history.epochs:
        raise DataError(
            f"{found.name} has no records of its training",
            why="metrics.jsonl is not there",
            todo="leave out --training, or choose another run",
        )
    title = f"{dataset_name(found.settings().dataset)} · {found.name}"
    document: dict[str, object] = {}
    if training:
        with themed(options.theme.value):
            save(training_figure(history, title), file)
    else:
        measured = evaluate(found, open_run_dataset(found, settings), settings)
        honest = reliabilities(measured)
        with themed(options.theme.value):
            save(everything_figure(history, measured.results, honest, title), file)
        document = {
            "ausuc": 100 * measured.results.curve.area,
            "calibration_error": {name: 100 * one.error for name, one in honest.items()},
        }
    sink.say(str(file))
    sink.document(
        {
            "dataset": found.settings().dataset,
            "run": str(found.folder),
            "figure": "curves",
            "theme": options.theme.value,
            "epochs": len(history.epochs),
            **document,
            "files": [str(file)],
        }
    )
