"""Implement `svipctl reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option, output_option, sink
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs


@command(
    *(flags.BACKBONE, flags.WEIGHTS, flags.EPOCHS, flags.BATCH_SIZE, flags.LR, flags.PRECISION, flags.GPU),
    *(flags.DATA_DIR, flags.RUNS_DIR, flags.ALLOW_PARTIAL, flags.OFFLINE),
)
def reproduce(
    dataset: Dataset,
    *,
    overrides: Overrides,
    seeds: int = option(5, "Number of seeds per row.", min=1),
    folds: int = option(1, "Number of development folds per row.", min=1, max=3),
    recipes: str = option(
        "svipctl,reference",
        "Recipes, separated by commas.",
        autocompletion=_completion.comma_separated(*flags.RECIPE.values),
    ),
    controls: str = option(
        "all",
        "Ablations and controls: all, none, or names separated by commas (NAME, RECIPE/NAME, RECIPE/all).",
        autocompletion=_completion.controls,
    ),
    baselines: bool = option(True, "Include the methods of `svipctl baseline`.", "--baselines/--no-baselines"),
    check: bool = option(
        False, "Exit with code 1 if a number differs from the published one by more than --tolerance."
    ),
    tolerance: float = option(
        2.0, "Percentage points for --check; the authors' own runs differ from each other by up to 1.1.", min=0
    ),
    name: str = option("table", "Prefix of all run names."),
    output: Path | None = output_option("Report folder. (default: next to the runs)", metavar="FOLDER"),
    jobs: int = option(1, "Number of commands that run at once.", min=1),
    launcher: Literal["local", "slurm"] = option(
        "local", "Launcher: this machine (local) or a cluster (slurm, through submitit)."
    ),
    slurm: list[str] | None = option(
        None, "Submitit parameter, for example slurm_partition=gpu or timeout_min=240. Repeatable.", metavar="KEY=VALUE"
    ),
    plan_file: Path | None = option(
        None,
        "Write the remaining commands to FILE (- for stdout), one per line, and run nothing.",
        "--plan",
        metavar="FILE|-",
    ),
    dry_run: bool,
) -> None:
    """Reproduce a table of results.

    Its rows are recipes, controls and baselines, which are trained and evaluated with several seeds. The same command continues
    after an interruption.

    Examples:
        svipctl reproduce toybirds --dry-run
        svipctl reproduce toybirds --controls none --seeds 1 --plan -

    """
    configured = overrides.resolve(dataset)
    settings = configured.settings
    if not check:
        check_inputs(settings)

    from svipctl.baselines.choices import METHODS
    from svipctl.reproduce.rows import select_rows
    from svipctl.reproduce.table_plan import TableRequest, flag_overrides, make_plan

    rows = select_rows(controls, recipes)
    methods = METHODS if baselines else ()
    config = overrides.config
    request = TableRequest(dataset, rows, seeds, folds, methods, flag_overrides(configured), config, name)

    from svipctl.cli import _reproduce
    from svipctl.reproduce.published_numbers import check_comparable
    from svipctl.reproduce.slurm_launcher import parse_parameters

    if check:
        check_comparable(request, settings)
        check_inputs(settings)  # report first if the numbers cannot be compared
    available = _reproduce.available(settings, folds, draw=not (dry_run or plan_file))
    plan = make_plan(request, lambda row: Overrides(row, config=config).resolve(dataset).settings, available)
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
