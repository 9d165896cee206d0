"""Test the number of worker processes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from svipctl.datasets import workers
from svipctl.datasets.workers import worker_count
from svipctl.types import Workers

MIB = 2**20


@pytest.mark.parametrize(
    ("asked", "device", "cpus", "processes", "shared", "count"),
    [
        ("auto", "cpu", 64, 1, 10**12, 2),
        ("auto", "cuda", 64, 1, 10**12, 16),
        ("auto", "cuda", 12, 1, 10**12, 12),
        ("auto", "cuda", 64, 8, 10**12, 8),
        ("auto", "cuda", 4, 8, 10**12, 1),
        ("auto", "cuda", 64, 1, 64 * MIB, 2),  # a container's default
        ("auto", "cuda", 64, 4, 64 * MIB, 1),
        (5, "cpu", 1, 1, 0, 5),
        (0, "cuda", 64, 1, 10**12, 0),
        (40, "cuda", 2, 4, 0, 40),
    ],
)
def test_the_number_of_workers_follows_device_processors_and_shared_memory(
    asked: Workers,
    device: str,
    cpus: int,
    processes: int,
    shared: int,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "processor_count", lambda: cpus)
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda folder: SimpleNamespace(free=shared))
    monkeypatch.setattr(workers, "_SHARED_MEMORY", SimpleNamespace(is_dir=lambda: True))
    assert worker_count(asked, torch.device(device), processes) == count
