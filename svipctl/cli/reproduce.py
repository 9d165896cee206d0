"""Implement `svipctl reproduce`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.settings.schema import Settings


@command(
    *(flags.BACKBONE, flags.WEIGHTS, flags.EPOCHS, flags.BATCH_SIZE, flags.LR, flags.PRECISION, flags.GPU),
    *(flags.DATA_DIR, flags.RUNS_DIR, flags.ALLOW_PARTIAL, flags.OFFLINE),
    dry_run=True,
)
def reproduce(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Number of seeds per row.")] = 5,
    folds: Annotated[int, typer.Option("--folds", min=1, max=3, help="Number of development folds per row.")] = 1,
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
            help="Controls: all, none, or rows separated by commas (ROW, RECIPE/ROW, RECIPE/all).",
            autocompletion=_completion.controls,
        ),
    ] = "all",
    baselines: Annotated[
        bool,
        typer.Option("--baselines/--no-baselines", help="Include the methods of `svipctl baseline`."),
    ] = True,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit with code 1 if a number differs from the published one by more than --tolerance."
        ),
    ] = False,
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", min=0, help="Percentage points for --check; the authors' runs differ by up to 1.1."
        ),
    ] = 2.0,
    name: Annotated[str, typer.Option("--name", help="Prefix of all run names.")] = "table",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Report folder. (default: next to the runs)"),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Number of commands that run at once.")] = 1,
    launcher: Annotated[
        Literal["local", "slurm"],
        typer.Option("--launcher", help="Launcher: this machine (local) or a cluster (slurm, through submitit)."),
    ] = "local",
    slurm: Annotated[
        list[str] | None,
        typer.Option(
            "--slurm",
            metavar="KEY=VALUE",
            help="Submitit parameter, for example slurm_partition=gpu or timeout_min=240. Repeatable.",
        ),
    ] = None,
    plan_file: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE|-", help="File for the commands left to do, one per line; run nothing."),
    ] = None,
    dry_run: bool,
) -> None:
    """Train and evaluate every row of a table.

    The rows are recipes, controls and baselines, each with several seeds. The same command continues after an
    interruption.

    Examples:
        svipctl reproduce toybirds --dry-run
        svipctl reproduce toybirds --controls none --seeds 1 --plan -

    """
    configured = overrides.resolve(dataset)
    if not check:
        check_inputs(configured.settings)

    from svipctl.baselines.choices import METHODS
    from svipctl.reproduce.rows import select_rows
    from svipctl.reproduce.table_plan import TableRequest, check_assignable, flag_overrides, make_plan

    check_assignable([assignment.partition("=")[0].strip() for assignment in overrides.assignments])
    rows = select_rows(controls, recipes)
    methods = METHODS if baselines else ()
    request = TableRequest(dataset, rows, seeds, folds, methods, flag_overrides(configured), overrides.config, name)

    def configure(row: Mapping[str, Any]) -> Settings:
        return Overrides(row, config=overrides.config).resolve(dataset).settings

    from svipctl.cli import _reproduce
    from svipctl.reproduce.published_numbers import check_comparable
    from svipctl.reproduce.slurm_launcher import parse_parameters

    settings = configured.settings
    if check:
        check_comparable(request, settings)
        check_inputs(settings)  # report first if the numbers cannot be compared
    available = _reproduce.available(settings, folds, draw=not (dry_run or plan_file))
    plan = make_plan(request, configure, available)
    for row, reason in plan.left_out.items():
        sink.note(f"left out: {row}: {reason}")
    if dry_run:
        _reproduce.show_plan(plan, jobs, settings.gpu if launcher == "local" else None)
    elif plan_file is not None:
        _reproduce.write_plan(plan, plan_file)
    else:
        parameters = parse_parameters(slurm or []) if launcher == "slurm" else None
        document = _reproduce.make_table(plan, settings, output, jobs, parameters)
        if check:
            _reproduce.check_published(document, tolerance)
        sink.document(document)
