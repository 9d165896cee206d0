"""`svipctl visualize curves`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import output_file
from svipctl.cli.visualize.measured import found_run, measured_run, opened_benchmark, tell_plan
from svipctl.errors import DataError


def curves(
    dataset: options.Dataset,
    run: options.RunName = None,
    training: Annotated[
        bool, typer.Option("--training", help="Only what training wrote down; nothing is evaluated.")
    ] = False,
    theme: flags.ThemeName = flags.Theme.light,
    output: flags.Out = None,
    batch_size: options.BatchSize = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show loss terms and figures over training, the seen-unseen curve, H over gamma, and reliability.

    The points of every protocol stand on the seen-unseen curve; those chosen on the scored images are open marks.

    Examples: `svipctl visualize curves toybirds`, `svipctl visualize curves cub --training -o curves.svg`
    """
    found, settings = found_run(
        dataset,
        run,
        config=config,
        assignments=assignments,
        eval__batch_size=batch_size,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )
    file = output_file(output, found, "curves")
    if dry_run:
        tell_plan(found, file, "curves", settings)
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
        with themed(theme.value):
            save(training_figure(history, title), file)
    else:
        measured = measured_run(found, opened_benchmark(found, settings), settings)
        honest = reliabilities(measured)
        with themed(theme.value):
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
            "theme": theme.value,
            "epochs": len(history.epochs),
            **document,
            "files": [str(file)],
        }
    )
