"""Read word vectors from files: word2vec binary and text, GloVe text; plain or gzipped.

Only the wanted words are kept. The file is read once, in blocks: the 3.6 GB of the Google News vectors are never in
memory, and their SHA-256 is computed at the same time.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from threading import Event
from typing import BinaryIO

from svipctl.errors import DataError, explained_damage
from svipctl.files import open_regular
from svipctl.quoting import shell_words
from svipctl.semantics.vector_formats import WIDEST, Damaged, Vectors, WordVectors, is_text, read_binary, read_text
from svipctl.types import ProgressCallback

_GZIP, _ZIP, _PICKLE = b"\x1f\x8b", b"PK\x03\x04", b"\x80"
_HEADER = re.compile(rb"([0-9]{1,18})[ \t]+([0-9]{1,18})[ \t\r]*\n")
_BLOCK = 2**18  # fits into the processor's cache
_UNPACKED, _SMALL = 20, 2**24  # gzip makes digits a third as long, and a file of zeros a thousandth
_HASHED = 2**23  # few and long calls: Python's lock is needed between two


def read_word_vectors(path: Path, wanted: AbstractSet[str], progress: ProgressCallback | None = None) -> WordVectors:
    """Read the wanted words of a word-vector file; the format is detected from the content, not the name.

    Args:
        path: `.bin`, `.bin.gz`, `.txt` or `.gz` (as gensim-data publishes them).
        wanted: Words, spelled as in the file.
        progress: Called with bytes of the file read and bytes in total.

    Raises:
        DataError: The file is missing, truncated, not a word-vector file, has a vector that is not finite, or is
            a file of gensim's `save`, which is a pickle.

    """
    todo = "download it again, or with gensim save it as save_word2vec_format(FILE, binary=True)"
    kinds, stopped = (Damaged, gzip.BadGzipFile, EOFError, zlib.error), Event()
    damage = explained_damage(path, "is not a complete word-vector file", *kinds, todo=todo)
    with damage, ThreadPoolExecutor(1) as pool, open_regular(path, what="word-vector file") as file:
        sha256 = pool.submit(_sha256, path, stopped)
        try:
            vectors, width, kind = _words(file, path, wanted, progress)
            return WordVectors(vectors, width, sha256.result(), kind)
        finally:
            stopped.set()


def _words(
    file: BinaryIO, path: Path, wanted: AbstractSet[str], progress: ProgressCallback | None
) -> tuple[Vectors, int, str]:
    """Return the wanted vectors, the width and the format."""
    start = file.read(4)
    file.seek(0)
    if start == _ZIP:
        raise Damaged("it is a zip archive: unpack it and pass the file in it")
    stream = gzip.GzipFile(fileobj=file) if start.startswith(_GZIP) else file
    blocks = _blocks(stream, file, path.stat().st_size, progress)
    begin = next(blocks, b"")
    if begin.startswith(_PICKLE):
        raise _pickled(path)
    header = _HEADER.match(begin)
    count, width = map(int, header.groups()) if header else (None, None)
    if width is not None and not 0 < width <= WIDEST:
        raise Damaged(f"its header says that vectors have {width} numbers; 1 to {WIDEST} are accepted")
    content = begin[header.end() if header else 0 :]
    rest = chain([content], blocks)
    if is_text(content.partition(b"\n")[0], width):
        return *read_text(rest, count, width, wanted), "text"
    if count is None or width is None:
        raise Damaged("it starts neither like word2vec nor like text with a word and its numbers")
    return read_binary(rest, count, width, wanted), width, "word2vec binary"


def _blocks(
    stream: BinaryIO | gzip.GzipFile, file: BinaryIO, size: int, progress: ProgressCallback | None
) -> Iterator[bytes]:
    """Yield the unpacked content, reporting the position in the packed file."""
    unpacked, most = 0, _UNPACKED * size + _SMALL
    while block := stream.read(_BLOCK):
        unpacked += len(block)
        if stream is not file and unpacked > most:
            raise Damaged(f"it unpacks to more than the limit of {most:,} bytes")
        if progress:
            progress(file.tell(), size)
        yield block
    if progress:
        progress(size, size)


def _sha256(path: Path, stopped: Event) -> str:
    """Compute the SHA-256 of a file in another thread, which reads it from the page cache.

    Passing each block to the thread instead would make both wait for Python's lock.
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_HASHED))
    with open_regular(path) as file:
        while not stopped.is_set() and (count := file.readinto(buffer)):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _pickled(path: Path) -> DataError:
    name = json.dumps(str(path), ensure_ascii=False)
    convert = (
        f"from gensim.utils import SaveLoad; saved = SaveLoad.load({name}); "
        f'getattr(saved, "wv", saved).save_word2vec_format({name} + ".bin", binary=True)'
    )
    return DataError(
        f"{path} is a pickle, as gensim's `save` writes it, and is not read",
        why="loading a pickle can run any program: convert it if you trust its source, and pass the new file",
        todo=shell_words("python", "-c", convert),
    )
