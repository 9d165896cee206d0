"""A large file of bytes read by position, in parts.

Not mapped into memory: the pages of a map count as the process's memory until somebody else needs it, so that an epoch
would seem to take as much as the data set is large; and a file that is cut short under a map ends the process.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError


class ByteFile:
    """An open file; reading changes no position, so processes forked from this one may read it too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def read_into(self, out: NDArray[np.uint8], start: int) -> None:
        """Fill a contiguous array with the bytes from `start` on.

        Raises:
            DataError: The file is shorter than it was.

        """
        assert out.flags.c_contiguous, "filling a copy would change nothing"
        left = out.reshape(-1).data
        while left:
            count = os.preadv(self._descriptor, [left], start)
            if not count:
                raise DataError(f"{self.path} was cut short while it was read", todo="make it again")
            left, start = left[count:], start + count
