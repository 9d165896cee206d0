"""Test scoring predictions of any model: the numbers of the protocols, or every reason why they cannot be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.score_predictions import score, score_file

CLASSES = ("wren", "jay", "robin", "owl", "kite", "crow")
SEEN, UNSEEN = [4, 0, 2], [1, 5, 3]
_RNG = np.random.default_rng(0)
TABLE = _RNG.uniform(0.1, 1, (6, 5))
LABELS = np.concatenate([np.arange(6), _RNG.integers(0, 6, 54)])
PREDICTIONS = TABLE[LABELS] + _RNG.normal(0, 0.4, (60, 5))


def arguments(**changed: Any) -> dict[str, Any]:
    return {
        "predictions": PREDICTIONS,
        "labels": LABELS,
        "class_attributes": TABLE,
        "seen": SEEN,
        "unseen": UNSEEN,
        "bootstrap": 0,
    } | changed


def problems(**changed: Any) -> list[str]:
    with pytest.raises(DataError, match="cannot be scored") as caught:
        score(**arguments(**changed))
    return caught.value.why.splitlines()


def scored_by_hand(similarity: str) -> Scored:
    lengths = (np.linalg.norm(array, axis=1, keepdims=True) for array in (PREDICTIONS, TABLE))
    first, second = lengths if similarity == "cosine" else (1, 1)
    return Scored((PREDICTIONS / first) @ (TABLE / second).T, LABELS, np.sort(SEEN), np.sort(UNSEEN))


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_every_row_equals_the_protocols_on_the_same_scores(similarity: str) -> None:
    found = score(**arguments(similarity=similarity, gamma=0.02, bootstrap=20, seed=3))
    expected = evaluate_protocols(scored_by_hand(similarity), gamma=0.02, resamples=20, seed=3).document()
    np.testing.assert_allclose(found.scored.scores, scored_by_hand(similarity).scores)
    for key in ("protocols", "per_image"):
        assert {row: pytest.approx(figures) for row, figures in expected[key].items()} == found.document[key]
    assert found.document["intervals"].keys() == expected["intervals"].keys()
    for row, pairs in expected["intervals"].items():
        assert {name: pytest.approx(pair) for name, pair in pairs.items()} == found.document["intervals"][row]
    assert found.document["images"] == expected["images"]


def test_names_and_rows_give_the_same() -> None:
    by_row = score(**arguments())
    names = np.array(CLASSES)
    for kind in (list, np.array, lambda values: np.array(list(values), dtype=object)):
        by_name = score(
            **arguments(
                labels=kind(names[LABELS].tolist()),
                seen=kind(names[SEEN].tolist()),
                unseen=kind(names[UNSEEN].tolist()),
                classes=CLASSES,
            )
        )
        assert by_name.rows == by_row.rows
        assert by_name.classes == CLASSES
        assert [one["class"] for one in by_name.per_class] == list(CLASSES)
    assert by_row.classes == ("0", "1", "2", "3", "4", "5")


def test_lists_tensors_and_unordered_or_repeated_classes_are_accepted() -> None:
    expected = score(**arguments()).rows
    tensors = {name: torch.from_numpy(array) for name, array in (("predictions", PREDICTIONS), ("labels", LABELS))}
    assert score(**arguments(**tensors)).rows == expected
    lists = {"predictions": PREDICTIONS.tolist(), "labels": LABELS.tolist(), "class_attributes": TABLE.tolist()}
    assert score(**arguments(**lists)).rows == expected
    assert score(**arguments(seen=[2, 0, 4, 0], unseen=UNSEEN[::-1])).rows == expected


def test_classes_that_are_neither_seen_nor_unseen_are_not_candidates() -> None:
    wider = np.concatenate([TABLE, PREDICTIONS[:1]])  # a class that image 0 would otherwise be classified as
    assert score(**arguments(class_attributes=wider)).rows == score(**arguments()).rows


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"predictions": PREDICTIONS[:, :4]}, "predictions is (60, 4) and class_attributes (6, 5), for 60 labels"),
        ({"predictions": PREDICTIONS[:59]}, "predictions is (59, 5) and class_attributes (6, 5), for 60 labels"),
        (
            {"predictions": PREDICTIONS[0], "labels": [0]},
            "predictions is (5,) and class_attributes (6, 5), for 1 label",
        ),
        ({"class_attributes": TABLE[0]}, "class_attributes (5,)"),
        ({"class_attributes": 3.0}, "class_attributes (1,)"),
        ({"predictions": np.full((60, 5), np.nan)}, "predictions or class_attributes have values that are not finite"),
        ({"class_attributes": TABLE * np.inf}, "predictions or class_attributes have values that are not finite"),
        ({"labels": LABELS[:, None]}, "labels is an array of shape (60, 1), not a list"),
        ({"labels": LABELS + 1}, "labels must be rows 0..5 of class_attributes, or names"),
        ({"labels": LABELS - 1}, "labels must be rows 0..5 of class_attributes, or names"),
        ({"labels": LABELS + 0.5}, "labels must be rows 0..5 of class_attributes, or names"),
        ({"seen": []}, "seen is empty"),
        ({"unseen": np.array([], dtype=int)}, "unseen is empty"),
        ({"unseen": [1, 5, 9]}, "unseen must be rows 0..5 of class_attributes, or names"),
        ({"seen": ["wren", "dodo"], "classes": CLASSES}, "seen names unknown classes: dodo"),
        ({"seen": [0, 2, 4, 5]}, "a class is both seen and unseen"),
        ({"seen": [0, 2]}, "labels names classes that are neither seen nor unseen"),
        ({"classes": CLASSES[:5]}, "there are 5 class names for 6 rows of class_attributes"),
        ({"classes": ("wren", *CLASSES[:5])}, "two classes have the same name: wren"),
        ({"classes": [*range(1, 6), 0]}, "classes must be names, not numbers"),
        ({"class_attributes": TABLE * 1e200}, "class 0 has attributes of up to"),
        ({"class_attributes": TABLE * 1e-200, "similarity": "dot"}, "class 0 has attributes of up to"),
        ({"class_attributes": np.vstack([TABLE[:5], 0 * TABLE[5:]])}, "class 5 has only zero attributes"),
        ({"predictions": PREDICTIONS * 1e200}, "prediction 0 has attributes of up to"),
        ({"predictions": PREDICTIONS * 1e-200}, "prediction 0 has attributes of up to"),
    ],
)
def test_a_contradiction_is_described(changed: dict[str, Any], problem: str) -> None:
    assert any(line.startswith("- ") and problem in line for line in problems(**changed)), problems(**changed)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"gamma": np.nan}, ConfigError),
        ({"gamma": np.inf}, ConfigError),
        ({"bootstrap": -1}, ConfigError),
        ({"bootstrap": 2.5}, ConfigError),
        ({"bootstrap": 10**9}, ConfigError),
        ({"seed": -1}, ConfigError),
        ({"seed": 1.5}, ConfigError),
        ({"gamma": 10**400}, ConfigError),
        ({"gamma": "x"}, ConfigError),
        ({"classes": [1, "b", "b", 1, 2, 3]}, DataError),
        ({"labels": np.ma.masked_less(LABELS, 2)}, DataError),
        ({"predictions": PREDICTIONS.astype(str).astype(object)}, DataError),
        ({"predictions": PREDICTIONS * 1j}, DataError),
        ({"predictions": np.full((60, 5), "1_000")}, DataError),
        ({"predictions": np.full((60, 5), "1_000", dtype=object)}, DataError),
        ({"predictions": PREDICTIONS.astype("datetime64[s]")}, DataError),
        ({"predictions": np.ma.masked_less(PREDICTIONS, 0.5)}, DataError),
    ],
    ids=str,
)
def test_values_without_meaning_are_refused(changed: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        score(**{**arguments(), **changed})


def test_pandas_objects_in_different_orders_are_refused() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(TABLE, columns=list("vwxyz"), index=list(CLASSES))
    predicted = pandas.DataFrame(PREDICTIONS, columns=list("vwxyz"))
    given = {"predictions": predicted, "class_attributes": table, "labels": pandas.Series(LABELS), "classes": CLASSES}
    assert score(**arguments(**given)).rows == score(**arguments()).rows
    for changed, axis in (
        (
            {"predictions": predicted[list("zvwxy")]},
            "the columns of predictions and class_attributes are in different orders",
        ),
        (
            {"labels": pandas.Series(LABELS, index=range(59, -1, -1))},
            "the rows of predictions and labels are in different orders",
        ),
        ({"class_attributes": table[::-1]}, "the rows of class_attributes and classes are in different orders"),
    ):
        assert any(axis in line for line in problems(**{**given, **changed}))


def test_all_contradictions_are_reported_at_once_without_consequences_of_others() -> None:
    found = problems(
        predictions=PREDICTIONS[:59] * np.nan,
        labels=["dodo", *np.array(CLASSES)[LABELS[1:]]],
        seen=["wren", "moa"],
        unseen=[1, 5, 3, 7],
        classes=CLASSES,
    )
    assert [line.removeprefix("- ").split(" ")[0] for line in found] == [
        "labels",
        "seen",
        "unseen",
        "predictions",
        "predictions",
        "labels",
    ]
    assert problems(seen=[0, 2, 4], unseen=[9]) == [
        "- unseen must be rows 0..5 of class_attributes, or names",
        "- labels names classes that are neither seen nor unseen",
    ]
    assert problems(seen=["wren", "robin", "kite"], unseen=["dodo", "jay", "owl", "crow"], classes=CLASSES) == [
        "- unseen names unknown classes: dodo"
    ]


def test_rows_that_need_images_of_a_missing_side_are_absent() -> None:
    kept = np.isin(LABELS, UNSEEN)
    found = score(**arguments(predictions=PREDICTIONS[kept], labels=LABELS[kept]))
    assert set(found.rows) == {"zsl"}
    assert "no gzsl rows" in found.warnings[0]


def test_a_predictions_file_is_scored_like_its_arrays(tmp_path: Path) -> None:
    table = TABLE / np.linalg.norm(TABLE, axis=1, keepdims=True)
    arrays: dict[str, Any] = {"class_attributes": table}
    for side, classes in (("seen", SEEN), ("unseen", UNSEEN)):
        kept = np.isin(LABELS, classes)
        arrays |= {f"{side}_classes": classes, f"{side}_labels": LABELS[kept], f"{side}_predictions": PREDICTIONS[kept]}
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays)
    found = score_file(path)
    expected = score(**arguments(class_attributes=table, similarity="dot", bootstrap=1000))
    assert found.rows == {row: pytest.approx(figures) for row, figures in expected.rows.items()}
    assert found.document["predictions"] == str(path)
    assert found.per_class == expected.per_class
    arrays["seen_labels"] = arrays["seen_labels"] + 9
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"mine\.npz cannot be scored"):
        score_file(path)
