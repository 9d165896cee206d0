"""`svipctl reproduce`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError, nearest

if TYPE_CHECKING:
    from svipctl.reproduce.table_plan import Overrides
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
    from svipctl.cli.configure import resolved
    from svipctl.reproduce.rows import select_rows
    from svipctl.reproduce.table_plan import TableRequest, check_assignable, flag_overrides, make_plan
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
    rows = select_rows(controls, recipes)
    methods = METHODS if baselines else ()
    request = TableRequest(dataset, rows, seeds, folds, methods, flag_overrides(configured), config, name)
    if launcher not in _LAUNCHERS:
        raise ConfigError(f"there is no launcher {launcher!r}", why=nearest(launcher, _LAUNCHERS))

    def configure(overrides: Overrides) -> Settings:
        return resolve(dataset, flags=overrides, config=config, environment=os.environ, folder=Path()).settings

    from svipctl.cli import _reproduce
    from svipctl.reproduce.published_numbers import check_comparable

    settings = configured.settings
    if check:
        check_comparable(request, settings)
    available = _reproduce.available(settings, folds, draw=not (dry_run or plan_file))
    plan = make_plan(request, configure, available)
    for row, reason in plan.left_out.items():
        sink.note(f"left out: {row}: {reason}")
    if dry_run:
        _reproduce.show_plan(plan, jobs, settings.gpu if launcher == "local" else None)
    elif plan_file is not None:
        _reproduce.write_plan(plan, plan_file)
    else:
        parameters = _reproduce.submitit_parameters(slurm or []) if launcher == "slurm" else None
        document = _reproduce.make_table(plan, settings, output, jobs, parameters)
        if check:
            _reproduce.check_published(document, tolerance)
        sink.document(document)
