"""`svipctl reproduce`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import ConfigError, nearest
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.reproduce.execute import Ended, Launcher
    from svipctl.reproduce.plan import Flag, Plan, Request, Step
    from svipctl.settings.schema import Settings

_LAUNCHERS = ("local", "slurm")


@command(
    *(flags.BACKBONE, flags.WEIGHTS, flags.EPOCHS, flags.BATCH_SIZE, flags.LR, flags.PRECISION, flags.GPU),
    *(flags.DATA_DIR, flags.RUNS_DIR, flags.ALLOW_PARTIAL, flags.OFFLINE),
    dry_run=True,
)
def reproduce(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each row, with seeds 0, 1, ...")] = 5,
    folds: Annotated[int, typer.Option("--folds", min=1, max=3, help="Development runs of each row.")] = 1,
    recipes: Annotated[
        str,
        typer.Option(
            "--recipes",
            help="Recipes, separated by commas.",
            autocompletion=_completion.comma_separated(*flags.RECIPE.values),
        ),
    ] = "svipctl,reference",
    controls: Annotated[
        str,
        typer.Option(
            "--controls",
            help="all, none, or rows separated by commas: ROW, RECIPE/ROW, RECIPE/all.",
            autocompletion=_completion.controls,
        ),
    ] = "all",
    baselines: Annotated[
        bool,
        typer.Option("--baselines/--no-baselines", help="Fit Ridge, ESZSL and SAE on the backbone's features."),
    ] = True,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit with code 1 if a number differs from the published one by over --tolerance."
        ),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0, help="Percentage points for --check; the authors' runs differ by 1.1."),
    ] = 2.0,
    name: Annotated[str, typer.Option("--name", help="Prefix of the names of all runs.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Folder of the report. (default: next to the runs)"),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Commands that run at once.")] = 1,
    launcher: Annotated[
        str,
        typer.Option(
            "--launcher",
            help="Run commands here (local) or on a cluster (slurm, by submitit).",
            autocompletion=_completion.choices("local", "slurm"),
        ),
    ] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            metavar="KEY=VALUE",
            help="Parameter of submitit, as slurm_partition=gpu or timeout_min=240. Repeatable.",
        ),
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE|-", help="Write the commands left to do, one per line; run nothing."),
    ] = None,
    dry_run: bool,
) -> None:
    """Run the whole table of a data set: recipes, controls, baselines, seeds; continue where it was cut short.

    Examples:
        svipctl reproduce toybirds --dry-run
        svipctl reproduce toybirds --controls none --seeds 1 --plan -

    """
    given, config, sets = dict(overrides.flags), overrides.config, list(overrides.assignments)

    def configure(assignments: Sequence[str], *, without: Sequence[str] = (), **more: object) -> Settings:
        named = {key: value for key, value in given.items() if key not in without}
        changed = {key.replace("__", "."): value for key, value in more.items()}
        return Overrides(named, assignments, config).resolve(dataset, changed).settings

    _check_assignments(sets)
    settings = configure(sets)
    handed_on = _handed_on(given, config, sets)
    request = _request(dataset, recipes, controls, seeds, folds, handed_on, name, baselines=baselines)
    if launcher not in _LAUNCHERS:
        raise ConfigError(f"there is no launcher {launcher!r}", why=nearest(launcher, _LAUNCHERS))
    if check:
        _check_is_possible(request, settings)
    has = _what_there_is(settings, folds, draw=not (dry_run or plan_file))

    from svipctl.cli._reproduction import check_published, raise_if_failed, show_plan, show_table, write_plan
    from svipctl.reproduce.execute import left_to_do
    from svipctl.reproduce.plan import make_plan
    from svipctl.reproduce.state import State, check_configurations, states

    plan = make_plan(request, configure, has)
    for row, why in plan.left_out.items():
        sink.note(f"left out: {row}: {why}")
    if dry_run:
        if launcher == "local":
            from svipctl.device import check_devices

            check_devices(settings.gpu)
        found = states(plan)
        show_plan(plan, found, _needs([step for step in plan.steps if found[step.key] is not State.DONE], jobs))
        return
    if plan_file is not None:
        write_plan(left_to_do(plan), plan_file)
        return
    check_configurations(plan)  # now, not after waiting for another table
    folder = output or _folder(settings, name)
    failed = _execute(plan, settings, folder, jobs, _parameters(slurm or []) if launcher == "slurm" else None)
    document, written = _report(plan, folder)
    show_table(document, written)
    raise_if_failed(failed, len(plan.steps), document)
    if check:
        check_published(document, tolerance)
    sink.document(document)


def _check_assignments(assignments: Sequence[str]) -> None:
    from svipctl.reproduce.plan import DECIDED

    if refused := sorted(DECIDED.intersection(one.partition("=")[0].strip() for one in assignments)):
        raise ConfigError(
            f"--set {refused[0]}: the table gives each of its runs its own",
            todo="leave it out; --recipes, --seeds, --folds and --name say which runs there are",
        )


def _handed_on(given: dict[str, Any], config: Path | None, assignments: list[str]) -> tuple[Flag, ...]:
    """The flags of the commands that the plan makes."""
    from svipctl.reproduce.plan import Flag

    flags = [
        Flag((f"--{_NAMES.get(key, key)}",) if value is True else (f"--{_NAMES.get(key, key)}", str(value)), key)
        for key, value in given.items()
        if value is not False
    ]
    flags += [Flag(("--config", str(config)), "config")] if config else []
    return (*flags, *(Flag(("--set", assignment), "set") for assignment in assignments))


_NAMES = {
    "model.backbone": "backbone",
    "model.weights": "weights",
    "train.epochs": "epochs",
    "train.batch_size": "batch-size",
    "optim.lr": "lr",
    "data_dir": "data-dir",
    "runs_dir": "runs-dir",
    "data.allow_partial": "allow-partial",
}


def _request(
    dataset: str,
    recipes: str,
    controls: str,
    seeds: int,
    folds: int,
    handed_on: tuple[Flag, ...],
    prefix: str,
    *,
    baselines: bool,
) -> Request:
    from svipctl.baselines.choices import METHODS
    from svipctl.reproduce.plan import Request
    from svipctl.reproduce.rows import chosen_rows
    from svipctl.settings.layers import RECIPES

    wanted = tuple(dict.fromkeys(word.strip() for word in recipes.split(",") if word.strip()))
    for recipe in wanted:
        if recipe not in RECIPES:
            raise ConfigError(f"there is no recipe {recipe!r}", why=nearest(recipe, RECIPES))
    if not wanted:
        raise ConfigError("--recipes names no recipe", why=f"known: {', '.join(RECIPES)}")
    rows = chosen_rows(controls, wanted)
    return Request(dataset, rows, seeds, folds, METHODS if baselines else (), handed_on, prefix)


def _check_is_possible(request: Request, settings: Settings) -> None:
    from svipctl.reproduce.published import RECIPE, published_numbers

    if not published_numbers(request.dataset):
        raise ConfigError(
            f"there are no published numbers of {request.dataset} to check against",
            why="the paper has cub, awa2 and sun",
            todo="leave out --check",
        )
    if RECIPE not in request.rows:
        raise ConfigError(f"published numbers are those of recipe {RECIPE}", todo=f"add {RECIPE} to --recipes")
    if settings.data.allow_partial:
        raise ConfigError(
            "numbers from a part of the images are not comparable with published ones",
            todo="leave out --check or --allow-partial",
        )


def _what_there_is(settings: Settings, folds: int, *, draw: bool) -> set[str]:
    """What of `objects` and `words` the data set has; drawn first when it is built in, unless nothing may be written."""
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


def _folder(settings: Settings, prefix: str) -> Path:
    """Where the report goes: beside the runs, or in a folder of its own for a table with a name of its own."""
    from svipctl.runs.finding import TABLE

    beside = _beside_runs(settings)
    return beside if prefix == TABLE else beside / f"{prefix}-report"


def _needs(left: Sequence[Step], jobs: int) -> dict[str, int]:
    """Disk for the checkpoints of all trainings that are left, and memory for the networks of those that run at once."""
    from svipctl.reproduce.state import run_of
    from svipctl.training.plan import plan_training

    trainings = [step for step in left if step.kind in ("development", "final")]
    if not trainings:
        return {}
    one = plan_training(trainings[0].settings, run_of(trainings[0]))
    return {"disk_mib": len(trainings) * one["disk_mib"], "memory_mib": min(jobs, len(trainings)) * one["memory_mib"]}


def _beside_runs(settings: Settings) -> Path:
    from svipctl.datasets.names import dataset_name

    return settings.runs_dir / dataset_name(settings.dataset)


def _parameters(assignments: list[str]) -> dict[str, Any]:
    """Submitit's parameters from `KEY=VALUE`."""
    from svipctl.settings.layers import parse_value

    for assignment in assignments:
        if "=" not in assignment:
            raise ConfigError(f"--slurm {assignment}: write it as key=value")
    return {key: parse_value(value) for key, _, value in (one.partition("=") for one in assignments)}


def _execute(plan: Plan, settings: Settings, folder: Path, jobs: int, slurm: dict[str, Any] | None) -> list[Ended]:
    from svipctl.cli._reproduction import Told
    from svipctl.reproduce.execute import execute, one_at_a_time
    from svipctl.reproduce.local import LocalLauncher
    from svipctl.reproduce.pace import Pace
    from svipctl.reproduce.slurm import SlurmLauncher
    from svipctl.reproduce.state import State, states
    from svipctl.signals import listening

    logs = _beside_runs(settings) / f"{plan.request.prefix}-logs"
    with one_at_a_time(settings.runs_dir, settings.dataset, sink.note) as lock, listening() as stop:
        found = states(plan)
        _report(plan, folder)  # where it cannot be written is told now, not after hours
        left = [step.kind for step in plan.steps if found[step.key] is not State.DONE]
        where: Launcher = LocalLauncher(jobs, lock=lock)
        if slurm is not None:
            cluster = slurm.pop("cluster", "slurm")
            where = SlurmLauncher(jobs, logs / "submitit", slurm, cluster=cluster)
        return execute(plan, where, logs, Told(Pace(left, jobs), lambda: _report(plan, folder)), stop)


def _report(plan: Plan, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Write what the runs say so far."""
    from svipctl.reproduce.collect import collect
    from svipctl.reproduce.document import table_document
    from svipctl.reproduce.report import write_report

    document = table_document(plan, collect(plan))
    return document, write_report(document, folder)
