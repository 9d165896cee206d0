"""Test that a benchmark refuses contradictory data, and that its folds contain only training images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.errors import ConfigError, DataError


def small(**changed: Any) -> Benchmark:
    """Return the arrays of two seen classes and an unseen one, two images each."""
    parts: dict[str, Any] = {
        "name": "b",
        "root": Path("nowhere"),
        "classes": ("a", "b", "c"),
        "attributes": ("x", "y"),
        "class_attributes": np.array([[1.0, 0], [0, 1], [1, 1]]),
        "images": tuple("012345"),
        "labels": np.array([0, 0, 1, 1, 2, 2]),
        "trainval": np.array([0, 2]),
        "test_seen": np.array([1, 3]),
        "test_unseen": np.array([4, 5]),
    }
    return Benchmark(**(parts | changed))


def test_the_proposed_split_has_its_parts() -> None:
    split = small().split()
    assert (split.seen_classes.tolist(), split.unseen_classes.tolist()) == ([0, 1], [2])
    assert split.classes.tolist() == [0, 1, 2]
    assert (split.train.tolist(), split.seen.tolist(), split.unseen.tolist()) == ([0, 2], [1, 3], [4, 5])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"classes": ("a", "a", "c")}, "two classes have the same name: a"),
        (
            {"class_attributes": np.array([[np.inf, 0], [0, 1], [1, 1]])},
            "class 'a' has no finite value for attribute 'x'",
        ),
        ({"class_attributes": np.array([[1.0, 0], [0, 0], [1, 1]])}, "class 'b' has only zero attributes"),
        ({"test_seen": np.array([], int)}, "there is no seen test image"),
        ({"test_unseen": np.array([3, 4])}, "class 'b' is both seen and unseen"),
        ({"trainval": np.array([0])}, "class 'b' has seen test images but none to train on"),
        ({"trainval": np.array([0, 1, 2])}, "image 1 is in training and in test"),
        ({"problems": ("found before",)}, "found before"),
    ],
)
def test_each_contradiction_is_named(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError) as caught:
        small(**changed)
    assert f"- {problem}" in caught.value.why.splitlines()


def test_all_contradictions_are_listed_at_once() -> None:
    table = np.array([[np.nan, 0], [0, 0], [1, 1]])
    with pytest.raises(DataError) as caught:
        small(class_attributes=table, classes=("a", "a", "c"), trainval=np.array([0]), problems=("found before",))
    assert "5 problems" in caught.value.what
    assert len(caught.value.why.splitlines()) == 5


def test_a_long_list_of_contradictions_is_cut_and_counted() -> None:
    with pytest.raises(DataError) as caught:
        small(problems=tuple(f"problem {number}" for number in range(23)))
    assert caught.value.why.splitlines()[-1] == "- and 3 more"


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_a_fold_is_class_disjoint_within_trainval_and_deterministic(fold: int, shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    split, again = benchmark.split(fold), open_folder(shared_folder).split(fold)
    assert not np.intersect1d(split.seen_classes, split.unseen_classes).size
    assert np.array_equal(split.classes, benchmark.seen_classes)
    everything = np.concatenate([split.train, split.seen, split.unseen])
    assert np.array_equal(np.sort(everything), benchmark.trainval)  # each image in exactly one part
    assert set(benchmark.labels[split.train]) == set(split.seen_classes)
    assert set(benchmark.labels[split.seen]) == set(split.seen_classes)
    assert set(benchmark.labels[split.unseen]) == set(split.unseen_classes)
    for one, other in zip(vars(split).values(), vars(again).values()):
        assert np.array_equal(one, other)


def test_each_seen_class_is_held_out_by_exactly_one_fold(shared_folder: Path) -> None:
    benchmark = open_folder(shared_folder)
    held_out = np.concatenate([benchmark.split(fold).unseen_classes for fold in (1, 2, 3)])
    assert sorted(held_out.tolist()) == benchmark.seen_classes.tolist()


@pytest.mark.parametrize("fold", [0, 4])
def test_a_missing_fold_is_a_configuration_error(fold: int, shared_folder: Path) -> None:
    with pytest.raises(ConfigError, match=f"no fold {fold}"):
        open_folder(shared_folder).split(fold)
