"""Choose images and attributes for figures: by part of the split, by class, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from svipctl.datasets.benchmark import Benchmark, Indices, Split
from svipctl.errors import ConfigError, DataError, nearest

Part = Literal["test", "seen", "unseen", "train"]


def images_of(benchmark: Benchmark, split: Split, part: Part, classes: Sequence[str] = ()) -> Indices:
    """Return the images of a part of the split, only those of the named classes if any are named.

    Args:
        benchmark: Data set of the run.
        split: Split of the run.
        part: `test` for the seen and then the unseen images.
        classes: Names of classes.

    Raises:
        ConfigError: The class does not exist.
        DataError: No image is left.

    """
    indices: Indices = split.scored if part == "test" else getattr(split, part)
    if classes:
        wanted = [number_of(f"{benchmark.name} has no class", name, benchmark.classes) for name in classes]
        indices = indices[np.isin(benchmark.labels[indices], wanted)]
    if not len(indices):
        raise DataError(
            f"there is no {part} image of {' or '.join(classes) if classes else benchmark.name}",
            why="unseen classes have no training images, and seen classes are not in the split unseen"
            if classes
            else "",
            todo="choose another --split or --class",
        )
    return indices


def attribute_numbers(benchmark: Benchmark, names: Sequence[str]) -> tuple[int, ...]:
    """Return the columns of the named attributes.

    Raises:
        ConfigError: The attribute does not exist.

    """
    return tuple(number_of(f"{benchmark.name} has no attribute", name, benchmark.attributes) for name in names)


def number_of(refusal: str, name: str, names: Sequence[str]) -> int:
    """Return the index of a name.

    Raises:
        ConfigError: The name does not exist; the error begins with `refusal`.

    """
    if name not in names:
        raise ConfigError(f"{refusal} {name!r}", why=nearest(name, names))
    return names.index(name)
