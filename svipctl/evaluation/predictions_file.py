"""Read a file of predictions of any model: predicted attribute vectors of the test images, in one `.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from svipctl.errors import DataError
from svipctl.evaluation.protocols import Scored
from svipctl.model.scores import class_scores
from svipctl.npz_files import read_npz

_ARRAYS = (
    "class_attributes",
    "seen_classes",
    "unseen_classes",
    "unseen_labels",
    "unseen_predictions",
    "seen_labels",
    "seen_predictions",
)
_REAL = "iuf"  # kinds of numpy types
_SLACK = 1e-2  # the published code adds 1e-5 to each length that it divides by
_MOST_SCORES = 2**26  # 16,000 images of 4,000 classes, in half a gigabyte
_LARGEST = 1e300  # beyond it, differences and the softmax overflow


def read_predictions(path: Path) -> Scored:
    """Read a predictions file and return scores (dot products, float64).

    Args:
        path: `.npz` with `class_attributes` (C, K, rows normalized), `seen_classes`, `unseen_classes` (rows of it),
            and for seen and unseen test images `*_labels` (N,) and `*_predictions` (N, K).

    Raises:
        DataError: Lists every problem of the file.

    """
    arrays = read_npz(path, what="predictions file", todo="pass a .npz file (docs/evaluation.md)")
    problems = [f"array {name!r} is missing" for name in _ARRAYS if name not in arrays] or _contradictions(arrays)
    if problems:
        raise DataError(f"{path} cannot be scored", why="\n".join(f"- {problem}" for problem in problems))
    table = arrays["class_attributes"].astype(np.float64)
    predictions = np.concatenate([arrays["unseen_predictions"], arrays["seen_predictions"]]).astype(np.float64)
    scores = class_scores(torch.from_numpy(predictions), torch.from_numpy(table), "dot").numpy()
    if not (np.abs(scores) < _LARGEST).all():
        raise DataError(f"{path} cannot be scored", why="- its numbers are so large that dot products overflow")
    return Scored(
        scores=scores,
        labels=np.concatenate([arrays["unseen_labels"], arrays["seen_labels"]]).astype(np.int64),
        seen_classes=np.unique(arrays["seen_classes"]).astype(np.int64),
        unseen_classes=np.unique(arrays["unseen_classes"]).astype(np.int64),
    )


def _contradictions(arrays: dict[str, np.ndarray]) -> list[str]:
    table = arrays["class_attributes"]
    if table.ndim != 2 or table.dtype.kind not in _REAL:
        return ["class_attributes is not a table (C, K) of numbers"]
    problems = []
    if not np.isfinite(table).all():
        problems.append("class_attributes has values that are not finite")
    else:
        lengths = np.linalg.norm(table.astype(np.float64), axis=1)
        if (off := np.flatnonzero(np.abs(lengths - 1) > _SLACK)).size:
            problems.append(
                f"class_attributes: row {off[0]} has length {lengths[off[0]]:.4g}, and {off.size} of {len(table)} rows are "
                "not of length 1: divide each by its length"
            )
    for side in ("seen", "unseen"):
        classes, labels, predictions = (arrays[f"{side}_{part}"] for part in ("classes", "labels", "predictions"))
        for name, array in ((f"{side}_classes", classes), (f"{side}_labels", labels)):
            if array.ndim != 1 or array.dtype.kind not in "iu":
                problems.append(f"{name} is not a list of whole numbers")
            elif len(array) and not 0 <= array.min() <= array.max() < len(table):
                problems.append(f"{name} names classes outside 0..{len(table) - 1}")
        if labels.ndim != 1 or classes.ndim != 1:
            continue
        if predictions.shape != (len(labels), table.shape[1]):
            problems.append(f"{side}_predictions is {predictions.shape}, not {(len(labels), table.shape[1])}")
        elif predictions.dtype.kind not in _REAL or not np.isfinite(predictions).all():
            problems.append(f"{side}_predictions has values that are not finite numbers")
        if not len(classes):
            problems.append(f"{side}_classes is empty")
        if stray := np.setdiff1d(labels, classes).size:
            problems.append(f"{side}_labels names {stray} classes that are not in {side}_classes")
    scores = sum(arrays[f"{side}_labels"].size for side in ("seen", "unseen")) * len(table)
    if scores > _MOST_SCORES:
        problems.append(
            f"there would be {scores:,} scores of images and classes; at most {_MOST_SCORES:,} are computed"
        )
    if np.intersect1d(arrays["seen_classes"], arrays["unseen_classes"]).size:
        problems.append("a class is both seen and unseen")
    return problems
