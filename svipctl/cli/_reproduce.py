"""Run and show `svipctl reproduce`: the plan, the commands, the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svipctl.cli._output import sink
from svipctl.cli._runs import open_dataset
from svipctl.datasets.registry import pictures_to_draw
from svipctl.device import check_devices
from svipctl.errors import CheckFailed, explained_disk_errors
from svipctl.plans import describe_plan
from svipctl.quoting import shell_command
from svipctl.reproduce.execute import left_to_do, required_resources
from svipctl.reproduce.step_state import states
from svipctl.reproduce.table_plan import TablePlan, available_in
from svipctl.reproduce.table_report import main_table
from svipctl.reproduce.table_run import run_table
from svipctl.settings.schema import Settings

_KINDS = {
    "baseline": "baselines",
    "development": "development runs",
    "final": "final runs",
    "evaluation": "evaluations",
}


def available(settings: Settings, folds: int, *, draw: bool) -> set[str]:
    """Return which of `objects` and `words` the data set has; draw a built-in one first if `draw` is true."""
    if pictures_to_draw(settings.dataset, settings.data_dir) and not draw:
        return {"objects", "words"}
    return available_in(open_dataset(settings), settings, folds)


def show_plan(plan: TablePlan, jobs: int, gpu: str | None) -> None:
    """Print every command with its state, and the requirements of those that are left: `--dry-run`.

    Args:
        plan: The plan.
        jobs: Number of commands that run at once.
        gpu: The devices to check, None if they are those of another machine.

    """
    if gpu is not None:
        check_devices(gpu)
    steps = [
        {"run": step.run, "kind": step.kind, "state": state.value, "command": step.command}
        for step, state in zip(plan.steps, states(plan).values())
    ]
    needs = required_resources(plan, jobs)
    text = "\n".join(f"{step['state']:10}  {step['command']}" for step in steps)
    sink.plan({"steps": steps, "left_out": dict(plan.left_out), **needs}, text)
    left = [step["kind"] for step in steps if step["state"] != "done"]
    sink.note("left to do: " + ", ".join(f"{left.count(kind)} {name}" for kind, name in _KINDS.items()))
    sink.note(describe_plan(needs))


def write_plan(plan: TablePlan, file: Path) -> None:
    """Write the commands that are left, one per line: `--plan`."""
    lines = [shell_command(*arguments) for arguments in left_to_do(plan)]
    if str(file) == "-":
        sink.data("\n".join(lines))
    else:
        with explained_disk_errors(str(file)):
            text = "".join(f"{line}\n" for line in lines)
            file.write_text(text, encoding="utf-8", errors="surrogateescape")  # words in the bytes that were typed
        sink.say(f"{file}: {len(lines)} commands, to be run in this order")
    sink.document({"plan": lines})


def make_table(
    plan: TablePlan, settings: Settings, output: Path | None, jobs: int, slurm: dict[str, Any] | None
) -> dict[str, Any]:
    """Run the steps of a plan that are left, print the table, and return its document; same arguments as `run_table`.

    Raises:
        CheckFailed: Commands failed.

    """
    document, written, failed = run_table(plan, settings, sink.note, output=output, jobs=jobs, slurm=slurm)
    sink.table(f"{document['dataset']}: percent, mean ± standard deviation over n seeds", *main_table(document))
    sink.say("written: " + ", ".join(str(path) for path in written))
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(plan.steps)} commands failed, or were not run because of a failure",
            why="\n".join(result.failure for result in failed),
            todo="fix the errors in their logs, and run the same command again; finished steps are kept",
            document=document,
        )
    return document


def check_published(document: Mapping[str, Any], tolerance: float) -> None:
    """Print each published number next to ours; raise CheckFailed if one differs by more than the tolerance."""
    compared = document["published"]
    cells = [
        [one["row"], one["figure"], f"{one['published']:.1f}", f"{one['ours']:.1f}", f"{one['difference']:+.1f}"]
        for one in compared
    ]
    sink.table("published numbers", ["row", "figure", "published", "ours", "difference"], cells)
    outside = [one for one in compared if abs(one["difference"]) > tolerance]
    if outside or not compared:
        raise CheckFailed(
            f"{len(outside)} of {len(compared)} numbers differ by more than {tolerance:g} points from the "
            "published ones"
            if compared
            else "no run can be compared with a published number",
            why="\n".join(
                f"{one['row']} {one['figure']}: {one['ours']:.1f}, published {one['published']:.1f}" for one in outside
            ),
            todo="see docs/troubleshooting.md, or use another --tolerance",
            document=document,
        )
