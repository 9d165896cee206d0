"""The attribute matrix W: one word-vector row for each attribute, and its file."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError, explained_disk_errors
from svipctl.semantics.phrases import attribute_words

Pooling = Literal["sum", "mean"]


@dataclass(frozen=True)
class WordMatrix:
    """Word vectors of the attributes of a data set."""

    vectors: NDArray[np.float64]
    """(K, words), the sum over each phrase's known words; all zero where none is known."""
    attributes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    """Words that the word vectors do not have, each contributing nothing."""
    words: tuple[str, ...] = ()
    """The words of each attribute, joined by spaces."""
    source: str = ""
    """File name of the word vectors, or what made them."""
    source_sha256: str = ""
    pooling: Pooling = "sum"

    @property
    def zero_rows(self) -> tuple[str, ...]:
        """Attributes of which no word is known: whoever normalises rows must guard them."""
        return tuple(name for name, row in zip(self.attributes, self.vectors) if not row.any())

    def save(self, path: Path) -> None:
        """Write every field as a plain array, or nothing at all; the same matrix gives the same bytes."""
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
                        words=np.array(self.words, dtype=np.str_),
                        source=np.array([self.source, self.source_sha256, self.pooling], dtype=np.str_),
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
                source, sha256, pooling = (str(part) for part in archive["source"])
                matrix = cls(
                    archive["vectors"],
                    names,
                    tuple(str(word) for word in archive["unknown"]),
                    tuple(str(words) for words in archive["words"]),
                    source,
                    sha256,
                    "mean" if pooling == "mean" else "sum",
                )
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


def wanted_words(attributes: Sequence[str], dataset: str = "") -> frozenset[str]:
    """Every word of the attributes."""
    return frozenset(word for attribute in attributes for word in attribute_words(attribute, dataset))


def word_matrix(
    attributes: Sequence[str],
    word_vectors: Mapping[str, NDArray[np.float64]],
    width: int,
    *,
    dataset: str = "",
    pooling: Pooling = "sum",
    source: str = "",
    source_sha256: str = "",
) -> WordMatrix:
    """Sum, or average over the known ones, the word vectors of each attribute's words (data, section 4).

    Args:
        attributes: Attribute names.
        word_vectors: Word -> vector (width,).
        width: Length of a vector.
        dataset: Whose scheme turns a name into words.
        pooling: `sum` as published, or `mean`.
        source: Where the word vectors come from, kept in the file.
        source_sha256: Of that file.

    """
    phrases = [attribute_words(attribute, dataset) for attribute in attributes]
    rows = np.zeros((len(attributes), width))
    unknown: dict[str, None] = {}
    for row, words in zip(rows, phrases):
        known = [word_vectors[word] for word in words if word in word_vectors]
        unknown |= dict.fromkeys(word for word in words if word not in word_vectors)
        for vector in known:
            row += vector
        if pooling == "mean" and known:
            row /= len(known)
    joined = tuple(" ".join(words) for words in phrases)
    return WordMatrix(rows, tuple(attributes), tuple(unknown), joined, source, source_sha256, pooling)
