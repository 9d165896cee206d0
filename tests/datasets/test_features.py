"""Kept features: whole, true to what they depend on, or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from svipctl.datasets import features
from svipctl.datasets.features import INDEX, ROWS, FeaturePlan, find_features, make_features
from svipctl.errors import DataError, ResourceError

FILES = ("a/1.png", "a/2.png", "b/1.png")
VALUES = torch.randn(3, 2, 2, 5, generator=torch.Generator().manual_seed(0))


def plan(root: Path, dtype: torch.dtype = torch.bfloat16) -> FeaturePlan:
    return FeaturePlan(root / "features" / "set", {"stem": "x"}, FILES, (2, 2, 5), dtype)


def never() -> Iterator[Tensor]:
    raise AssertionError("computed again")
    yield


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_is_gathered_is_what_was_made_in_any_order(tmp_path: Path, dtype: torch.dtype) -> None:
    calls: list[tuple[int, int]] = []
    make_features(plan(tmp_path, dtype), iter([VALUES[:2], VALUES[2:]]), lambda *done: calls.append(done))
    assert calls == [(2, 3), (3, 3)]
    found = find_features(plan(tmp_path, dtype))
    assert found is not None
    order = [2, 0, 2]
    assert torch.equal(found.gather([FILES[row] for row in order]), VALUES[order].to(dtype))
    found.gather(FILES).zero_()
    assert torch.equal(found.gather(FILES), VALUES.to(dtype))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    make_features(plan(tmp_path), iter([VALUES]))
    assert torch.equal(make_features(plan(tmp_path), never()).gather(FILES), VALUES.bfloat16())


@pytest.mark.parametrize(
    "other",
    [
        lambda plan: replace(plan, stamp={"stem": "y"}),
        lambda plan: replace(plan, files=(*FILES[:2], "c/1.png")),
        lambda plan: replace(plan, shape=(2, 2, 4)),
        lambda plan: replace(plan, shape=(4, 5)),
        lambda plan: replace(plan, dtype=torch.float16),
    ],
)
def test_features_of_anything_else_are_not_found_but_replaced(
    tmp_path: Path, other: Callable[[FeaturePlan], FeaturePlan]
) -> None:
    make_features(plan(tmp_path), iter([VALUES]))
    changed = other(plan(tmp_path))
    assert find_features(changed) is None
    rows = torch.ones(3, *changed.shape)
    assert torch.equal(make_features(changed, iter([rows])).gather(changed.files), rows.to(changed.dtype))
    assert find_features(plan(tmp_path)) is None


@pytest.mark.parametrize("name", [ROWS, INDEX])
def test_a_file_cut_short_is_not_found(tmp_path: Path, name: str) -> None:
    make_features(plan(tmp_path), iter([VALUES]))
    path = plan(tmp_path).folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert find_features(plan(tmp_path)) is None


def test_an_error_or_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    def stopped() -> Iterator[Tensor]:
        yield VALUES[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_features(plan(tmp_path), stopped())
    assert list((tmp_path / "features").iterdir()) == []


def test_too_few_rows_are_an_error_and_never_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read back"):
        make_features(plan(tmp_path), iter([VALUES[:2]]))
    assert find_features(plan(tmp_path)) is None


def test_a_full_disk_is_told_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features.shutil, "disk_usage", lambda place: features.shutil._ntuple_diskusage(9, 8, 1))
    with pytest.raises(ResourceError, match=r"data.keep_features=false"):
        make_features(plan(tmp_path), never())


def test_the_index_says_what_the_rows_are(tmp_path: Path) -> None:
    make_features(plan(tmp_path), iter([VALUES]))
    index = json.loads((plan(tmp_path).folder / INDEX).read_text())
    assert (index["shape"], index["dtype"], index["files"]) == ([2, 2, 5], "bfloat16", list(FILES))
