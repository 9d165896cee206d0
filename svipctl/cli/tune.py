"""Implement `svipctl tune`."""

from __future__ import annotations

from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.quoting import shell_words
from svipctl.settings import effects, flags
from svipctl.settings.inputs import check_inputs


@command(
    *(flags.RECIPE, flags.NAME.with_help("Study name. (default: from recipe and seed)")),
    *(flags.BACKBONE, flags.WEIGHTS, flags.EPOCHS, flags.BATCH_SIZE, flags.LR, flags.SEED, flags.ALLOW_PARTIAL),
    *(flags.PRECISION, flags.GPU, flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR),
    reads=effects.TUNING,
)
def tune(
    dataset: Dataset,
    *,
    overrides: Overrides,
    trials: int = option(20, "Total number of trials, each on folds 1, 2 and 3.", min=1),
    search: list[str] | None = option(
        None,
        "Setting to vary, and its values. Repeatable. (default: learning rate, epochs, scale, fusion and "
        "whitening, around their configured values)",
        metavar="KEY=LOW:HIGH[:log]|KEY=A,B,C",
    ),
    dry_run: bool,
) -> None:
    """Choose settings on the development folds.

    The objective is the best H over gamma on validation images, averaged over the folds; test images are never used.

    The same command continues after an interruption.

    Examples:
        svipctl tune toybirds --trials 30
        svipctl tune cub --recipe hybrid --search optim.lr=1e-4:1e-2:log --search optim.optimizer=adam,adamw

    """
    check_inputs(overrides.resolve(dataset).settings)

    from svipctl.training.tune import plan_tuning

    study = plan_tuning(lambda values: overrides.resolve(dataset, values), search or [])
    space = {key: str(dimension) for key, dimension in study.space.items()}
    sink.note("search: " + "; ".join(f"{key}: {dimension}" for key, dimension in space.items()))
    if dry_run:
        text = f"would train {3 * trials} development runs, 3 per trial, in {study.folder}"
        sink.plan({"study": str(study.folder), "trials": trials, "search": space}, text)
        return

    from svipctl.cli._training_progress import reporter
    from svipctl.settings.command_line import folder_arguments

    document = study.run(trials, sink, reporter)
    best, folders = document["best"], folder_arguments(study.settings)
    sink.say(f"best of {len(document['trials'])} trials: H {best['H']:.1f} on the folds: {document['config']}")
    following = shell_words("svipctl", "train", dataset, "--config", document["config"], "--calibrate", *folders)
    sink.result(f"next: {following}", document)
