"""The attribute matrix W: one word-vector row for each attribute, and its file."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError, explained_disk_errors
from svipctl.semantics.phrases import attribute_words


@dataclass(frozen=True)
class WordMatrix:
    """Word vectors of the attributes of a data set."""

    vectors: NDArray[np.float64]
    """(K, words), the sum over each phrase's known words; all zero where none is known."""
    attributes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    """Words that the word vectors do not have, each contributing nothing."""

    def save(self, path: Path) -> None:
        """Write `vectors`, `attributes` and `unknown` as plain arrays, or nothing at all."""
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        with explained_disk_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with unfinished.open("wb") as file:
                    np.savez(
                        file,
                        vectors=self.vectors,
                        attributes=np.array(self.attributes, dtype=np.str_),
                        unknown=np.array(self.unknown, dtype=np.str_),
                    )
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path, attributes: Sequence[str]) -> WordMatrix:
        """Read the file and check that it belongs to these attributes, in this order."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                names = tuple(str(name) for name in archive["attributes"])
                matrix = cls(archive["vectors"], names, tuple(str(word) for word in archive["unknown"]))
        except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, BadZipFile, zlib.error) as error:
            raise DataError(
                f"{path} is not a word-vector file", why=str(error), todo="build it again: svipctl w2v build"
            ) from error
        if matrix.attributes != tuple(attributes) or len(matrix.vectors) != len(names):
            raise DataError(
                f"{path} belongs to other attributes",
                why=f"it has {len(names)} rows; the data set has {len(attributes)} attributes, or another order",
                todo="build it again: svipctl w2v build",
            )
        return matrix


def word_matrix(attributes: Sequence[str], word_vectors: Mapping[str, NDArray[np.float64]], width: int) -> WordMatrix:
    """Sum the word vectors of each attribute's words (data, section 4).

    Args:
        attributes: Attribute names.
        word_vectors: Word -> vector (width,).
        width: Length of a vector.

    """
    rows = np.zeros((len(attributes), width))
    unknown: dict[str, None] = {}
    for row, attribute in zip(rows, attributes):
        for word in attribute_words(attribute):
            if word in word_vectors:
                row += word_vectors[word]
            else:
                unknown[word] = None
    return WordMatrix(rows, tuple(attributes), tuple(unknown))
