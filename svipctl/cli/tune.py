"""Implement `svipctl tune`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs


@command(
    *(flags.RECIPE, flags.NAME.with_help("Study name. (default: from recipe and seed)")),
    *(flags.BACKBONE, flags.WEIGHTS, flags.EPOCHS, flags.BATCH_SIZE, flags.LR, flags.SEED, flags.ALLOW_PARTIAL),
    *(flags.PRECISION, flags.GPU, flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR),
    dry_run=True,
)
def tune(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Total number of trials, each on folds 1, 2 and 3.")
    ] = 20,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="KEY=LOW:HIGH[:log]|KEY=A,B,C",
            help="Setting to vary, and its values. Repeatable. (default: learning rate, epochs, scale, fusion and "
            "whitening, around their configured values)",
        ),
    ] = None,
    dry_run: bool,
) -> None:
    """Choose settings on the development folds.

    Maximizes the best H on validation images, mean over folds; never uses test. The same command continues after an
    interruption.

    Examples:
        svipctl tune toybirds --trials 30
        svipctl tune cub --recipe hybrid --search optim.lr=1e-4:1e-2:log --search optim.optimizer=adam,adamw

    """
    check_inputs(overrides.resolve(dataset).settings)

    from svipctl.training.tune import plan_tuning

    study = plan_tuning(lambda values: overrides.resolve(dataset, values), search or [])
    sink.note("search: " + "; ".join(f"{key}: {dimension}" for key, dimension in study.space.items()))
    if dry_run:
        sink.say(f"would train {3 * trials} development runs, 3 per trial, in {study.folder}")
        space = {key: str(dimension) for key, dimension in study.space.items()}
        sink.document({"dry_run": True, "study": str(study.folder), "trials": trials, "search": space})
        return

    from svipctl.cli._training_progress import reporter
    from svipctl.settings.command_line import folder_arguments

    document = study.run(trials, sink, reporter)
    best, folders = document["best"], folder_arguments(study.settings)
    sink.say(f"best of {len(document['trials'])} trials: H {best['H']:.1f} on the folds: {document['config']}")
    following = ["svipctl", "train", dataset, "--config", document["config"], "--calibrate", *folders]
    sink.say(f"next: {shlex.join(following)}")
    sink.document(document)
