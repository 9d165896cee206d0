"""`svipctl train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import describe_plan, sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import joined_processes
from svipctl.errors import ConfigError
from svipctl.quoting import shell_command
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.settings.layers import Resolved
    from svipctl.training.development import Development
    from svipctl.training.session import Session


@command(*flags.TRAINING, dry_run=True)
def train(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    final: Annotated[
        bool, typer.Option("--final", help="Final run: take epoch count and gamma from --from-development.")
    ] = False,
    from_development: Annotated[
        list[str] | None,
        typer.Option(
            "--from-development",
            metavar="RUN",
            help="Finished run with --fold that gives a final run its epoch count and gamma. Repeatable.",
            autocompletion=_completion.runs,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[auto|RUN]",
            help="Continue an unfinished run: its name or folder, or auto: the one of --name, or the newest that fits. "
            "Settings without a flag are the run's own.",
            autocompletion=_completion.resumable,
        ),
    ] = None,
    standalone: _options.Standalone = False,
    dry_run: bool,
) -> None:
    """Train SVIP on a data set.

    Writes the run into the folder of runs.

    Examples:
        svipctl train toybirds
        svipctl train toybirds --recipe reference --gpu 0
        svipctl train toybirds --resume
        svipctl train cub --init-from published.pth --dry-run
        svipctl train toybirds --final --from-development svipctl-seed0-fold1

    """
    configured, development = _configure(dataset, overrides, final, from_development)
    settings = configured.settings

    with joined_processes(settings.gpu, standalone=standalone, dry_run=dry_run) as ranks:
        from svipctl.cli._training_progress import reporter
        from svipctl.datasets.names import dataset_name
        from svipctl.inference.checkpoint import read_metadata
        from svipctl.settings.command_line import folder_arguments
        from svipctl.training.session import carry_out, choose

        session = choose(settings, configured.origins, resume, ranks, development)
        if session.is_done:
            sink.note(f"{session.run.name} is finished: nothing is left to do")
            best = read_metadata(session.run.best).metrics
        elif dry_run:
            _show_plan(session)
            return
        else:
            best = carry_out(session, ranks, sink, reporter)
    run, settings = session.run, session.settings
    following = shell_command("eval", settings.dataset, "--run", run.name, *folder_arguments(settings))
    sink.say(f"done: {run.folder}\nnext: {following}")
    name = dataset_name(settings.dataset)
    sink.document({"dataset": name, "run": str(run.folder), "recipe": settings.recipe, "best": best})


def _configure(
    dataset: str, overrides: Overrides, final: bool, from_development: list[str] | None
) -> tuple[Resolved, Development | None]:
    """Return the settings, and for a final run what development found."""
    more: dict[str, Any] = {}
    if overrides.flags.get("train.batch_size") == "auto":
        more = {"train.batch_size": None, "train.accumulate": "auto"}
    if not (final or from_development):
        return overrides.resolve(dataset, more), None

    from svipctl.training.development import with_development

    _check_final_flags(final, from_development, "train.epochs" in overrides.flags)
    return with_development(lambda **found: overrides.resolve(dataset, more | found), from_development or [])


def _show_plan(session: Session) -> None:
    from svipctl.training.dry_run import plan_training

    for change in session.changed:
        sink.note(f"then {change}")
    plan = plan_training(session.settings, session.run, session.position)
    if session.begins_instead:
        sink.note(f"there is nothing to resume: {session.run.name} would begin")
    sink.say(describe_plan(plan))
    if session.development is not None:
        sink.say(session.development.summary)
        plan["development"] = session.development.document()
    sink.document({"dry_run": True, **plan})


def _check_final_flags(final: bool, development: list[str] | None, has_epochs: bool) -> None:
    if not development:
        raise ConfigError(
            "a final run takes its epoch count and gamma from development runs, and none is named",
            todo="svipctl train DATASET --fold 1, then --final --from-development with that run's name",
        )
    if not final:
        raise ConfigError("--from-development is for a final run", todo="add --final")
    if has_epochs:
        raise ConfigError(
            "--epochs and --from-development contradict each other",
            why="a final run trains for the epoch count found in development",
            todo="leave out --epochs, or train without --final",
        )
