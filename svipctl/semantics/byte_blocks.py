"""A large file read once from front to back, in blocks, while its SHA-256 is computed beside the reading."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, Protocol, Self

Progress = Callable[[int, int], None]

BLOCK = 2**22
WIDEST = 2**14
"""More numbers a vector has nowhere; a header that says so is damaged."""


class Damaged(ValueError):
    """The bytes contradict the format; the message says where."""


class Readable(Protocol):
    """What a block is read from."""

    def read(self, count: int = -1, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


class HashedFile:
    """Hashes what is read in a thread of its own: reading, hashing and unpacking all release Python's lock."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None = None) -> None:
        self.file, self.size, self.progress = file, size, progress
        self.hash, self.done = hashlib.sha256(), 0
        self.waiting: list[bytes] = []
        self.waiting_bytes = 0
        self.pool = ThreadPoolExecutor(1)
        self.pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown()

    def read(self, count: int = -1, /) -> bytes:
        """Read on; gzip asks for small pieces, which are hashed together."""
        content = self.file.read(count)
        self.waiting.append(content)
        self.waiting_bytes += len(content)
        if self.waiting_bytes >= BLOCK:
            self._hash_waiting()
        return content

    def sha256(self) -> str:
        """Of the whole file: whatever was not needed is read for it."""
        while self.read(BLOCK):
            pass
        self._hash_waiting()
        if self.pending is not None:
            self.pending.result()
        return self.hash.hexdigest()

    def _hash_waiting(self) -> None:
        content = b"".join(self.waiting)
        self.waiting, self.waiting_bytes = [], 0
        if self.pending is not None:
            self.pending.result()
        self.pending = self.pool.submit(self.hash.update, content)
        self.done += len(content)
        if self.progress:
            self.progress(self.done, self.size)


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
