"""Run all checks, in the order in which problems should be fixed. None of them uses the network."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from svipctl.doctor.finding import Finding
from svipctl.doctor.imports import NEEDED_HERE, check_imports


def examine_installation() -> Iterator[Finding]:
    """Check Python and every package, and yield each finding at once.

    A package that is missing or broken is found before anything that would import it.
    """
    broken = list(check_imports(NEEDED_HERE))
    if broken:
        yield from broken
        return
    from svipctl.doctor.packages import check_python, check_requirements

    yield check_python()
    yield from chain(check_requirements(), check_imports())


def examine_machine(
    data_dir: Path, runs_dir: Path, *, offline: bool = False, broken: bool = False
) -> Iterator[Finding]:
    """Check memory, folders, GPUs, data and weights, and yield each finding at once.

    Args:
        data_dir: Folder of the data sets.
        runs_dir: Folder of the runs.
        offline: True if weights must not be downloaded.
        broken: True if a package is missing or broken; checks that would import one are then left out.

    """
    from svipctl.doctor.machine import check_folder, check_gpus, check_memory

    yield check_memory()
    yield from check_folder("data", data_dir, "--data-dir")
    yield from check_folder("runs", runs_dir, "--runs-dir")
    if not broken:
        from svipctl.doctor.data import check_benchmarks, check_weights

        yield from check_gpus()
        yield from check_benchmarks(data_dir)
        yield from check_weights(offline)
