"""Match the rows of a feature file to the images of a data set by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import PARTS, Benchmark, Indices
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.names import NAMED
from svipctl.datasets.official import describe_missing
from svipctl.datasets.paths import rows_by_name
from svipctl.errors import DataError
from svipctl.quoting import shell_command
from svipctl.text_files import same_spelling


@dataclass(frozen=True, eq=False)
class MatchedFeatures:
    """Features of the images of a data set, in its order."""

    plain: NDArray[np.float32]
    """(N, D); NaN for an image that is in no part of the split and not in the file."""
    mirrored: NDArray[np.float32] | None
    """(T, D) features of the mirror images of trainval, ascending; None if the file has none."""


def match_features(file: FeatureFile, benchmark: Benchmark) -> MatchedFeatures:
    """Return the features of a data set's images.

    Raises:
        DataError: The file lacks images of the split, or has another class for an image than the data set.

    """
    rows = rows_by_name(benchmark.images, file.images)
    needed = np.sort(np.concatenate([getattr(benchmark, part) for part in PARTS]))
    _check_complete(file, benchmark, needed, rows[needed], "features")
    _check_labels(file, benchmark, rows)
    plain = np.full((len(rows), file.features.shape[1]), np.nan, dtype=np.float32)
    plain[rows >= 0] = file.features[rows[rows >= 0]]
    if file.mirrored is None:
        return MatchedFeatures(plain, None)
    place = np.full(len(file.images), -1, dtype=np.int64)
    place[file.parts["trainval"]] = np.arange(len(file.parts["trainval"]))
    trainval = np.sort(benchmark.trainval)
    places = place[rows[trainval]]
    _check_complete(file, benchmark, trainval, places, "features of the mirror images")
    return MatchedFeatures(plain, file.mirrored[places])


def _check_complete(file: FeatureFile, benchmark: Benchmark, needed: Indices, rows: Indices, what: str) -> None:
    missing = benchmark.files(needed[rows < 0])
    if missing:
        dataset = benchmark.name if benchmark.name in NAMED else benchmark.root
        raise DataError(
            f"{file.path} lacks {what} of {len(missing):,} of the {len(needed):,} images of {benchmark.name}",
            why=describe_missing(missing),
            todo=f"write all of them: {shell_command('embed', dataset, '-o', 'FILE')}",
        )


def _check_labels(file: FeatureFile, benchmark: Benchmark, rows: Indices) -> None:
    if file.labels is None:
        return
    there = np.flatnonzero(rows >= 0)
    classes = tuple(map(same_spelling, file.classes or benchmark.classes))
    theirs = [classes[label] if label < len(classes) else f"number {label}" for label in file.labels[rows[there]]]
    ours = [same_spelling(benchmark.classes[label]) for label in benchmark.labels[there]]
    wrong = [place for place, (one, other) in enumerate(zip(theirs, ours)) if one != other]
    if wrong:
        first = wrong[0]
        raise DataError(
            f"{file.path} gives {len(wrong):,} of {len(there):,} images another class than {benchmark.name}",
            why=f"{benchmark.images[there[first]]} is {ours[first]!r}, and {theirs[first]!r} in the file",
            todo="add `classes`, the names of the labels from 0, or remove the labels",
        )
