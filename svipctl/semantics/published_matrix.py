"""Compare word vectors with the published ones, by checksum or with a published file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.semantics.matrix import WordMatrix

SHA256 = {
    "awa2": "d7a4535a5a1c5e845ee38aaf5420bbc076cd26183176c0612ff4fc115a31fcda",
    "cub": "e1838ad83546c39d37b59b780e20bdcaf6bf37fb2f9231beddb7e786a31a0802",
    "sun": "b6f3fc2f2148acddc6df6a860617175eebdd69b71e284433a86b386aa520613a",
}
"""SHA-256 of the float64 values, row by row (data, section 4)."""
WIDTH = 300
"""Numbers per attribute in each of them."""
TOLERANCE = 1e-6
"""Largest difference at which two matrices count as equal: a fifth of the resolution of float32 word vectors."""


@dataclass(frozen=True)
class MatrixComparison:
    """Differences of a matrix from a published one."""

    shape: tuple[int, ...]
    """Shape of the published matrix."""
    largest: float
    """Largest absolute difference; infinite if the shapes differ."""
    different: tuple[str, ...]
    """Attributes whose rows differ by more than the tolerance."""

    @property
    def same(self) -> bool:
        """True if no row differs by more than the tolerance."""
        return self.largest <= TOLERANCE

    def document(self) -> dict[str, Any]:
        """Return the comparison as in `svipctl w2v check --json`."""
        return {
            "largest_difference": self.largest if isfinite(self.largest) else None,
            "different_attributes": list(self.different),
            "same_values": self.same,
        }

    def explained(self, matrix: WordMatrix) -> str:
        """Return a sentence on the differing rows, with both shapes."""
        rows = f"{len(self.different)} of {len(matrix.attributes)} rows differ, for instance {', '.join(self.different[:5])}"
        return f"{rows}; the published table is {self.shape}, yours {matrix.vectors.shape}"


def values_sha256(vectors: NDArray[np.float64]) -> str:
    """Return the SHA-256 of the values as published: float64, row by row."""
    return hashlib.sha256(np.ascontiguousarray(vectors, dtype="<f8").tobytes()).hexdigest()


def compare(matrix: WordMatrix, published: NDArray[np.float64]) -> MatrixComparison:
    """Compare two matrices row by row, in the order of the attribute file."""
    if matrix.vectors.shape != published.shape:
        return MatrixComparison(published.shape, float("inf"), matrix.attributes)
    by_row = np.abs(matrix.vectors - published).max(axis=1, initial=0.0)
    by_row = np.where(np.isnan(by_row), np.inf, by_row)
    different = tuple(name for name, value in zip(matrix.attributes, by_row) if value > TOLERANCE)
    return MatrixComparison(published.shape, float(by_row.max(initial=0.0)), different)
