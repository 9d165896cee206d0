"""Test predictions of any model: read, or refused with all problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svipctl.errors import DataError
from svipctl.evaluation.predictions_file import read_predictions

_TABLE = np.random.default_rng(0).random((4, 3))
GOOD: dict[str, np.ndarray] = {
    "class_attributes": (_TABLE / (np.linalg.norm(_TABLE, axis=1, keepdims=True) + 1e-5)).astype(np.float32),
    "seen_classes": np.array([0, 1]),
    "unseen_classes": np.array([3, 2]),
    "unseen_labels": np.array([2, 3]),
    "unseen_predictions": np.random.default_rng(1).random((2, 3)),
    "seen_labels": np.array([1]),
    "seen_predictions": np.random.default_rng(2).random((1, 3)),
}

BAD: list[tuple[str, Any, str]] = [
    ("class_attributes", np.ones(3), "class_attributes is not a table (C, K) of numbers"),
    ("class_attributes", np.full((4, 3), "x"), "class_attributes is not a table (C, K) of numbers"),
    ("class_attributes", np.full((4, 3), np.nan), "class_attributes has values that are not finite"),
    (
        "class_attributes",
        np.diag([1.0, 80.0, 1.0, 0.5])[:, 1:],
        "class_attributes: row 0 has length 0, and 3 of 4 rows are not of length 1: divide each by its length",
    ),
    ("seen_labels", np.array([1.0]), "seen_labels is not a list of whole numbers"),
    ("unseen_classes", np.array([[3, 2]]), "unseen_classes is not a list of whole numbers"),
    ("seen_classes", np.array([0, 1, 4]), "seen_classes names classes outside 0..3"),
    ("seen_classes", np.array([-1, 1]), "seen_classes names classes outside 0..3"),
    ("seen_predictions", np.ones((1, 4)), "seen_predictions is (1, 4), not (1, 3)"),
    ("unseen_predictions", np.ones((3, 3)), "unseen_predictions is (3, 3), not (2, 3)"),
    ("seen_predictions", np.full((1, 3), np.inf), "seen_predictions has values that are not finite numbers"),
    ("seen_classes", np.array([], dtype=int), "seen_classes is empty"),
    ("unseen_labels", np.array([2, 1]), "unseen_labels names 1 classes that are not in unseen_classes"),
    ("seen_classes", np.array([0, 1, 2]), "a class is both seen and unseen"),
    ("seen_labels", np.array(1), "seen_labels is not a list of whole numbers"),
    ("seen_predictions", np.ones((1, 3)) * 1j, "seen_predictions has values that are not finite numbers"),
]


def store(folder: Path, **changed: Any) -> Path:
    np.savez(folder / "predictions.npz", **{k: v for k, v in (GOOD | changed).items() if v is not None})
    return folder / "predictions.npz"


def test_a_valid_file_gives_dot_products_in_float64(tmp_path: Path) -> None:
    scored = read_predictions(store(tmp_path))
    predictions = np.concatenate([GOOD["unseen_predictions"], GOOD["seen_predictions"]])
    assert scored.scores.dtype == np.float64
    np.testing.assert_allclose(scored.scores, predictions @ GOOD["class_attributes"].astype(np.float64).T)
    assert scored.labels.tolist() == [2, 3, 1]
    assert (scored.seen_classes.tolist(), scored.unseen_classes.tolist()) == ([0, 1], [2, 3])


@pytest.mark.parametrize(("name", "array", "problem"), BAD)
def test_bad_array_is_described(tmp_path: Path, name: str, array: Any, problem: str) -> None:
    with pytest.raises(DataError, match="cannot be scored") as caught:
        read_predictions(store(tmp_path, **{name: array}))
    assert f"- {problem}" in caught.value.why.splitlines()


@pytest.mark.parametrize("size", [1e302, 1.7e308])
def test_numbers_whose_products_overflow_are_refused(tmp_path: Path, size: float) -> None:
    large = np.full((1, 3), size)
    with pytest.raises(DataError, match="cannot be scored") as caught:
        read_predictions(store(tmp_path, seen_predictions=large))
    assert "so large" in caught.value.why


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    path = store(tmp_path, seen_labels=np.array([9]), unseen_predictions=np.ones((2, 9)))
    with pytest.raises(DataError, match="cannot be scored") as caught:
        read_predictions(path)
    assert len(caught.value.why.splitlines()) == 3


def test_every_missing_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be scored") as caught:
        read_predictions(store(tmp_path, seen_labels=None, class_attributes=None))
    assert caught.value.why == "- array 'class_attributes' is missing\n- array 'seen_labels' is missing"


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    path = store(tmp_path, seen_labels=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="plain arrays"):
        read_predictions(path)


def test_missing_or_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no predictions file"):
        read_predictions(tmp_path / "gone.npz")
    path = store(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match="plain arrays"):
        read_predictions(path)


def test_files_of_other_kinds_are_data_errors(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    for content in (b"", b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="plain arrays"):
            read_predictions(path)
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(DataError, match="plain arrays"):
        read_predictions(path)
