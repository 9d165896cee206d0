"""Word vectors in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.semantics.byte_blocks import Damaged

Vectors = dict[str, NDArray[np.float64]]
"""Word -> (width,)."""


def checked(vector: NDArray[Any], of: str) -> NDArray[np.float64]:
    """A copy in float64.

    Raises:
        Damaged: A number is not finite.

    """
    with np.errstate(invalid="ignore"):
        copy = vector.astype(np.float64)
    if not np.isfinite(copy).all():
        raise Damaged(f"the vector of {of} is not finite")
    return copy
