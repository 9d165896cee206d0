"""`svipctl train`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings
    from svipctl.training.session import Session


def train(
    dataset: options.Dataset,
    recipe: options.Recipe = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run. (default: from recipe and seed)")] = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            help="Begin with a trained network: a run or checkpoint folder, or a .pth of the published code.",
        ),
    ] = None,
    epochs: options.Epochs = None,
    batch_size: options.TrainBatchSize = None,
    lr: options.LearningRate = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of everything random.")] = None,
    fold: Annotated[
        int | None, typer.Option("--fold", help="Development run: hold out fold 1, 2 or 3 of the training classes.")
    ] = None,
    final: Annotated[
        bool, typer.Option("--final", help="Final run: take epoch count and gamma from --from-development.")
    ] = False,
    from_development: Annotated[
        list[str] | None,
        typer.Option(
            "--from-development",
            metavar="RUN",
            help="A finished run with --fold that the final run takes its epoch count and gamma from. Repeatable.",
            autocompletion=complete.runs,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="[auto|RUN]",
            help="Go on with an unfinished run: one by name or folder, or the newest that fits or the one of --name "
            "(auto); what the flags leave open is as in that run.",
            autocompletion=complete.runs,
        ),
    ] = None,
    save_every: Annotated[
        float | None,
        typer.Option("--save-every", metavar="MINUTES", help="Between two saves within an epoch. (default: 15)"),
    ] = None,
    allow_partial: options.AllowPartial = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    offline: options.Offline = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Train SVIP on a data set; the run appears in the folder of runs.

    Examples: `svipctl train toybirds`, `svipctl train toybirds --recipe reference --gpu 0`,
    `svipctl train toybirds --resume`, `svipctl train cub --init-from published.pth --dry-run`, `svipctl train toybirds --final --from-development svipctl-seed0-fold1`
    """
    from svipctl.cli.configure import resolved

    configure = partial(
        resolved,
        dataset,
        config=config,
        assignments=assignments,
        recipe=recipe,
        name=name,
        model__backbone=backbone,
        model__weights=weights,
        model__init_from=None if init_from is None else str(init_from),
        train__batch_size=None if batch_size == "auto" else batch_size,
        train__accumulate="auto" if batch_size == "auto" else None,
        train__fold=fold,
        train__save_every=save_every,
        data__allow_partial=allow_partial,
        optim__lr=lr,
        seed=seed,
        precision=precision,
        gpu=gpu,
        offline=offline,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )
    development = None
    if final or from_development:
        _check_final_flags(final, from_development, epochs)
        from svipctl.training.development import check_final, read_development

        chosen_at_the_end: dict[str, Any] = {"train__select": "last"}  # not a preset's choice among epochs
        development = read_development(configure(**chosen_at_the_end).settings, from_development or [])
        configured = configure(train__epochs=development.epochs, **chosen_at_the_end)
        check_final(configured.settings, development)
    else:
        configured = configure(train__epochs=epochs)
    settings = configured.settings

    from svipctl.device import choose_device
    from svipctl.distributed.ranks import is_launcher, joined

    if is_launcher(settings.gpu) and not dry_run:
        from svipctl.distributed.launch import launch

        raise typer.Exit(launch(settings.gpu, sys.argv[1:]))
    with joined() as ranks:
        if not dry_run:
            choose_device(settings.gpu, ranks.local)  # a wrong GPU is told, by whoever has it, before anything is drawn
        sink.silent = not ranks.is_first

        from svipctl.cli.training_progress import reporter
        from svipctl.datasets.names import dataset_name
        from svipctl.inference.checkpoint import read_metadata
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
    sink.say(f"done: {run.folder}\nnext: svipctl eval {settings.dataset}{_evaluation_flags(run, settings)}")
    name = dataset_name(settings.dataset)
    sink.document({"dataset": name, "run": str(run.folder), "recipe": settings.recipe, "best": best})


def _show_plan(session: Session) -> None:
    from svipctl.cli.plans import in_words
    from svipctl.training.dry_run import plan_training

    for change in session.changed:
        sink.note(f"then {change}")
    plan = plan_training(session.settings, session.run, session.position)
    if session.begins_instead:
        sink.note(f"there is nothing to resume: {session.run.name} would begin")
    sink.say(in_words(plan))
    if session.development is not None:
        sink.say(session.development.summary)
        plan["development"] = session.development.document()
    sink.document({"dry_run": True, **plan})


def _check_final_flags(final: bool, development: list[str] | None, epochs: int | None) -> None:
    if not development:
        raise ConfigError(
            "a final run takes its epoch count and gamma from development runs, and none is named",
            todo="svipctl train DATASET --fold 1, then --final --from-development with that run's name",
        )
    if not final:
        raise ConfigError("--from-development is for a final run", todo="add --final")
    if epochs is not None:
        raise ConfigError(
            "--epochs and --from-development contradict each other",
            why="a final run trains for the epoch count found in development",
            todo="leave out --epochs, or train without --final",
        )


def _evaluation_flags(run: Run, settings: Settings) -> str:
    return f" --run {run.name}" + (f" --runs-dir {settings.runs_dir}" if settings.runs_dir != Path("runs") else "")
