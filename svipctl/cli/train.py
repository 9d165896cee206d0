"""Implement `svipctl train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, Standalone, command, option, sink
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


@command(*flags.TRAINING)
def train(
    dataset: Dataset,
    *,
    overrides: Overrides,
    final: bool = option(False, "Train on all training images, with the epochs and gamma of --from-development."),
    from_development: list[str] | None = option(
        None, "Finished development run for --final. Repeatable.", metavar="RUN", autocompletion=_completion.runs
    ),
    calibrate: bool = option(
        False,
        "Train one run per held-out fold, then a final run with the epoch count and gamma found there. "
        "The same command continues after an interruption.",
    ),
    resume: str | None = option(
        None,
        "Unfinished run to continue: name, folder or auto (the run of --name, or the newest that fits the flags). "
        "Settings that are not given keep the run's values.",
        metavar="[auto|RUN]",
        autocompletion=_completion.resumable,
    ),
    standalone: Standalone = False,
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
    if overrides.flags.get("train.batch_size") == "auto":  # of the preset, in micro-batches
        micro_batches = {"train.batch_size": None, "train.accumulate": "auto"}
        overrides = replace(overrides, flags={**overrides.flags, **micro_batches})
    if not calibrate:
        configured = _configure(dataset, overrides, final, from_development)
        document = _train(*configured, resume, standalone=standalone, dry_run=dry_run)
    else:
        fold = overrides.resolve(dataset).settings.train.fold
        given = {"--fold": fold, "--final": final, "--from-development": from_development}
        given |= {"--resume": resume not in (None, "auto")}  # as it continues its runs anyway
        if contradicting := ", ".join(name for name, value in given.items() if value):
            raise ConfigError(
                f"--calibrate cannot be combined with {contradicting}",
                why="it trains one run per fold and then the final run, and continues them after an interruption",
                todo=f"omit {contradicting}, or --calibrate",
            )
        document = _train_calibrated(dataset, overrides, standalone=standalone, dry_run=dry_run)
    sink.document(document)


def _train_calibrated(dataset: str, overrides: Overrides, *, standalone: bool, dry_run: bool) -> dict[str, Any]:
    """Train or continue a run on each fold, then the final run; return the document of the final run."""
    from svipctl.training.development import calibrated_name, calibration_runs
    from svipctl.training.resume import AUTO

    name = calibrated_name(overrides.resolve(dataset).settings)
    runs = calibration_runs(name)
    for number, (development_run, decided) in enumerate(runs.items(), 1):
        sink.note(f"\nrun {number} of {len(runs) + 1}: {development_run}")
        configured = overrides.resolve(dataset, decided)
        document = _train(configured, None, AUTO, standalone=standalone, dry_run=dry_run, is_last=False)
    if dry_run:
        sink.say(f"then the final run {name}, with the epoch count and the gamma of {', '.join(runs)}")
        return document
    sink.note(f"\nrun {len(runs) + 1} of {len(runs) + 1}: {name}, the final run")
    without_epochs = {key: value for key, value in overrides.flags.items() if key != "train.epochs"}
    overrides = replace(overrides, flags={**without_epochs, "name": name})
    return _train(*_configure(dataset, overrides, True, list(runs)), AUTO, standalone=standalone, dry_run=dry_run)


def _train(
    configured: Resolved,
    development: Development | None,
    resume: str | None,
    *,
    standalone: bool,
    dry_run: bool,
    is_last: bool = True,
) -> dict[str, Any]:
    """Train or continue a run, or show the plan; return the document of the command."""
    settings = configured.settings
    _check(settings, resume)
    with joined_processes(settings.gpu, standalone=standalone, dry_run=dry_run) as ranks:
        sink.note(f"loading {settings.dataset}")
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
    sink.say(f"done: {run.folder}" + (f"\nnext: {following}" if is_last else ""))
    name = dataset_name(settings.dataset)
    return {"dataset": name, "run": str(run.folder), "recipe": settings.recipe, "best": best}


def _configure(
    dataset: str, overrides: Overrides, final: bool, from_development: list[str] | None
) -> tuple[Resolved, Development | None]:
    """Return the settings, and for a final run the findings of its development runs."""
    if not (final or from_development):
        return overrides.resolve(dataset), None
    if not from_development:
        raise ConfigError(
            "a final run takes its epoch count and gamma from development runs, and none is given",
            why="--from-development names them; --calibrate trains them and the final run",
            todo=shell_command("train", dataset, "--calibrate"),
        )
    if not final:
        raise ConfigError("--from-development is for a final run", todo="add --final")
    if "train.epochs" in overrides.flags:
        raise ConfigError(
            "--epochs and --from-development cannot be combined",
            why="a final run trains for the epoch count found in development",
            todo="omit --epochs, or omit both --final and --from-development",
        )

    from svipctl.runs.lookup import find_run

    folder = overrides.workspace().runs_dir
    for name in from_development:
        find_run(folder, dataset, name)

    from svipctl.training.development import with_development

    def configure(**found: Any) -> Resolved:
        return replace(overrides, flags={**found, **overrides.flags}).resolve(dataset)

    return with_development(configure, from_development)


def _check(settings: Settings, resume: str | None) -> None:
    """Raise the errors of missing inputs: the run to resume, the data set, files, the GPU."""
    from svipctl.errors import raise_together
    from svipctl.runs.lookup import find_run

    if resume not in (None, "auto"):
        find_run(settings.runs_dir, settings.dataset, resume)
    checks: list[Callable[[], object]] = [partial(check_inputs, settings)]
    if resume is not None:  # its run has its own weights
        checks = [partial(check_present, settings.dataset, settings.data_dir)]
    if settings.gpu not in ("auto", "cpu") and "," not in settings.gpu:
        from svipctl.device import choose_device

        checks.insert(0, partial(choose_device, settings.gpu))
    raise_together(*checks)


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
