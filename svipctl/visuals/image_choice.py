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
        benchmark: Of the run.
        split: Of the run.
        part: `test` are the seen and then the unseen images.
        classes: Names.

    Raises:
        ConfigError: There is no class of that name.
        DataError: No image is left.

    """
    indices = {
        "test": np.concatenate([split.seen, split.unseen]),
        "seen": split.seen,
        "unseen": split.unseen,
        "train": split.train,
    }[part]
    if classes:
        wanted = [_class_number(benchmark, name) for name in classes]
        indices = indices[np.isin(benchmark.labels[indices], wanted)]
    if not len(indices):
        raise DataError(
            f"there is no {part} image of {' or '.join(classes) if classes else benchmark.name}",
            why="an unseen class has no training images and a seen one no unseen test images" if classes else "",
            todo="choose another --split or --class",
        )
    return indices


def spread(indices: Indices, count: int) -> Indices:
    """Return so many of the images, evenly spread over their order; all of them if there are no more."""
    if len(indices) <= count:
        return indices
    chosen: Indices = indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]
    return chosen


def attribute_numbers(benchmark: Benchmark, names: Sequence[str]) -> tuple[int, ...]:
    """Return the columns of the named attributes.

    Raises:
        ConfigError: There is none of that name.

    """
    for name in names:
        if name not in benchmark.attributes:
            raise ConfigError(
                f"{benchmark.name} has no attribute {name!r}", why=nearest(name, benchmark.attributes), todo=_QUOTE
            )
    return tuple(benchmark.attributes.index(name) for name in names)


_QUOTE = "names with blanks need quotes; completion lists them"


def _class_number(benchmark: Benchmark, name: str) -> int:
    if name not in benchmark.classes:
        raise ConfigError(f"{benchmark.name} has no class {name!r}", why=nearest(name, benchmark.classes), todo=_QUOTE)
    return benchmark.classes.index(name)
