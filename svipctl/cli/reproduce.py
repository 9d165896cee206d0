"""`svipctl reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.cli.training_progress import duration
from svipctl.errors import CheckFailed, ConfigError, nearest

if TYPE_CHECKING:
    from svipctl.datasets.benchmark import Benchmark
    from svipctl.reproduce.execute import Ended
    from svipctl.reproduce.plan import Plan, Request, Step
    from svipctl.settings.schema import Settings


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
    name: Annotated[str, typer.Option("--name", help="What the names of all runs begin with.")] = "table",
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
    from svipctl.cli.configure import resolved
    from svipctl.reproduce.plan import Flag

    given = {
        "model.backbone": ("--backbone", backbone),
        "model.weights": ("--weights", weights),
        "train.epochs": ("--epochs", epochs),
        "train.batch_size": ("--batch-size", batch_size),
        "optim.lr": ("--lr", lr),
        "precision": ("--precision", precision),
        "gpu": ("--gpu", gpu),
        "data_dir": ("--data-dir", data_dir),
        "runs_dir": ("--runs-dir", runs_dir),
    }
    values: dict[str, Any] = {key: value for key, (_, value) in given.items() if value is not None}
    handed_on = [Flag((flag, str(value)), key) for key, (flag, value) in given.items() if value is not None]
    for key, flag, value in (
        ("data.allow_partial", "--allow-partial", allow_partial),
        ("offline", "--offline", offline),
    ):
        if value:
            values[key] = True
            handed_on.append(Flag((flag,), key))
    handed_on += [Flag(("--config", str(config)), "config")] if config else []
    handed_on += [Flag(("--set", assignment), "set") for assignment in assignments or ()]

    def configure(sets: Any, *, without: Any = (), **flags: Any) -> Settings:
        named = {key.replace(".", "__"): value for key, value in values.items() if key not in without}
        return resolved(dataset, config=config, assignments=sets, **{**named, **flags}).settings

    settings = configure(assignments or ())
    request = _request(dataset, recipes, controls, seeds, folds, handed_on, name, baselines=baselines)
    benchmark, has = _benchmark(settings, folds, draw=not (dry_run or plan_file))

    from svipctl.reproduce.execute import left_to_do
    from svipctl.reproduce.plan import make_plan
    from svipctl.reproduce.state import states

    plan = make_plan(request, configure, has)
    for row, why in plan.left_out.items():
        sink.note(f"left out: {row}: {why}")
    if dry_run:
        found = states(plan)
        for step in plan.steps:
            sink.say(f"{found[step.key].value:10}  {step.command}")
        steps = [{"run": s.run, "kind": s.kind, "state": found[s.key].value, "command": s.command} for s in plan.steps]
        sink.document({"dry_run": True, "steps": steps, "left_out": dict(plan.left_out)})
        return
    if plan_file is not None:
        _write_plan(left_to_do(plan), plan_file)
        return
    failed = _execute(plan, settings, jobs)
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(plan.steps)} commands failed or were not run because of these",
            why="\n".join(_failure(one) for one in failed),
            todo="mend what their logs say and run the same command again: what is done is kept",
        )


def _request(
    dataset: str,
    recipes: str,
    controls: str,
    seeds: int,
    folds: int,
    handed_on: list[Any],
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
    rows = chosen_rows(controls, wanted)
    return Request(dataset, rows, seeds, folds, METHODS if baselines else (), tuple(handed_on), prefix)


def _benchmark(settings: Settings, folds: int, *, draw: bool) -> tuple[Benchmark | None, set[str]]:
    """The benchmark (None of one that is still to be drawn and is not now), and what it has."""
    from svipctl.datasets.registry import open_benchmark, pictures_to_draw

    if pictures_to_draw(settings.dataset, settings.data_dir) and not draw:
        return None, {"objects", "words"}
    with sink.progress(f"drawing {settings.dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=settings.data.allow_partial
        )
    for fold in range(1, folds + 1):
        benchmark.split(fold)
    built_in = bool(benchmark.masks) and settings.dataset == "toybirds"
    vectors = benchmark.word_vectors_file
    has = {"objects"} if benchmark.masks or benchmark.boxes is not None else set()
    return benchmark, has | ({"words"} if built_in or (vectors is not None and vectors.exists()) else set())


def _execute(plan: Plan, settings: Settings, jobs: int) -> list[Ended]:
    from svipctl.datasets.names import dataset_name
    from svipctl.interruption import listening
    from svipctl.reproduce.execute import execute, one_at_a_time
    from svipctl.reproduce.local import LocalLauncher

    folder = settings.runs_dir / dataset_name(settings.dataset)
    with one_at_a_time(settings.runs_dir, settings.dataset, sink.note) as lock, listening() as stop:
        logs = folder / f"{plan.request.prefix}-logs"
        return execute(plan, LocalLauncher(jobs, lock=lock), logs, _Told(), stop)


class _Told:
    """One line when a command begins, one when it has ended."""

    def started(self, step: Step, *, resumed: bool) -> None:
        """Say what begins."""
        sink.note(f"{'resuming' if resumed else 'starting'}: {step.kind} {step.run}")

    def ended(self, ended: Ended, done: int, total: int) -> None:
        """Say how it ended."""
        how = f"failed: {_failure(ended)}" if ended.failed else f"done in {duration(ended.seconds)}"
        sink.note(f"[{done}/{total}] {ended.step.kind} {ended.step.run}: {how}")


def _failure(ended: Ended) -> str:
    if ended.log is None:
        return f"{ended.step.key}: not run, because what it needs failed"
    lines = ended.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if ended.log.exists() else []
    return f"{ended.step.key}: exit code {ended.code}, see {ended.log}" + (f": {lines[-1]}" if lines else "")


def _write_plan(commands: list[tuple[str, ...]], file: Path) -> None:
    import shlex

    from svipctl.errors import explained_disk_errors

    lines = [shlex.join(["svipctl", *arguments]) for arguments in commands]
    if str(file) == "-":
        sink.say("\n".join(lines))
    else:
        with explained_disk_errors(str(file)):
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sink.document({"plan": lines})
