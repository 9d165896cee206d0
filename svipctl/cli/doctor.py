"""Implement `svipctl doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import CheckFailed, ConfigError
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.doctor.finding import Finding


@command(flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR, layers=False)
def doctor(
    *,
    overrides: Overrides,
    all_: Annotated[
        bool, typer.Option("--all", help="Show all checks, including passed ones and absent data.")
    ] = False,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test",
            help="Train and evaluate a small network on the device, compare it with the CPU, and measure speed and "
            "memory with the preset of CUB.",
        ),
    ] = False,
    gpu: Annotated[
        str, typer.Option("--gpu", help="Device of --self-test: auto, cpu, or the index of a GPU.")
    ] = "auto",
) -> None:
    """Diagnose the installation, hardware and data.

    Each problem is shown with the command that fixes it, and makes the exit code 1. An absent data set is not a
    problem.

    Examples:
        svipctl doctor
        svipctl doctor --all
        svipctl doctor --json --offline
        svipctl doctor --self-test --gpu 0

    """
    found: list[Finding] = []
    examined = ((finding, all_) for finding in _examined(overrides))
    tested = ((finding, True) for finding in (_self_tested(gpu) if self_test else ()))
    for finding, is_shown in chain(examined, tested):
        found.append(finding)
        todo = f"\n{'next:':>15} {finding.todo}" if finding.todo else ""
        if is_shown or finding.state == "wrong":
            sink.say(f"{finding.state:<7} {finding.name}: {finding.found}{todo}")
    if not all_:
        absent = ", ".join(one.name for one in found if one.state == "absent")
        right = sum(one.state == "ok" for one in found)
        sink.say(f"{right} checks passed{f'; absent: {absent}' if absent else ''}; svipctl doctor --all lists them")
    wrong = [finding for finding in found if finding.state == "wrong"]
    document = {"healthy": not wrong, "findings": [finding.document() for finding in found]}
    if wrong:
        raise CheckFailed(
            f"{len(wrong)} check{'s' if len(wrong) > 1 else ''} failed: {', '.join(one.name for one in wrong)}",
            todo=wrong[0].todo,
            document=document,
        )
    sink.document(document)


def _self_tested(gpu: str) -> Iterator[Finding]:
    if "," in gpu:
        raise ConfigError(f"--gpu {gpu} names several devices", todo="test one device at a time")
    from svipctl.doctor.self_test import self_test

    yield from self_test(gpu)


def _examined(overrides: Overrides) -> Iterator[Finding]:
    """Check the installation first: without it the settings of the folders may not load."""
    from svipctl.doctor.examination import examine_installation, examine_machine
    from svipctl.doctor.imports import NEEDED_HERE

    broken = set()
    for finding in examine_installation():
        broken |= {finding.name.removesuffix(" import")} if finding.state == "wrong" else set()
        yield finding
    if broken & {package for _, package in NEEDED_HERE}:
        return
    workspace = overrides.workspace(check_folders=False)
    yield from examine_machine(workspace.data_dir, workspace.runs_dir, offline=workspace.offline, broken=bool(broken))
