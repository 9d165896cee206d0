"""Test cached features: complete and up to date, or not used."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from svipctl.datasets.features import find_features, make_features, plan_features
from svipctl.datasets.store import CHECKSUMS, INDEX, ROWS, StorePlan
from svipctl.errors import DataError, ResourceError
from tests.datasets.packs import in_process
from tests.faults import disk_fault, full_from, killed_at
from tests.processes import files_under

FILES = ("a/1.png", "a/2.png", "b/1.png")
VALUES = torch.randn(3, 2, 2, 5, generator=torch.Generator().manual_seed(0))


PLANNED: dict[str, Any] = {"stamp": {"stem": "x"}, "files": FILES, "shape": (2, 2, 5), "dtype": torch.bfloat16}


def plan(root: Path, **changed: Any) -> StorePlan:
    return plan_features(root / "features" / "set", **(PLANNED | changed))


def never(files: Sequence[str]) -> Iterator[Tensor]:
    raise AssertionError(f"computed again: {files}")
    yield


def computed(files: Sequence[str]) -> Iterator[Tensor]:
    """Yield the values of images in batches of 2."""
    rows = VALUES[[FILES.index(file) for file in files]]
    yield from rows.split(2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_features_are_gathered_in_any_order(tmp_path: Path, dtype: torch.dtype) -> None:
    calls: list[tuple[int, int]] = []
    make_features(plan(tmp_path, dtype=dtype), computed, lambda *done: calls.append(done))
    assert calls == [(2, 3), (3, 3)]
    found = find_features(plan(tmp_path, dtype=dtype))
    assert found is not None
    order = [2, 0, 2]
    assert torch.equal(found.gather([FILES[row] for row in order]), VALUES[order].to(dtype))
    found.gather(FILES).zero_()
    assert torch.equal(found.gather(FILES), VALUES.to(dtype))


def test_existing_features_are_not_computed_again(tmp_path: Path) -> None:
    make_features(plan(tmp_path), computed)
    assert torch.equal(make_features(plan(tmp_path), never).gather(FILES), VALUES.bfloat16())


@pytest.mark.parametrize(
    "changed",
    [
        {"stamp": {"stem": "y"}},
        {"files": (*FILES[:2], "c/1.png")},
        {"shape": (2, 2, 4)},
        {"shape": (4, 5)},
        {"dtype": torch.float16},
    ],
)
def test_features_with_another_stamp_are_not_found_but_replaced(tmp_path: Path, changed: dict[str, Any]) -> None:
    make_features(plan(tmp_path), computed)
    other, wanted = plan(tmp_path, **changed), PLANNED | changed
    assert find_features(other) is None
    rows = torch.ones(3, *wanted["shape"])
    assert torch.equal(make_features(other, lambda files: [rows]).gather(other.files), rows.to(wanted["dtype"]))
    assert find_features(plan(tmp_path)) is None


@pytest.mark.parametrize("name", [ROWS, INDEX, CHECKSUMS])
def test_a_truncated_file_is_not_found(tmp_path: Path, name: str) -> None:
    make_features(plan(tmp_path), computed)
    path = plan(tmp_path).folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert find_features(plan(tmp_path)) is None


def test_checksums_of_another_type_are_not_found(tmp_path: Path) -> None:
    make_features(plan(tmp_path), computed)
    path = plan(tmp_path).folder / CHECKSUMS
    np.save(path, np.load(path).astype(np.float32))
    assert find_features(plan(tmp_path)) is None


def test_interrupted_work_continues_after_the_last_batch(tmp_path: Path) -> None:
    def stopped(files: Sequence[str]) -> Iterator[Tensor]:
        yield VALUES[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_features(plan(tmp_path), stopped)
    assert find_features(plan(tmp_path)) is None
    asked: list[Sequence[str]] = []

    def rest(files: Sequence[str]) -> Iterator[Tensor]:
        asked.append(files)
        return computed(files)

    assert torch.equal(make_features(plan(tmp_path), rest).gather(FILES), VALUES.bfloat16())
    assert asked == [["b/1.png"]]


@pytest.mark.slow  # tests/datasets/test_packed_pixels.py has the fast one: both are rows of one store
def test_after_a_kill_at_any_moment_the_next_call_ends_with_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    make_features(plan(tmp_path / "whole"), computed)
    expected, moment = files_under(tmp_path / "whole"), 1
    while in_process(_make_until, tmp_path / str(moment), moment) == -signal.SIGKILL:
        make_features(plan(tmp_path / str(moment)), computed)
        assert files_under(tmp_path / str(moment)) == expected
        moment += 1
    assert moment > 10


def _make_until(root: Path, moment: int) -> None:
    root.mkdir()
    with disk_fault(killed_at(moment)):
        make_features(plan(root), computed)


def test_features_of_an_earlier_release_are_computed_again(tmp_path: Path) -> None:
    folder = plan(tmp_path).folder
    folder.mkdir(parents=True)
    (folder / "rows.bin").write_bytes(bytes(3 * 2 * 2 * 5 * 2))
    index = {"format": 1, "stamp": {"stem": "x"}, "shape": [2, 2, 5], "dtype": "bfloat16", "files": list(FILES)}
    (folder / "index.json").write_text(json.dumps(index))
    assert find_features(plan(tmp_path)) is None
    assert torch.equal(make_features(plan(tmp_path), computed).gather(FILES), VALUES.bfloat16())
    assert not (folder / "rows.bin").exists()


def test_too_few_rows_are_an_error_and_never_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lack 1 rows"):
        make_features(plan(tmp_path), lambda files: [VALUES[:2]])
    assert find_features(plan(tmp_path)) is None


def test_too_little_disk_space_is_reported_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1))
    with pytest.raises(ResourceError, match=r"data.keep_features=false"):
        make_features(plan(tmp_path), never)


@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_full_disk_is_a_resource_error_and_leaves_no_finished_file(moment: int, tmp_path: Path) -> None:
    with disk_fault(full_from(moment), "pwrite"), pytest.raises(ResourceError, match="no space left"):
        make_features(plan(tmp_path), computed)
    assert find_features(plan(tmp_path)) is None
    assert torch.equal(make_features(plan(tmp_path), computed).gather(FILES), VALUES.bfloat16())


def test_the_index_describes_the_rows(tmp_path: Path) -> None:
    make_features(plan(tmp_path), computed)
    index = json.loads((plan(tmp_path).folder / INDEX).read_text())
    assert (index["shape"], index["dtype"], index["files"]) == ([2, 2, 5], "bfloat16", list(FILES))
