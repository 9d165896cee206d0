"""Run all checks, in the order in which problems should be fixed. None of them uses the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from svipctl.doctor.finding import Finding
from svipctl.doctor.imports import NEEDED_HERE, check_imports

if TYPE_CHECKING:
    from svipctl.settings.layers import Workspace


def examine(workspace: Callable[[], Workspace], tested: str | None = None) -> Iterator[Finding]:
    """Check Python, every package, memory, folders, GPUs, data and weights, and yield each finding at once.

    A package that is missing or broken is found before anything that would import it; checks that need it are left out.

    Args:
        workspace: Function that returns the folders to check, for which the settings must be importable.
        tested: Device to test too, as for `--gpu`; None for none.

    """
    broken = set()
    for finding in _examine_installation():
        yield finding
        broken |= {finding.name.removesuffix(" import")} if finding.state == "wrong" else set()
    if broken.intersection(NEEDED_HERE):
        return

    from svipctl.doctor.machine import check_folder, check_gpus, check_memory

    found = workspace()
    yield check_memory()
    yield from check_folder("data", found.data_dir, "--data-dir")
    yield from check_folder("runs", found.runs_dir, "--runs-dir")
    if not broken:
        from svipctl.doctor.data import check_benchmarks, check_weights

        yield from chain(check_gpus(), check_benchmarks(found.data_dir), check_weights(found.offline))
    if tested is not None:
        from svipctl.doctor.self_test import self_test

        yield from self_test(tested)


def _examine_installation() -> Iterator[Finding]:
    broken = list(check_imports(NEEDED_HERE))
    if broken:
        yield from broken
        return
    from svipctl.doctor.packages import check_python, check_requirements

    yield check_python()
    yield from chain(check_requirements(), check_imports())
