"""Count the processors of this machine, without torch, which may be missing when `svipctl doctor` runs."""

from __future__ import annotations

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def processors() -> frozenset[int]:
    """Return the indices of the processors that this process may run on."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def processor_count(quota_file: Path = _QUOTA) -> int:
    """Return the number of processors that this process may use; a container (`--cpus`) may limit the processor time.

    Args:
        quota_file: `cpu.max` of the control group: microseconds per period, or `max`, and the period.

    """
    try:
        quota, period = (int(part) for part in quota_file.read_text().split())
    except (OSError, ValueError):  # no limit, or no control groups
        return len(processors())
    return max(1, min(len(processors()), math.ceil(quota / period)))
