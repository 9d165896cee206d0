"""Word vectors from files: word2vec binary and text, GloVe text, gensim's own files; plain or gzipped.

Only the wanted words are kept. One pass over the file, in blocks: the 3.6 GB of the Google News vectors never lie in
memory, and their SHA-256 is computed beside the reading.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from svipctl.errors import DataError
from svipctl.restricted import Inert, read_pickle

Progress = Callable[[int, int], None]
Vectors = dict[str, NDArray[np.float64]]

_BLOCK = 2**22
_LONGEST_WORD = 2**12
_WIDEST = 2**14


@dataclass(frozen=True)
class WordVectors:
    """The wanted words of a file."""

    vectors: Vectors
    """Word -> (width,); of a repeated word the first."""
    width: int
    sha256: str
    """Of the file as it lies on the disk."""
    kind: str
    """`word2vec binary`, `text` or `gensim`."""


class _HashedFile:
    """Reads a file and hashes what is read in a thread of its own; both release Python's lock."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self.file, self.size, self.progress = file, size, progress
        self.hash, self.done = hashlib.sha256(), 0
        self.pool = ThreadPoolExecutor(1)
        self.pending: Future[None] | None = None

    def read(self, count: int = -1) -> bytes:
        content = self.file.read(count)
        if self.pending is not None:
            self.pending.result()
        self.pending = self.pool.submit(self.hash.update, content)
        self.done += len(content)
        if self.progress:
            self.progress(self.done, self.size)
        return content

    def sha256(self) -> str:
        """Of the whole file: whatever was not needed is read for it."""
        while self.read(_BLOCK):
            pass
        self.pool.shutdown()
        return self.hash.hexdigest()


def read_word_vectors(path: Path, wanted: frozenset[str], progress: Progress | None = None) -> WordVectors:
    """Read the wanted words of a word-vector file, whatever its kind.

    Args:
        path: `.bin`, `.bin.gz`, `.txt`, `.gz` (as gensim-data has them), or what gensim's `save` wrote.
        wanted: Words, spelt as in the file.
        progress: Called with bytes of the file read and bytes in all.

    Raises:
        DataError: Missing, cut short, not a word-vector file, or with a vector that is not finite.

    """
    try:
        with path.open("rb") as raw:
            file = _HashedFile(raw, path.stat().st_size, progress)
            start = raw.read(2)
            raw.seek(0)
            if start[:1] == b"\x80":
                return _from_gensim(path, wanted, file)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=cast(Any, file)) if start == b"\x1f\x8b" else file)
            blocks = _Blocks(stream)
            header = blocks.header()
            kind = "text" if blocks.looks_like_text(header) else "word2vec binary"
            words = _text_words(blocks, header) if kind == "text" else _binary_words(blocks, header, wanted)
            vectors, width = _collect(words, header, wanted)
            return WordVectors(vectors, width, file.sha256(), kind)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (_Damaged, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole word-vector file", why=str(error)) from error


class _Damaged(ValueError):
    """The bytes contradict the format."""


class _Blocks:
    """The file's bytes from a position on, refilled by blocks."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.bytes = stream.read(_BLOCK)
        self.place = 0

    def refill(self) -> bool:
        """Forget what is behind the position and read a block more; False at the end of the file."""
        more = self.stream.read(_BLOCK)
        self.bytes, self.place = self.bytes[self.place :] + more, 0
        return bool(more)

    def header(self) -> tuple[int, int] | None:
        """Words and width of the first line, if it is one of word2vec; then the position is behind it."""
        line, end, _ = self.bytes[:64].partition(b"\n")
        parts = line.split()
        if not (end and len(parts) == 2 and all(part.isdigit() for part in parts)):
            return None
        words, width = int(parts[0]), int(parts[1])
        if not 0 < width <= _WIDEST:
            raise _Damaged(f"its header says that vectors have {width} numbers")
        self.place = len(line) + 1
        return words, width

    def looks_like_text(self, header: tuple[int, int] | None) -> bool:
        """Whether numbers in words follow the first word."""
        line = self.bytes[self.place : self.place + 2**18].partition(b"\n")[0]
        parts = line.split(b" ")[1:]
        try:
            numbers = [float(part) for part in parts if part.strip()]
        except ValueError:
            return False
        return bool(numbers) and (header is None or len(numbers) == header[1])


def _binary_words(
    blocks: _Blocks, header: tuple[int, int] | None, wanted: frozenset[str]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each wanted word with its vector; the others are skipped in place."""
    if header is None:
        raise _Damaged("it begins neither like word2vec nor like text with a word and its numbers")
    count, width = header
    size = 4 * width
    encoded = {word.encode(): word for word in wanted}
    for number in range(count):
        space = blocks.bytes.find(b" ", blocks.place)
        while space < 0 or space + 1 + size > len(blocks.bytes):
            if space < 0 and len(blocks.bytes) - blocks.place > _LONGEST_WORD:
                raise _Damaged(f"word {number + 1} has no end")
            if not blocks.refill():
                raise _Damaged(f"it ends in word {number + 1} of {count}")
            space = blocks.bytes.find(b" ", blocks.place)
        word = blocks.bytes[blocks.place : space].lstrip(b"\n")
        blocks.place = space + 1 + size
        if word in encoded:
            yield encoded[word], np.frombuffer(blocks.bytes, "<f4", width, space + 1).astype(np.float64)


def _text_words(blocks: _Blocks, header: tuple[int, int] | None) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Each line's word and numbers; the width of a file without a header is that of its first line."""
    width = header[1] if header else 0
    number = 0
    more = True
    while more or blocks.place < len(blocks.bytes):
        end = blocks.bytes.find(b"\n", blocks.place)
        if end < 0 and more:
            more = blocks.refill()
            continue
        line = blocks.bytes[blocks.place : end if end >= 0 else len(blocks.bytes)].rstrip()
        blocks.place = end + 1 if end >= 0 else len(blocks.bytes)
        if not line:
            continue
        number += 1
        parts = line.split(b" ")
        width = width or len(parts) - 1
        if len(parts) <= width or not width:
            raise _Damaged(f"line {number} has {len(parts) - 1} numbers, not {width}")
        try:
            word = b" ".join(parts[:-width]).decode()
            yield word, np.array([float(part) for part in parts[-width:]])
        except (ValueError, UnicodeDecodeError) as error:
            raise _Damaged(f"line {number}: {error}") from error
    if header and number != header[0]:
        raise _Damaged(f"its header says {header[0]} words, there are {number}")


def _collect(
    words: Iterator[tuple[str, NDArray[np.float64]]], header: tuple[int, int] | None, wanted: frozenset[str]
) -> tuple[Vectors, int]:
    """The first vector of each wanted word, and the width of all."""
    found: Vectors = {}
    width = header[1] if header else 0
    for word, vector in words:
        width = len(vector)
        if word in wanted and word not in found:
            if not np.isfinite(vector).all():
                raise _Damaged(f"the vector of {word!r} is not finite")
            found[word] = vector
    if not width:
        raise _Damaged("it has no words")
    return found, width


def _from_gensim(path: Path, wanted: frozenset[str], file: _HashedFile) -> WordVectors:
    """What `KeyedVectors.save` or `Word2Vec.save` wrote: a pickle, read without gensim, and perhaps arrays beside it."""
    model = read_pickle(path, inert=("gensim", "numpy.random", "collections"))
    keyed = getattr(model, "wv", model)
    index, table = getattr(keyed, "key_to_index", None), getattr(keyed, "vectors", None)
    if table is None and isinstance(keyed, Inert):
        for beside in (path.with_name(f"{path.name}.vectors.npy"), path.with_name(f"{path.name}.wv.vectors.npy")):
            if beside.exists():
                try:
                    table = np.load(beside, mmap_mode="r", allow_pickle=False)
                except ValueError as error:
                    raise DataError(f"{beside} is damaged", why=str(error)) from error
    if not isinstance(index, dict) or not isinstance(table, np.ndarray) or table.ndim != 2:
        raise DataError(
            f"{path} holds no word vectors of gensim 4",
            todo="load it with gensim and save it again with save_word2vec_format(FILE, binary=True)",
        )
    vectors: Vectors = {}
    for word in sorted(wanted & index.keys()):
        row = index[word]
        if not isinstance(row, int) or not 0 <= row < len(table) or not np.isfinite(table[row]).all():
            raise DataError(f"{path} is damaged", why=f"the vector of {word!r} is missing or not finite")
        vectors[word] = np.asarray(table[row], dtype=np.float64)
    return WordVectors(vectors, table.shape[1], file.sha256(), "gensim")
