"""All checks, in the order in which one would mend what they find."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from svipctl.doctor.finding import Finding


def examine(data_dir: Path, runs_dir: Path, *, offline: bool = False) -> Iterator[Finding]:
    """Check installation, hardware, folders, data and weights, each as it is reached. Never touches the network.

    A package that is missing or broken is found before anything that would import it, and what needs it is left out.
    """
    from svipctl.doctor.machine import check_folder, check_gpus, check_memory
    from svipctl.doctor.packages import check_imports, check_python, check_requirements

    yield check_python()
    broken = False
    for finding in chain(check_requirements(), check_imports()):
        broken = broken or finding.state == "wrong"
        yield finding
    yield check_memory()
    yield from check_folder("data", data_dir, "--data-dir")
    yield from check_folder("runs", runs_dir, "--runs-dir")
    if not broken:
        from svipctl.doctor.data import check_benchmarks, check_weights

        yield from check_gpus()
        yield from check_benchmarks(data_dir)
        yield check_weights(offline)
