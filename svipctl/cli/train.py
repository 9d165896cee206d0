"""Implement `svipctl train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import joined_processes
from svipctl.datasets.names import check_present
from svipctl.errors import ConfigError
from svipctl.plans import describe_plan
from svipctl.quoting import shell_command
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings
    from svipctl.training.development import Development
    from svipctl.training.session import Session


@command(*flags.TRAINING, dry_run=True)
def train(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    final: Annotated[
        bool, typer.Option("--final", help="Train a final run with the epoch count and gamma of --from-development.")
    ] = False,
    from_development: Annotated[
        list[str] | None,
        typer.Option(
            "--from-development",
            metavar="RUN",
            help="Finished development run for --final. Repeatable.",
            autocompletion=_completion.runs,
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Train on each fold, then a final run with the epoch count and gamma found there. "
            "The same command continues after an interruption.",
        ),
    ] = False,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[auto|RUN]",
            help="Unfinished run to continue: name, folder or auto (the run of --name, or the newest that fits "
            "the flags). "
            "Settings without a flag keep their values.",
            autocompletion=_completion.resumable,
        ),
    ] = None,
    standalone: _options.Standalone = False,
    dry_run: bool,
) -> None:
    """Train SVIP on a data set.

    The run is saved in the folder of runs.

    Examples:
        svipctl train toybirds
        svipctl train toybirds --recipe reference --gpu 0
        svipctl train toybirds --resume
        svipctl train cub --init-from published.pth --dry-run
        svipctl train toybirds --calibrate
        svipctl train toybirds --final --from-development svipctl-seed0-fold1

    """
    if not calibrate:
        configured = _configure(dataset, overrides, final, from_development)
        document = _train(*configured, resume, standalone=standalone, dry_run=dry_run)
    else:
        has_fold = overrides.resolve(dataset, _batch_size(overrides)).settings.train.fold is not None
        if final or from_development or resume or has_fold:
            raise ConfigError(
                "--calibrate contradicts --fold, --final, --from-development and --resume",
                why="it trains and continues the folds and the final run",
                todo="omit them",
            )
        document = _train_calibrated(dataset, overrides, standalone=standalone, dry_run=dry_run)
    sink.document(document)


def _train_calibrated(dataset: str, overrides: Overrides, *, standalone: bool, dry_run: bool) -> dict[str, Any]:
    """Train or continue a run on each fold, then the final run; return the document of the final run."""
    from svipctl.training.development import calibrated_name, calibration_runs
    from svipctl.training.resume import AUTO

    name = calibrated_name(overrides.resolve(dataset, _batch_size(overrides)).settings)
    runs = calibration_runs(name)
    for decided in runs.values():
        more = {**_batch_size(overrides), **decided}
        document = _train(overrides.resolve(dataset, more), None, AUTO, standalone=standalone, dry_run=dry_run)
    if dry_run:
        sink.say(f"then the final run {name}, with the epoch count and the gamma of {', '.join(runs)}")
        return document
    without_epochs = Overrides(
        {key: value for key, value in overrides.flags.items() if key != "train.epochs"} | {"name": name},
        overrides.assignments,
        overrides.config,
    )
    return _train(*_configure(dataset, without_epochs, True, list(runs)), AUTO, standalone=standalone, dry_run=dry_run)


def _train(
    configured: Resolved, development: Development | None, resume: str | None, *, standalone: bool, dry_run: bool
) -> dict[str, Any]:
    """Train or continue a run, or show the plan; return the document of the command."""
    settings = configured.settings
    _check(settings, resume)
    with joined_processes(settings.gpu, standalone=standalone, dry_run=dry_run) as ranks:
        sink.note(f"{settings.dataset}: recipe {settings.recipe}, backbone {settings.model.backbone}, loading")
        from svipctl.cli._training_progress import reporter
        from svipctl.datasets.names import dataset_name
        from svipctl.inference.checkpoint import read_metadata
        from svipctl.settings.command_line import folder_arguments
        from svipctl.training.session import choose, run_session

        session = choose(settings, configured.origins, resume, ranks, development)
        if session.is_done:
            sink.note(f"{session.run.name} is finished: nothing is left to do")
            best = read_metadata(session.run.best).metrics
        elif dry_run:
            return _show_plan(session)
        else:
            best = run_session(session, ranks, sink, reporter)
    run, settings = session.run, session.settings
    following = shell_command("eval", settings.dataset, "--run", run.name, *folder_arguments(settings))
    sink.say(f"done: {run.folder}\nnext: {following}")
    name = dataset_name(settings.dataset)
    return {"dataset": name, "run": str(run.folder), "recipe": settings.recipe, "best": best}


def _configure(
    dataset: str, overrides: Overrides, final: bool, from_development: list[str] | None
) -> tuple[Resolved, Development | None]:
    """Return the settings, and for a final run the findings of its development runs."""
    more = _batch_size(overrides)
    if not (final or from_development):
        return overrides.resolve(dataset, more), None

    from svipctl.runs.lookup import find_run

    _check_final_flags(final, from_development, "train.epochs" in overrides.flags)
    folder = overrides.workspace().runs_dir
    for name in from_development or ():
        find_run(folder, dataset, name)

    from svipctl.training.development import with_development

    return with_development(lambda **found: overrides.resolve(dataset, more, inherited=found), from_development or [])


def _batch_size(overrides: Overrides) -> dict[str, Any]:
    """Resolve `--batch-size auto`."""
    is_auto = overrides.flags.get("train.batch_size") == "auto"
    return {"train.batch_size": None, "train.accumulate": "auto"} if is_auto else {}


def _check(settings: Settings, resume: str | None) -> None:
    """Raise the errors of missing inputs: the run to resume, the data set, files, the GPU."""
    from svipctl.errors import raise_together
    from svipctl.runs.lookup import find_run

    def gpu() -> None:
        if settings.gpu not in ("auto", "cpu") and "," not in settings.gpu:
            from svipctl.device import choose_device

            choose_device(settings.gpu)

    if resume not in (None, "auto"):
        find_run(settings.runs_dir, settings.dataset, resume)
    # A resumed run has its own weights.
    raise_together(
        gpu,
        lambda: check_inputs(settings) if resume is None else check_present(settings.dataset, settings.data_dir),
    )


def _show_plan(session: Session) -> dict[str, Any]:
    from svipctl.training.dry_run import plan_training

    for change in session.changed:
        sink.note(f"then {change}")
    plan = plan_training(session.settings, session.run, session.position)
    if session.starts_new:
        sink.note(f"nothing to resume, would start {session.run.name}")
    sink.say(describe_plan(plan))
    if session.development is not None:
        sink.say(session.development.summary)
        plan["development"] = session.development.document()
    return {"dry_run": True, **plan}


def _check_final_flags(final: bool, development: list[str] | None, has_epochs: bool) -> None:
    if not development:
        raise ConfigError(
            "a final run takes its epoch count and gamma from development runs, and none is given",
            todo="svipctl train DATASET --fold 1, then --final --from-development with that run's name",
        )
    if not final:
        raise ConfigError("--from-development is for a final run", todo="add --final")
    if has_epochs:
        raise ConfigError(
            "--epochs and --from-development cannot be combined",
            why="a final run trains for the epoch count found in development",
            todo="omit --epochs, or train without --final",
        )
