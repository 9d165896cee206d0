"""Fit choices of a baseline to the training images of a split, and score images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svipctl.baselines.choices import Choice, Method, Space, attributes_for, compared, maps, preparation_of, score
from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.evaluation.protocols import Scored
from svipctl.inference.image_features import ImageFeatures
from svipctl.model.ridge import Floats, Integers, spectrum


def training_images(features: ImageFeatures, benchmark: Benchmark, split: Split) -> tuple[Floats, Integers]:
    """Return features (2n, d) of a split's training images and of their mirror images, and rows (2n,) of seen classes.

    Without mirror images both have n rows.
    """
    rows = np.searchsorted(split.seen_classes, benchmark.labels[split.train])
    plain, mirrored = features.of(split.train), features.of_mirrored(split.train)
    return (plain, rows) if mirrored is None else (np.concatenate([plain, mirrored]), np.tile(rows, 2))


def fit_and_predict(
    method: Method, space: Space, features: ImageFeatures, benchmark: Benchmark, split: Split
) -> Iterator[tuple[Choice, Scored]]:
    """Fit the map of every choice of a space, and yield the scores of its images among the classes of the split.

    Args:
        method: Name of the baseline.
        space: Candidates of each hyper-parameter.
        features: Features of the data set's images.
        benchmark: The data set.
        split: Training images, images to score, and classes.

    """
    training, rows = training_images(features, benchmark, split)
    raw, labels = features.of(split.scored), benchmark.labels[split.scored]
    seen_classes, classes = (benchmark.class_attributes[some] for some in (split.seen_classes, split.classes))
    preparations, every_targets, grid, scores = space
    for preparation in preparations:
        prepared = preparation_of(preparation, training)
        inputs, images = prepared(training), prepared(raw)
        of_inputs = spectrum(inputs) if method in ("ridge", "eszsl", "sae") else None
        for targets in every_targets:
            seen, table = (attributes_for(targets, some, seen_classes) for some in (seen_classes, classes))
            for weights, mapping in zip(grid, maps(method, inputs, rows, seen, grid, of_inputs)):
                predicted, compared_with = compared(method, images, mapping, table, seen)
                for kind in scores:
                    scored = Scored.of_split(score(predicted, compared_with, kind), labels, split)
                    yield Choice(preparation, targets, weights, kind), scored


def fit_choice(method: Method, choice: Choice, features: ImageFeatures, benchmark: Benchmark, split: Split) -> Scored:
    """Return the scores of one choice; other arguments as in `fit_and_predict`."""
    space: Space = ([choice.features], [choice.targets], [choice.weights], [choice.score])
    ((_, scored),) = fit_and_predict(method, space, features, benchmark, split)
    return scored
