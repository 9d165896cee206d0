"""`svipctl doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.errors import CheckFailed

if TYPE_CHECKING:
    from svipctl.doctor.finding import Finding


def doctor(
    offline: options.Offline = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Check the installation, the hardware, the folders and the data; a line each, with the command that mends it.

    The exit code is 1 when something is wrong. What is only absent, a benchmark for instance, is no fault.

    Examples: `svipctl doctor`, `svipctl doctor --json --offline`
    """
    found: list[Finding] = []
    for finding in _examined(offline, data_dir, runs_dir):
        found.append(finding)
        todo = f"\n{'next:':>15} {finding.todo}" if finding.todo else ""
        sink.say(f"{finding.state:<7} {finding.name}: {finding.found}{todo}")
    wrong = [finding for finding in found if finding.state == "wrong"]
    document = {"healthy": not wrong, "findings": [finding.document() for finding in found]}
    if wrong:
        raise CheckFailed(
            f"{len(wrong)} thing{'s are' if len(wrong) > 1 else ' is'} wrong: {', '.join(one.name for one in wrong)}",
            todo=wrong[0].todo,
            document=document,
        )
    sink.document(document)


def _examined(offline: bool | None, data_dir: Path | None, runs_dir: Path | None) -> Iterator[Finding]:
    """The installation first: without it there may be no settings that say where the rest is."""
    from svipctl.doctor.examination import examine_installation, examine_machine
    from svipctl.doctor.imports import NEEDED_HERE

    broken = set()
    for finding in examine_installation():
        broken |= {finding.name.removesuffix(" import")} if finding.state == "wrong" else set()
        yield finding
    if broken & {package for _, package in NEEDED_HERE}:
        return
    from svipctl.cli.configure import resolved

    settings = resolved(
        "toybirds", folders_are_checked=False, data_dir=data_dir, runs_dir=runs_dir, offline=offline
    ).settings
    yield from examine_machine(settings.data_dir, settings.runs_dir, offline=settings.offline, broken=bool(broken))
