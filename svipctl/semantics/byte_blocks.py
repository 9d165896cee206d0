"""A large file read once from front to back, in blocks, while its SHA-256 is computed beside the reading."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from svipctl.types import ProgressCallback

BLOCK = 2**18  # of what is searched: it stays in the processor's cache
_HASHED = 2**23  # few and long calls, for Python's lock is needed between two
WIDEST = 2**13
"""More numbers a vector has nowhere; a header that says so is damaged."""


class Damaged(ValueError):
    """The bytes contradict the format; the message says where."""


class Readable(Protocol):
    """What a block is read from."""

    def read(self, count: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class HashedFile:
    """Reads a file while a thread of its own computes its SHA-256.

    The thread reads for itself, what the other reading left in the page cache: handing over each block would make the
    two wait for Python's lock.
    """

    def __init__(self, path: Path, file: BinaryIO, progress: ProgressCallback | None = None) -> None:
        self.path, self.file, self.progress = path, file, progress
        self.size, self.stopped = path.stat().st_size, False
        self.pool = ThreadPoolExecutor(1)
        self.digest = self.pool.submit(self._hash)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped = True
        self.pool.shutdown()

    def read(self, count: int = -1, /) -> bytes:
        """Read on."""
        content = self.file.read(count)
        if self.progress:
            self.progress(self.file.tell(), self.size)
        return content

    def sha256(self) -> str:
        """Of the whole file."""
        return self.digest.result()

    def _hash(self) -> str:
        digest, buffer = hashlib.sha256(), memoryview(bytearray(_HASHED))
        with self.path.open("rb", buffering=0) as file:
            while not self.stopped and (count := file.readinto(buffer)):
                digest.update(buffer[:count])
        return digest.hexdigest()


class Blocks:
    """A stream's bytes from a position on."""

    def __init__(self, stream: Readable) -> None:
        self.stream = stream
        self.bytes = stream.read(BLOCK)
        self.place = 0

    def refill(self) -> bool:
        """Forget what is behind the position and read a block more; False at the end of the stream."""
        more = self.stream.read(BLOCK)
        self.bytes, self.place = self.bytes[self.place :] + more, 0
        return bool(more)

    def header(self) -> tuple[int, int] | None:
        """Words and width of the first line, if it is one of word2vec; then the position is behind it.

        Raises:
            Damaged: Such a line with a width that no vector has.

        """
        line, end, _ = self.bytes[:64].partition(b"\n")
        parts = line.split()
        if not (end and len(parts) == 2 and all(part.isdigit() for part in parts)):
            return None
        words, width = int(parts[0]), int(parts[1])
        if not 0 < width <= WIDEST:
            raise Damaged(f"its header says that vectors have {width} numbers")
        self.place = len(line) + 1
        return words, width
