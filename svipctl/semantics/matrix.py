"""Define the attribute matrix W, one word-vector row per attribute, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from svipctl.array_files import check_ending, read_arrays, write_arrays
from svipctl.errors import DataError
from svipctl.files import open_regular
from svipctl.semantics.phrases import attribute_words

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
        check_name(path)
        fields = {key: value for key, value in vars(self).items() if key != "vectors"}
        write_arrays(path, {"vectors": self.vectors}, fields, _METADATA)

    @classmethod
    def load(cls, path: Path, attributes: Sequence[str]) -> WordMatrix:
        """Read the file, and check that it is for these attributes, in this order.

        Raises:
            DataError: The file is missing, damaged, or for other attributes.

        """
        again = "build it again: svipctl w2v build"
        open_regular(path, what="file of word vectors", todo="svipctl w2v build").close()
        try:
            found = read_arrays(path, _METADATA, what="file of word vectors")
            vectors = found.pop("vectors")
            names = {key: tuple(map(str, found.pop(key))) for key in ("attributes", "unknown", "words") if key in found}
            matrix = cls(vectors, **names, **{key: str(found[key]) for key in _TEXTS if key in found})  # type: ignore[arg-type]
            if vectors.ndim != 2 or not np.isfinite(vectors).all():
                raise ValueError("its vectors are not a table of finite numbers")
        except Exception as error:  # numpy, zipfile, json and safetensors raise different exceptions for damaged files
            raise DataError(f"{path} is not a word-vector file", why=str(error), todo=again) from error
        rows = len(matrix.attributes)
        if matrix.attributes != tuple(attributes) or len(matrix.vectors) != rows:
            raise DataError(
                f"{path} is for other attributes",
                why=f"it has {rows} rows; the data set has {len(attributes)} attributes, or another order",
                todo=again,
            )
        return matrix


def check_name(path: Path) -> None:
    """Raise ConfigError unless a file name has the ending of a format that `save` writes, before any work is done.

    Raises:
        ConfigError: It has another ending.

    """
    check_ending(path, "word vectors")


_METADATA = "word_vectors"
_TEXTS = ("source", "source_sha256", "pooling", "scheme")


def wanted_words(attributes: Sequence[str], scheme: str = "cub") -> frozenset[str]:
    """Return every word of the attributes."""
    return frozenset(word for attribute in attributes for word in attribute_words(attribute, scheme))


def word_matrix(
    attributes: Sequence[str],
    word_vectors: Mapping[str, NDArray[np.float64]],
    width: int,
    *,
    scheme: str = "cub",
    pooling: Pooling = "sum",
    source: str = "",
    source_sha256: str = "",
) -> WordMatrix:
    """Sum, or average over the known ones, the word vectors of each attribute's words (data, section 4).

    Args:
        attributes: Attribute names.
        word_vectors: Word -> vector (width,).
        width: Length of a vector.
        scheme: Scheme of the words of a name: `cub`, `awa2` or `sun`.
        pooling: `sum` as published, or `mean`.
        source: Origin of the word vectors, saved in the file.
        source_sha256: SHA-256 of that file.

    """
    phrases = [attribute_words(attribute, scheme) for attribute in attributes]
    rows = np.zeros((len(attributes), width))
    unknown: dict[str, None] = {}
    for row, words in zip(rows, phrases):
        known = [word_vectors[word] for word in words if word in word_vectors]
        unknown |= dict.fromkeys(word for word in words if word not in word_vectors)
        for vector in known:
            row += vector
        if pooling == "mean" and known:
            row /= len(known)
    used = tuple(" ".join(word for word in words if word in word_vectors) for words in phrases)
    return WordMatrix(rows, tuple(attributes), tuple(unknown), used, source, source_sha256, pooling, scheme)
