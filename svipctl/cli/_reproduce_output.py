"""Output of `svipctl reproduce`: a line when a command starts and ends, the plan, the tables."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli.output import sink
from svipctl.cli.training_progress import duration
from svipctl.errors import CheckFailed, explained_disk_errors

if TYPE_CHECKING:
    from svipctl.reproduce.execute import StepResult
    from svipctl.reproduce.remaining_time import RemainingTime
    from svipctl.reproduce.step_state import StepState
    from svipctl.reproduce.table_plan import TablePlan, TableStep

_KINDS = {
    "baseline": "baselines",
    "development": "development runs",
    "final": "final runs",
    "evaluation": "evaluations",
}


class StepLines:
    """One line when a command starts and one when it ends; the report is updated after each evaluation."""

    def __init__(self, remaining: RemainingTime, update_report: Callable[[], object]) -> None:
        self._remaining = remaining
        self._update_report = update_report
        self._resumed: set[str] = set()

    def started(self, step: TableStep, *, resumed: bool) -> None:
        """Print the line of a command that starts."""
        if resumed:
            self._resumed.add(step.key)
        sink.note(f"{'resuming' if resumed else 'starting'}: {step.kind} {step.run}")

    def ended(self, result: StepResult, done: int, total: int) -> None:
        """Print the line of a command that has ended."""
        step = result.step
        is_typical = not result.failed and step.key not in self._resumed
        self._remaining.ended(step.kind, result.seconds if is_typical else None)
        left = self._remaining.seconds()
        outcome = f"failed: {result.failure}" if result.failed else f"done in {duration(result.seconds)}"
        rest = f"  about {duration(left)} left" if left else ""
        sink.note(f"[{done}/{total}] {step.kind} {step.run}: {outcome}{rest}")
        if step.kind in ("evaluation", "baseline") and not result.failed:
            self._update_report()


def raise_if_failed(failed: Sequence[StepResult], commands: int, document: Mapping[str, Any]) -> None:
    """Raise CheckFailed if commands failed, with the last error of each and the table so far."""
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {commands} commands failed or were not run because of these",
            why="\n".join(result.failure for result in failed),
            todo="fix what their logs report and run the same command again: what is done is kept",
            document=document,
        )


def show_plan(plan: TablePlan, states: Mapping[str, StepState], needs: Mapping[str, Any]) -> None:
    """Print every command with its state, and what those left need together: `--dry-run`."""
    from svipctl.cli.plans import in_words

    left: list[str] = [step.kind for step in plan.steps if states[step.key].value != "done"]
    for step in plan.steps:
        sink.say(f"{states[step.key].value:10}  {step.command}")
    sink.note("left to do: " + ", ".join(f"{left.count(kind)} {name}" for kind, name in _KINDS.items()))
    sink.note(in_words(needs))
    steps = [
        {"run": step.run, "kind": step.kind, "state": states[step.key].value, "command": step.command}
        for step in plan.steps
    ]
    sink.document({"dry_run": True, "steps": steps, "left_out": dict(plan.left_out), **needs})


def write_plan(plan: TablePlan, file: Path) -> None:
    """Write the commands that are left, one a line: `--plan`."""
    from svipctl.reproduce.execute import left_to_do

    lines = [shlex.join(["svipctl", *arguments]) for arguments in left_to_do(plan)]
    if str(file) == "-":
        sink.say("\n".join(lines))
    else:
        with explained_disk_errors(str(file)):
            text = "".join(f"{line}\n" for line in lines)
            file.write_text(text, encoding="utf-8", errors="surrogateescape")  # words in the bytes they were typed in
        sink.say(f"{file}: {len(lines)} commands, to be run in this order")
    sink.document({"plan": lines})


def show_table(document: Mapping[str, Any], written: Sequence[Path]) -> None:
    """Print the main table and the paths of the report."""
    from svipctl.reproduce.table_report import main_table

    sink.table(f"{document['dataset']}: percent, mean ± standard deviation over n seeds", *main_table(document))
    sink.say("written: " + ", ".join(str(path) for path in written))


def check_published(document: Mapping[str, Any], tolerance: float) -> None:
    """Print each published number beside ours; raise CheckFailed if one is further away than the tolerance."""
    compared = document["published"]
    cells = [
        [one["row"], one["figure"], f"{one['published']:.1f}", f"{one['ours']:.1f}", f"{one['difference']:+.1f}"]
        for one in compared
    ]
    sink.table("published numbers", ["row", "figure", "published", "ours", "difference"], cells)
    outside = [one for one in compared if abs(one["difference"]) > tolerance]
    if outside or not compared:
        raise CheckFailed(
            f"{len(outside)} of {len(compared)} numbers are more than {tolerance:g} points from the published ones"
            if compared
            else "no run stands beside a published number",
            why="\n".join(
                f"{one['row']} {one['figure']}: {one['ours']:.1f}, published {one['published']:.1f}" for one in outside
            ),
            todo="README, `My number is lower than the paper's`; or state another --tolerance",
            document=document,
        )
