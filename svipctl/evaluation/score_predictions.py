"""Score predictions of any model: arrays of predicted attributes, or a predictions file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from svipctl.datasets.benchmark import magnitude_problem, repeated
from svipctl.errors import ConfigError, DataError, whole_number
from svipctl.evaluation.predictions_file import read_predictions
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from svipctl.inference.gamma import Gamma
from svipctl.model.scores import ClassScore, class_scores, normalise_class_attributes
from svipctl.types import MOST_RESAMPLES


def score(
    predictions: ArrayLike,
    labels: ArrayLike,
    class_attributes: ArrayLike,
    *,
    seen: Sequence[int] | Sequence[str],
    unseen: Sequence[int] | Sequence[str],
    classes: Sequence[str] | None = None,
    similarity: ClassScore = "cosine",
    gamma: float | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Score predicted attributes under every protocol.

    Args:
        predictions: (N, K) predicted attribute vectors of test images of seen and unseen classes.
        labels: (N,) true class of each image: a row of `class_attributes`, or a name if `classes` is given.
        class_attributes: (C, K).
        seen: Classes that the model was trained on, as rows or names.
        unseen: Classes that it was not trained on.
        classes: Names of the C classes.
        similarity: `cosine`, or `dot` with unnormalized `class_attributes`.
        gamma: Gamma chosen on validation images, for the row `gzsl-calibrated`.
        bootstrap: Resamples for the 95 % intervals; 0 for none.
        seed: Random seed of the bootstrap.

    Raises:
        ConfigError: `similarity`, `gamma`, `bootstrap` or `seed` has an invalid value.
        DataError: The arrays contradict each other; lists every problem.

    """
    if similarity not in get_args(ClassScore):
        raise ConfigError(f"there is no similarity {similarity!r}", todo="use cosine or dot")
    if gamma is not None:
        gamma = Gamma(gamma, "given").value  # finite
    bootstrap = whole_number("bootstrap", bootstrap, 0, MOST_RESAMPLES)
    seed = whole_number("seed", seed, 0, 2**32 - 1)
    try:
        predicted, table = _real_numbers(predictions), np.atleast_1d(_real_numbers(class_attributes))
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor that requires a gradient
        raise DataError("predictions and class_attributes must be arrays of real numbers", why=str(error)) from error
    names = [str(row) for row in range(len(table))] if classes is None else list(classes)
    problems = _order_problems(predictions, labels, class_attributes, names)
    if not all(isinstance(name, str) for name in names):
        problems.append("classes must be names, not numbers: labels, seen and unseen would count rows")
    rows = {
        title: _as_rows(values, names, title, problems)
        for title, values in (("labels", labels), ("seen", seen), ("unseen", unseen))
    }
    if table.ndim != 2 or predicted.shape != (len(rows["labels"]), table.shape[-1]):
        problems.append(
            f"predictions is {predicted.shape} and class_attributes {table.shape}, "
            f"for {len(rows['labels'])} labels: the shapes must be (N, K) and (C, K)"
        )
    problems += [f"two classes have the same name: {name}" for name in repeated(names)]
    if len(names) != len(table):
        problems.append(f"there are {len(names)} class names for {len(table)} rows of class_attributes")
    if not (np.isfinite(predicted).all() and np.isfinite(table).all()):
        problems.append("predictions or class_attributes have values that are not finite")
    elif not problems:
        problems += [
            f"class {name} has {found}" for name, row in zip(names, table) if (found := magnitude_problem(row))
        ]
        problems += [
            f"prediction {number} has {found}"
            for number, row in enumerate(predicted)
            if row.any() and (found := magnitude_problem(row))
        ][:5]
    if np.intersect1d(rows["seen"], rows["unseen"]).max(initial=-1) >= 0:
        problems.append("a class is both seen and unseen")
    if np.setdiff1d(rows["labels"], np.concatenate([rows["seen"], rows["unseen"]])).max(initial=-1) >= 0:
        problems.append("labels names classes that are neither seen nor unseen")
    if problems:
        raise DataError("the predictions cannot be scored", why="\n".join(f"- {problem}" for problem in problems))
    attributes = torch.from_numpy(table)
    if similarity == "cosine":
        attributes = normalise_class_attributes(attributes)
    scores = class_scores(torch.from_numpy(predicted), attributes, similarity)
    scored = Scored(scores.numpy(), rows["labels"], np.unique(rows["seen"]), np.unique(rows["unseen"]))
    return _evaluated(scored, names, gamma=gamma, resamples=bootstrap, seed=seed)


def score_file(path: Path) -> Evaluation:
    """Score a predictions file in the format of `read_predictions`.

    Raises:
        DataError: Lists every problem of the file.

    """
    scored = read_predictions(path)
    names = [str(column) for column in range(scored.scores.shape[1])]
    return _evaluated(scored, names, predictions=str(path))


def _evaluated(
    scored: Scored,
    names: Sequence[str],
    *,
    predictions: str | None = None,
    gamma: float | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    results = evaluate_protocols(scored, gamma=gamma, resamples=resamples, seed=seed)
    head = {"dataset": None, "run": None, "recipe": None, "predictions": predictions}
    return Evaluation(evaluation_document(results, names, head), results, scored, tuple(names))


def _real_numbers(values: ArrayLike) -> NDArray[np.float64]:
    """Return an array of real numbers; numpy would also convert texts (`1_000`), dates and masked values to floats.

    Raises:
        TypeError, ValueError: The values are not real numbers.

    """
    array = np.asarray(values)
    if array.dtype.kind == "O" and not any(isinstance(value, str | bytes) for value in array.flat):
        array = array.astype(np.float64)
    if array.dtype.kind not in "biuf" or np.ma.is_masked(values):
        raise TypeError("values are masked" if np.ma.is_masked(values) else f"values are of type {array.dtype}")
    return array.astype(np.float64)


def _order_problems(
    predictions: ArrayLike, labels: ArrayLike, class_attributes: ArrayLike, names: Sequence[object]
) -> list[str]:
    """Return a problem for each two pandas objects whose equal labels are in different orders; numpy ignores labels."""

    def axis(values: object, name: str) -> list[object]:
        return list(getattr(values, name)) if hasattr(values, "iloc") and hasattr(values, name) else []

    pairs = (
        (
            "the columns of predictions and class_attributes",
            axis(predictions, "columns"),
            axis(class_attributes, "columns"),
        ),
        ("the rows of predictions and labels", axis(predictions, "index"), axis(labels, "index")),
        ("the rows of class_attributes and classes", axis(class_attributes, "index"), list(names)),
    )
    return [
        f"{what} are in different orders: reorder one of the two, or pass plain arrays"
        for what, one, other in pairs
        if one != other and sorted(map(repr, one)) == sorted(map(repr, other))
    ]


def _as_rows(values: ArrayLike, names: Sequence[str], title: str, problems: list[str]) -> np.ndarray:
    """Return classes given as rows or names as rows of the class attributes; -1 and a problem for unknown ones."""
    array = np.atleast_1d(np.asarray(values))
    if np.ma.is_masked(values):
        problems.append(f"{title} has masked values")
    if array.ndim > 1 or (title != "labels" and not array.size):
        problems.append(f"{title} is {'empty' if array.ndim == 1 else f'an array of shape {array.shape}, not a list'}")
        return np.full(len(array), -1)
    if array.dtype.kind in "OSTU":
        place = {name: row for row, name in enumerate(names)}
        unknown = sorted({str(name) for name in array} - set(place))
        if unknown:
            problems.append(f"{title} names unknown classes: {', '.join(unknown[:5])}")
        return np.array([place.get(str(name), -1) for name in array], dtype=np.int64)
    if array.dtype.kind not in "iu" or (array.size and not 0 <= array.min() <= array.max() < len(names)):
        problems.append(f"{title} must be rows 0..{len(names) - 1} of class_attributes, or names")
        return np.full(len(array), -1)
    return array.astype(np.int64)
