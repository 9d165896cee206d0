"""Define word vectors in memory, and the error of a damaged file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = dict[str, NDArray[np.float64]]
"""Word -> vector, shape (width,)."""
WIDEST = 2**13
"""Largest width of a vector; a file with a larger one is damaged."""


class Damaged(ValueError):
    """The bytes contradict the format; the message says where."""


def checked(vector: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return a copy in float64.

    Raises:
        Damaged: A number is not finite.

    """
    with np.errstate(invalid="ignore"):
        copy = vector.astype(np.float64)
    if not np.isfinite(copy).all():
        raise Damaged(f"the vector of {name} is not finite")
    return copy
