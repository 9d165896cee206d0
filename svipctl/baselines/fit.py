"""Fit one choice of a baseline to the training images of a split."""

from __future__ import annotations

import numpy as np

from svipctl.baselines.choices import Choice, Method, Prepared, attributes_for, compared, maps, score
from svipctl.datasets.benchmark import Benchmark, Indices, Split
from svipctl.evaluation.protocols import Scored
from svipctl.inference.image_features import ImageFeatures
from svipctl.model.ridge import Floats, Integers


def training_images(features: ImageFeatures, benchmark: Benchmark, split: Split) -> tuple[Floats, Integers]:
    """Return features (2n, d) of a split's training images and of their mirror images, and rows (2n,) of seen classes.

    Without mirror images both have n rows.
    """
    rows = np.searchsorted(split.seen_classes, benchmark.labels[split.train])
    plain, mirrored = features.of(split.train), features.of_mirrored(split.train)
    return (plain, rows) if mirrored is None else (np.concatenate([plain, mirrored]), np.tile(rows, 2))


def fit_and_predict(
    method: Method, choice: Choice, features: ImageFeatures, benchmark: Benchmark, split: Split, indices: Indices
) -> Scored:
    """Fit the map of one choice, and return the scores of images, by index, among the classes of the split."""
    training, rows = training_images(features, benchmark, split)
    prepared = Prepared.by(choice.features, training)
    seen_classes, classes = (benchmark.class_attributes[some] for some in (split.seen_classes, split.classes))
    seen, table = (attributes_for(choice.targets, some, seen_classes) for some in (seen_classes, classes))
    (mapping,) = maps(method, prepared(training), rows, seen, (choice.weights,))
    predicted, compared_with = compared(method, prepared(features.of(indices)), mapping, table, seen)
    return Scored.of_split(score(predicted, compared_with, choice.score), benchmark.labels[indices], split)
