"""The processors of this machine, without torch, which may be missing when the doctor asks."""

from __future__ import annotations

import os


def processor_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
