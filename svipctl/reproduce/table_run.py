"""Run the plan of a table, and keep its report up to date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svipctl.device import visible_gpus
from svipctl.reproduce.execute import StepResult, execute, one_at_a_time
from svipctl.reproduce.launcher import Launcher, LocalLauncher
from svipctl.reproduce.run_results import collect_results
from svipctl.reproduce.slurm_launcher import SlurmLauncher
from svipctl.reproduce.step_state import check_configurations, runs_folder
from svipctl.reproduce.table_document import table_document
from svipctl.reproduce.table_plan import TablePlan
from svipctl.reproduce.table_report import write_report
from svipctl.runs.lookup import TABLE
from svipctl.settings.schema import Settings
from svipctl.signals import listening


def run_table(
    plan: TablePlan,
    settings: Settings,
    note: Callable[[str], None],
    *,
    output: Path | None = None,
    jobs: int = 1,
    slurm: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], list[Path], list[StepResult]]:
    """Run the steps of a plan that are left, and write its report at the start, after each evaluation and at the end.

    Args:
        plan: The plan.
        settings: The configuration without the overrides of any row.
        note: Receives a line when a command starts or ends, and when another `reproduce` must be waited for.
        output: Folder for the report; None for the folder of the runs.
        jobs: Number of commands that run at once.
        slurm: Parameters of submitit; None runs the commands on this machine.

    Returns:
        The report, its files, and the steps that failed or were not run because of a failure.

    Raises:
        ConfigError: A run was started with another configuration, or submitit does not accept a parameter.
        Interrupted: A signal was received, and all running commands have saved their state.

    """
    runs, prefix = runs_folder(settings), plan.request.prefix
    folder = output or (runs if prefix == TABLE else runs / f"{prefix}-report")
    logs = runs / f"{prefix}-logs"

    def report() -> tuple[dict[str, Any], list[Path]]:
        document = table_document(plan, collect_results(plan))
        return document, write_report(document, folder)

    check_configurations(plan)  # now, not after waiting for another table
    with one_at_a_time(runs, note) as lock, listening() as stop:
        check_configurations(plan)
        report()  # fails now if it cannot be written, not after hours
        gpus = visible_gpus() if settings.gpu == "auto" and jobs > 1 else []
        launcher: Launcher = LocalLauncher(jobs, gpus=gpus, lock=lock)
        if slurm is not None:
            launcher = SlurmLauncher(jobs, logs / "submitit", slurm)
        failed = execute(plan, launcher, logs, note, stop, on_figures=report)
    return *report(), failed
