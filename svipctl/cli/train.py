"""`svipctl train`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.ranks import Ranks
    from svipctl.runs.run import Run
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings
    from svipctl.training.development import Development


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
            help="Go on with an unfinished run: one by name or folder, or the newest that fits (auto); "
            "what the flags leave open is as in that run.",
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
    from svipctl.ranks import is_launcher, joined

    if is_launcher(settings.gpu) and not dry_run:
        from svipctl.training.launch import launch

        raise typer.Exit(launch(settings.gpu, sys.argv[1:]))
    with joined() as ranks, ExitStack() as at_work:
        if not dry_run:
            choose_device(settings.gpu, ranks.local)  # a wrong GPU is told, by whoever has it, before anything is drawn
        sink.silent = not ranks.is_first
        _train(configured, resume, ranks, development, at_work, dry_run=dry_run)


def _train(
    configured: Resolved,
    resume: str | None,
    ranks: Ranks,
    development: Development | None,
    at_work: ExitStack,
    *,
    dry_run: bool,
) -> None:
    """What each process of the run does; `at_work` takes the lock on its folder."""
    from svipctl.cli.training_progress import reporter
    from svipctl.datasets.official import partial_warning
    from svipctl.datasets.registry import open_benchmark
    from svipctl.held import held
    from svipctl.interruption import listening
    from svipctl.runs.finding import new_run
    from svipctl.runs.read_only import ReadOnlyRun
    from svipctl.training.board import board_of, check_installed
    from svipctl.training.environment import describe_environment
    from svipctl.training.loop import train as train_run
    from svipctl.training.plan import plan_training
    from svipctl.training.resume import check_same_images, find_resumable
    from svipctl.training.setup import prepare

    asked = configured.settings
    if asked.train.tensorboard:
        check_installed()
    resumable = None
    if resume is not None:
        resumable = ranks.decided(lambda: find_resumable(asked, configured.origins, resume))
    if resumable is not None:
        run, settings = resumable.run, resumable.settings
    else:
        run, settings = ranks.decided(lambda: new_run(asked, anew=resume is not None)), asked
    if dry_run:
        plan = plan_training(settings, run, resumable.position if resumable else "")
        if development is not None:
            plan["development"] = development.document()
        sink.say("\n".join(f"{key}: {value}" for key, value in plan.items()))
        sink.document({"dry_run": True, **plan})
        return
    if not ranks.is_first:
        run = ReadOnlyRun(run.folder)
    elif resumable is not None:
        at_work.enter_context(held(run.folder))  # before anything is read that another process may be about to save
    with ranks.first(), sink.progress(f"drawing {settings.dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=settings.data.allow_partial
        )
    if benchmark.missing:
        sink.warn(partial_warning(benchmark))
    with ranks.first(), sink.progress("computing the stem's features") as progress:
        start = run.last if resumable else None
        setup = prepare(settings, benchmark, resume_from=start, progress=progress, ranks=ranks)
    images = [benchmark.images[index] for index in setup.split.train]
    for note in setup.notes:
        sink.warn(note)
    parameters = sum(parameter.numel() for parameter in setup.model.parameters())
    devices = f"{setup.device}" if ranks.world == 1 else f"{ranks.world} processes"
    sink.note(
        f"training {benchmark.name} ({len(setup.split.train)} images, {parameters / 1e6:.1f} M parameters, "
        f"recipe {settings.recipe}, {'bf16' if setup.dtype.itemsize == 2 else 'fp32'} on {devices}) in {run.folder}"
    )
    if settings.optim.warmup_epochs >= settings.train.epochs:
        sink.warn(
            "every epoch is warm-up, so the backbone is not trained: use more --epochs or --set optim.warmup_epochs=0"
        )
    if development is not None:
        from svipctl.training.development import check_resumed, check_same_split

        check_same_split(development, benchmark)
        if resumable is not None:
            check_resumed(run, development)
        names = ", ".join(found.run for found in development.found)
        sink.note(f"from development ({names}): {development.epochs} epochs, gamma {development.gamma:.4f}")
    if setup.monitored is None and development is None and settings.train.monitor != "none":
        sink.note("nothing is evaluated between epochs: there is no validation split without --fold")
    if resumable is not None:
        check_same_images(run, images)
        sink.note(f"resuming {run.name} {resumable.position}")
    else:
        if resume is not None and run.is_abandoned:
            sink.note(f"{run.name} was killed before its first checkpoint: it is begun anew")
            run.discard_without_checkpoint()
        elif resume is not None:
            sink.note(f"there is nothing to resume: {run.name} begins")
        run.start(
            settings,
            describe_environment(setup.device, setup.dtype, setup.weights, ranks.world),
            images,
            development=development.document() if development else None,
            validation_images=development.validation_images(benchmark) if development else (),
            initial_images=setup.initial_images,
        )
        if ranks.is_first:
            at_work.enter_context(held(run.folder))
    try:
        if resumable is None:
            run.save_json("origins.json", configured.origins)
        with (
            listening() as stop,
            reporter(settings.train.epochs, len(images), resumed=resumable is not None) as watching,
            board_of(run, wanted=settings.train.tensorboard and ranks.is_first) as board,
        ):
            best = train_run(settings, setup, run, watching, resume=resumable is not None, stop=stop, board=board)
    except BaseException:
        run.discard_without_checkpoint()
        raise
    sink.say(f"done: {run.folder}\nnext: svipctl eval {settings.dataset}{_evaluation_flags(run, settings)}")
    sink.document({"dataset": benchmark.name, "run": str(run.folder), "recipe": settings.recipe, "best": best})


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
