"""Implement `svipctl doctor`."""

from __future__ import annotations

from functools import partial

from svipctl.cli._command import Overrides, command, option, sink
from svipctl.errors import CheckFailed, ConfigError
from svipctl.settings import flags


@command(flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR, layers=False)
def doctor(
    *,
    overrides: Overrides,
    all_: bool = option(False, "Show all checks, including passed ones and absent data.", "--all"),
    self_test: bool = option(
        False,
        "Train and evaluate a small network on the device, compare it with the CPU, and measure speed and "
        "memory with the preset of CUB.",
    ),
    gpu: str = option("auto", "Device of --self-test: auto, cpu, or the index of a GPU."),
) -> None:
    """Diagnose the installation, hardware and data.

    Each problem is shown with the command that fixes it; with any problem the exit code is 1. An absent data set is not
    a problem.

    Examples:
        svipctl doctor
        svipctl doctor --all
        svipctl doctor --json --offline
        svipctl doctor --self-test --gpu 0

    """
    from svipctl.doctor.examination import examine

    if self_test and "," in gpu:
        raise ConfigError(f"--gpu {gpu} names several devices", todo="test one device at a time")
    found = []
    for finding in examine(partial(overrides.workspace, check_folders=False), gpu if self_test else None):
        found.append(finding)
        todo = f"\n{'next:':>15} {finding.todo}" if finding.todo else ""
        if all_ or finding.state == "wrong" or finding.name.startswith("self-test"):
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
