"""`svipctl reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError, nearest

if TYPE_CHECKING:
    from svipctl.reproduce.execute import StepResult
    from svipctl.reproduce.launcher import Launcher
    from svipctl.reproduce.table_plan import Overrides, TablePlan
    from svipctl.settings.schema import Settings

_LAUNCHERS = ("local", "slurm")


def reproduce(
    dataset: options.Dataset,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each row, of seeds 0, 1, ...")] = 5,
    folds: Annotated[int, typer.Option("--folds", min=1, max=3, help="Development runs of each row.")] = 1,
    recipes: Annotated[
        str, typer.Option("--recipes", help="Recipes, with commas between.", autocompletion=complete.recipes)
    ] = "svipctl,reference",
    controls: Annotated[
        str, typer.Option("--controls", help="all, none, or rows with commas between: ROW, RECIPE/ROW, RECIPE/all.")
    ] = "all",
    baselines: Annotated[
        bool, typer.Option("--baselines/--no-baselines", help="Ridge, ESZSL and SAE on the backbone's features.")
    ] = True,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with code 1 when a published number is further away than --tolerance.")
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0, help="Of --check, percentage points; the authors' runs differ by 1.1."),
    ] = 2.0,
    name: Annotated[str, typer.Option("--name", help="What the names of all runs begin with.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="For the report. (default: beside the runs)"),
    ] = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    lr: options.LearningRate = None,
    allow_partial: options.AllowPartial = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    offline: options.Offline = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Commands at once.")] = 1,
    launcher: Annotated[str, typer.Option("--launcher", help="local, or slurm (submitit).")] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            metavar="KEY=VALUE",
            help="submitit's parameter, as slurm_partition=gpu or timeout_min=240. Repeatable.",
        ),
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE|-", help="Write what is left to do, one command a line; run nothing."),
    ] = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run the whole table of a data set: recipes, controls, baselines, seeds; continue where it was cut short.

    Examples: `svipctl reproduce toybirds --dry-run`, `svipctl reproduce toybirds --controls none --seeds 1 --plan -`
    """
    from svipctl.baselines.choices import METHODS
    from svipctl.cli._reproduce_output import check_published, raise_if_failed, show_table, write_plan
    from svipctl.cli.configure import resolved
    from svipctl.reproduce.published_numbers import check_comparable
    from svipctl.reproduce.rows import select_rows
    from svipctl.reproduce.step_state import check_configurations
    from svipctl.reproduce.table_plan import TableRequest, check_assignable, flag_overrides, make_plan
    from svipctl.runs.finding import TABLE
    from svipctl.settings.layers import resolve

    check_assignable([assignment.partition("=")[0].strip() for assignment in assignments or []])
    configured = resolved(
        dataset,
        config=config,
        assignments=assignments,
        model__backbone=backbone,
        model__weights=weights,
        train__epochs=epochs,
        train__batch_size=batch_size,
        optim__lr=lr,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
        data__allow_partial=allow_partial,
        offline=offline,
    )
    settings = configured.settings
    rows = select_rows(controls, recipes)
    methods = METHODS if baselines else ()
    request = TableRequest(dataset, rows, seeds, folds, methods, flag_overrides(configured), config, name)
    if launcher not in _LAUNCHERS:
        raise ConfigError(f"there is no launcher {launcher!r}", why=nearest(launcher, _LAUNCHERS))
    if check:
        check_comparable(request, settings)
    available = _available(settings, folds, draw=not (dry_run or plan_file))

    def configure(overrides: Overrides) -> Settings:
        return resolve(dataset, flags=overrides, config=config, environment=os.environ, folder=Path()).settings

    plan = make_plan(request, configure, available)
    for row, reason in plan.left_out.items():
        sink.note(f"left out: {row}: {reason}")
    if dry_run:
        _show_plan(plan, settings, jobs, launcher)
        return
    if plan_file is not None:
        write_plan(plan, plan_file)
        return
    check_configurations(plan)  # now, not after waiting for another table
    folder = output or _runs_folder(settings) / ("" if name == TABLE else f"{name}-report")
    failed = _execute(plan, settings, folder, jobs, _submitit_parameters(slurm or []) if launcher == "slurm" else None)
    document, written = _report(plan, folder)
    show_table(document, written)
    raise_if_failed(failed, len(plan.steps), document)
    if check:
        check_published(document, tolerance)
    sink.document(document)


def _available(settings: Settings, folds: int, *, draw: bool) -> set[str]:
    """Return what of `objects` and `words` the data set has; draw a built-in one first if `draw` allows it."""
    from svipctl.datasets.names import BUILT_IN
    from svipctl.datasets.registry import open_benchmark, pictures_to_draw

    if pictures_to_draw(settings.dataset, settings.data_dir) and not draw:
        return {"objects", "words"}
    with sink.progress(f"drawing {settings.dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=settings.data.allow_partial
        )
    for fold in range(1, folds + 1):
        benchmark.split(fold)
    vectors = benchmark.word_vectors_file
    has_words = settings.dataset in BUILT_IN or (vectors is not None and vectors.exists())
    has_objects = bool(benchmark.masks) or benchmark.boxes is not None
    return {name for name, there in (("objects", has_objects), ("words", has_words)) if there}


def _runs_folder(settings: Settings) -> Path:
    from svipctl.datasets.names import dataset_name

    return settings.runs_dir / dataset_name(settings.dataset)


def _show_plan(plan: TablePlan, settings: Settings, jobs: int, launcher: str) -> None:
    from svipctl.cli._reproduce_output import show_plan
    from svipctl.device import check_devices
    from svipctl.reproduce.step_state import StepState, run_of, states
    from svipctl.training.plan import plan_training

    if launcher == "local":
        check_devices(settings.gpu)
    found = states(plan)
    left = [step for step in plan.steps if found[step.key] is not StepState.DONE]
    trainings = [step for step in left if step.kind in ("development", "final")]
    needs: dict[str, int] = {}
    if trainings:  # disk for the checkpoints of all, memory for the networks of those that run at once
        one = plan_training(trainings[0].settings, run_of(trainings[0]))
        needs = {"disk_mib": len(trainings) * one["disk_mib"]}
        needs["memory_mib"] = min(jobs, len(trainings)) * one["memory_mib"]
    show_plan(plan, found, needs)


def _submitit_parameters(assignments: list[str]) -> dict[str, Any]:
    from svipctl.settings.layers import parse_value

    for assignment in assignments:
        if "=" not in assignment:
            raise ConfigError(f"--slurm {assignment}: write it as key=value")
    return {key: parse_value(value) for key, _, value in (one.partition("=") for one in assignments)}


def _execute(
    plan: TablePlan, settings: Settings, folder: Path, jobs: int, slurm: dict[str, Any] | None
) -> list[StepResult]:
    from svipctl.cli._reproduce_output import StepLines
    from svipctl.reproduce.execute import execute, one_at_a_time
    from svipctl.reproduce.local_launcher import LocalLauncher
    from svipctl.reproduce.remaining_time import RemainingTime
    from svipctl.reproduce.slurm_launcher import SlurmLauncher
    from svipctl.reproduce.step_state import StepState, states
    from svipctl.signals import listening

    logs = _runs_folder(settings) / f"{plan.request.prefix}-logs"
    with one_at_a_time(settings.runs_dir, settings.dataset, sink.note) as lock, listening() as stop:
        found = states(plan)
        _report(plan, folder)  # fails now if it cannot be written, not after hours
        remaining = RemainingTime([step.kind for step in plan.steps if found[step.key] is not StepState.DONE], jobs)
        where: Launcher[Any] = LocalLauncher(jobs, lock=lock)
        if slurm is not None:
            cluster = slurm.pop("cluster", "slurm")
            where = SlurmLauncher(jobs, logs / "submitit", slurm, cluster=cluster)
        return execute(plan, where, logs, StepLines(remaining, lambda: _report(plan, folder)), stop)


def _report(plan: TablePlan, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Write the report of what the runs have found so far."""
    from svipctl.reproduce.run_results import collect_results
    from svipctl.reproduce.table_document import table_document
    from svipctl.reproduce.table_report import write_report

    document = table_document(plan, collect_results(plan))
    return document, write_report(document, folder)
