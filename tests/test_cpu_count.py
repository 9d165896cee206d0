"""Test the number of processors that a process may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from svipctl import cpu_count
from svipctl.cpu_count import processor_count


@pytest.mark.parametrize(
    ("quota", "count"),
    [
        (None, 8),
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("", 8),
        ("0 100000", 1),
    ],
)
def test_a_cpu_quota_limits_the_number_of_processors(
    quota: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_count, "processors", lambda: frozenset(range(8)))
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota + "\n")
    assert processor_count(tmp_path / "cpu.max") == count
