"""How `reproduce` shows itself: a line when a command begins and ends, the tables, the plan."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.cli._output import describe_plan, sink
from svipctl.cli._training_progress import duration
from svipctl.errors import CheckFailed, explained_disk_errors

if TYPE_CHECKING:
    from svipctl.reproduce.execute import Ended
    from svipctl.reproduce.pace import Pace
    from svipctl.reproduce.plan import Plan, Step
    from svipctl.reproduce.state import State


class Told:
    """One line when a command begins, one when it has ended; the report is written anew after each evaluation."""

    def __init__(self, pace: Pace, write: Callable[[], object]) -> None:
        self.pace = pace
        self.write = write
        self._resumed: set[str] = set()

    def started(self, step: Step, *, resumed: bool) -> None:
        """Say what begins."""
        if resumed:
            self._resumed.add(step.key)
        sink.note(f"{'resuming' if resumed else 'starting'}: {step.kind} {step.run}")

    def ended(self, ended: Ended, done: int, total: int) -> None:
        """Say how it ended."""
        how = f"failed: {_failure(ended)}" if ended.failed else f"done in {duration(ended.seconds)}"
        tells = not ended.failed and ended.step.key not in self._resumed
        self.pace.ended(ended.step.kind, ended.seconds if tells else None)
        left = self.pace.seconds_left()
        rest = f"  about {duration(left)} left" if left else ""
        sink.note(f"[{done}/{total}] {ended.step.kind} {ended.step.run}: {how}{rest}")
        if ended.step.kind in ("evaluation", "baseline") and not ended.failed:
            self.write()


def raise_if_failed(failed: Sequence[Ended], commands: int, document: Mapping[str, Any]) -> None:
    """CheckFailed with each command that failed, the last line it said, and the document of the table so far."""
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {commands} commands failed or were not run because of these",
            why="\n".join(_failure(one) for one in failed),
            todo="mend what their logs say and run the same command again: what is done is kept",
            document=document,
        )


def show_plan(plan: Plan, found: Mapping[str, State], needs: Mapping[str, Any]) -> None:
    """Every command with its state, and what they need together: `--dry-run`."""
    for step in plan.steps:
        sink.say(f"{found[step.key].value:10}  {step.command}")
    left = [step for step in plan.steps if found[step.key].value != "done"]
    counts = [(kind, sum(step.kind == kind for step in left)) for kind in _KINDS]
    sink.note("left to do: " + ", ".join(f"{number} {_KINDS[kind]}" for kind, number in counts))
    sink.note(describe_plan(needs))
    steps = [
        {"run": step.run, "kind": step.kind, "state": found[step.key].value, "command": step.command}
        for step in plan.steps
    ]
    sink.document({"dry_run": True, "steps": steps, "left_out": dict(plan.left_out), **needs})


def write_plan(commands: Sequence[Sequence[str]], file: Path) -> None:
    """One command a line: `--plan`."""
    lines = [shlex.join(["svipctl", *arguments]) for arguments in commands]
    if str(file) == "-":
        sink.say("\n".join(lines))
    else:
        with explained_disk_errors(str(file)):
            text = "".join(f"{line}\n" for line in lines)
            file.write_text(text, encoding="utf-8", errors="surrogateescape")  # words in the bytes they were typed in
        sink.say(f"{file}: {len(lines)} commands, to be run in this order")
    sink.document({"plan": lines})


def show_table(document: Mapping[str, Any], written: Sequence[Path]) -> None:
    """The main table, and where the report is."""
    from svipctl.reproduce.report import table

    heads, cells = table(document)
    sink.table(f"{document['dataset']}: percent, mean ± standard deviation over n seeds", heads, cells)
    sink.say("written: " + ", ".join(str(path) for path in written))


def check_published(document: Mapping[str, Any], tolerance: float) -> None:
    """Show each published number beside ours; CheckFailed when one is further away than the tolerance."""
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


_KINDS = {
    "baseline": "baselines",
    "development": "development runs",
    "final": "final runs",
    "evaluation": "evaluations",
}


def _failure(ended: Ended) -> str:
    if ended.log is None:
        return f"{ended.step.key}: not run, because what it needs failed"
    lines = ended.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if ended.log.exists() else []
    said = next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
    return f"{ended.step.key}: exit code {ended.code}, see {ended.log}" + (f": {said}" if said else "")
