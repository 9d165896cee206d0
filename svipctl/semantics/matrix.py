"""Define the attribute matrix W, one word-vector row per attribute, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from svipctl.array_files import check_ending, read_arrays, write_arrays
from svipctl.errors import DataError, explained_damage
from svipctl.semantics.phrases import attribute_words
from svipctl.semantics.vector_formats import WordVectors

Pooling = Literal["sum", "mean"]


@dataclass(frozen=True)
class WordMatrix:
    """Word vectors of the attributes of a data set."""

    vectors: NDArray[np.float64]
    """(K, words), the sum over the known words of each phrase; all zero if none is known."""
    attributes: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    """Words that the word vectors do not contain, each contributing nothing."""
    words: tuple[str, ...] = ()
    """Words of each row, joined by spaces."""
    source: str = ""
    """File name of the word vectors, or their built-in origin."""
    source_sha256: str = ""
    pooling: Pooling = "sum"
    scheme: str = "cub"
    """Scheme of phrase cleaning."""

    @property
    def zero_rows(self) -> tuple[str, ...]:
        """Attributes without a known word, whose rows must not be divided by their norm."""
        return tuple(name for name, row in zip(self.attributes, self.vectors) if not row.any())

    def document(self) -> dict[str, Any]:
        """Return the entry of the matrix in `svipctl w2v build --json`."""
        rows, width = self.vectors.shape
        return {
            "attributes": rows,
            "width": width,
            "pooling": self.pooling,
            "unknown_words": list(self.unknown),
            "zero_rows": list(self.zero_rows),
            "source": self.source,
            "source_sha256": self.source_sha256,
        }

    def save(self, path: Path) -> None:
        """Write every field as a plain array, complete or not at all; the same matrix gives the same bytes.

        Args:
            path: `.npz`, or `.safetensors` with the fields other than `vectors` as JSON in its metadata.

        Raises:
            ConfigError: The file name has another ending.

        """
        check_ending(path, "word vectors")
        fields = {key: value for key, value in vars(self).items() if key != "vectors"}
        write_arrays(path, {"vectors": self.vectors}, fields, _METADATA)

    @classmethod
    def load(cls, path: Path, attributes: Sequence[str]) -> WordMatrix:
        """Read the file, and check that it is for these attributes, in this order.

        Raises:
            DataError: The file is missing, damaged, or for other attributes.

        """
        again = "build it: svipctl w2v build DATASET"
        with explained_damage(path, "is not a word-vector file", todo=again):
            found = read_arrays(path, _METADATA, _check_shape, what="word-vector file", todo=again)
            vectors = found.pop("vectors")
            names = {key: tuple(map(str, found.pop(key))) for key in ("attributes", "unknown", "words") if key in found}
            matrix = cls(vectors, **names, **{key: str(found[key]) for key in _TEXTS if key in found})  # type: ignore[arg-type]
            _check_shape({"vectors": vectors})
            if not np.isfinite(vectors).all():
                raise ValueError("its vectors are not finite")
        rows = len(matrix.attributes)
        if matrix.attributes != tuple(attributes) or len(matrix.vectors) != rows:
            why = "its attributes differ from the data set's, or have another order"
            if rows != len(attributes):
                why = f"it has {rows} rows, but the data set has {len(attributes)} attributes"
            raise DataError(f"{path} is for other attributes", why=why, todo=again)
        return matrix


def _check_shape(found: Mapping[str, Any]) -> None:
    """Raise ValueError unless the vectors are a table."""
    vectors = found["vectors"]
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or vectors.size > _MOST:
        raise ValueError(f"its vectors are not a table (shape {vectors.shape}, type {vectors.dtype})")


_METADATA = "word_vectors"
_MOST = 2**26  # numbers of a table; 10,000 attributes of 1,000 numbers are a sixth of it
_TEXTS = ("source", "source_sha256", "pooling", "scheme")


def wanted_words(attributes: Sequence[str], scheme: str = "cub") -> frozenset[str]:
    """Return every word of the attributes."""
    return frozenset(word for attribute in attributes for word in attribute_words(attribute, scheme))


def word_matrix(
    attributes: Sequence[str], known: WordVectors, *, scheme: str = "cub", pooling: Pooling = "sum", source: str = ""
) -> WordMatrix:
    """Sum, or average over the known ones, the word vectors of each attribute's words (data, section 4).

    Args:
        attributes: Attribute names.
        known: The word vectors.
        scheme: Scheme of the words of a name: `cub`, `awa2` or `sun`.
        pooling: `sum` as published, or `mean`.
        source: Origin of the word vectors, saved in the file.

    """
    rows, used = np.zeros((len(attributes), known.width)), list[str]()
    unknown: dict[str, None] = {}
    for row, attribute in zip(rows, attributes):
        words = attribute_words(attribute, scheme)
        found = [word for word in words if word in known.vectors]
        unknown |= dict.fromkeys(word for word in words if word not in known.vectors)
        used.append(" ".join(found))
        for word in found:
            row += known.vectors[word]
        if pooling == "mean" and found:
            row /= len(found)
    return WordMatrix(rows, tuple(attributes), tuple(unknown), tuple(used), source, known.sha256, pooling, scheme)
