"""Word vectors from files: word2vec binary and text, GloVe text, gensim's own files; plain or gzipped.

Only the wanted words are kept. One pass over the file, in blocks: the 3.6 GB of the Google News vectors never lie in
memory, and their SHA-256 is computed beside the reading.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from svipctl.errors import DataError
from svipctl.semantics.byte_blocks import BLOCK, Blocks, Damaged, HashedFile, Readable
from svipctl.semantics.gensim_files import read_gensim
from svipctl.semantics.text_vectors import looks_like_text, read_text
from svipctl.semantics.vectors import Vectors
from svipctl.semantics.word2vec_binary import read_binary
from svipctl.types import ProgressCallback

_GZIP, _ZIP, _PICKLE = b"\x1f\x8b", b"PK\x03\x04", b"\x80"


@dataclass(frozen=True)
class WordVectors:
    """The wanted words of a file."""

    vectors: Vectors
    """Word -> (width,); of a repeated word the first."""
    width: int
    sha256: str
    """Of the file as it lies on the disk; of gensim's, followed by the files beside it that were read too."""
    kind: str
    """`word2vec binary`, `text` or `gensim`."""


def read_word_vectors(path: Path, wanted: AbstractSet[str], progress: ProgressCallback | None = None) -> WordVectors:
    """Read the wanted words of a word-vector file, whatever its kind: the content tells, not the name.

    Args:
        path: `.bin`, `.bin.gz`, `.txt`, `.gz` (as gensim-data has them), or what gensim's `save` wrote.
        wanted: Words, spelt as in the file.
        progress: Called with bytes of the file read and bytes in all.

    Raises:
        DataError: Missing, cut short, not a word-vector file, or with a vector that is not finite.

    """
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
            if start == _ZIP:
                raise Damaged("it is a zip archive: unpack it and give the file in it")
            if start.startswith(_PICKLE):
                return _gensim(raw, path, wanted)
            if start.startswith(_GZIP) and _unpacked(raw).read(1) == _PICKLE:
                return _gensim(_unpacked(raw), path, wanted)
            raw.seek(0)
            with HashedFile(path, raw, progress) as file:
                unpacked = gzip.GzipFile(fileobj=cast(IO[bytes], file)) if start.startswith(_GZIP) else file
                vectors, width, kind = _words(cast(Readable, unpacked), wanted)
                return WordVectors(vectors, width, file.sha256(), kind)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (Damaged, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} is not a whole word-vector file",
            why=str(error),
            todo="get it again, or with gensim save it as save_word2vec_format(FILE, binary=True)",
        ) from error


def _words(stream: Readable, wanted: AbstractSet[str]) -> tuple[Vectors, int, str]:
    blocks = Blocks(stream)
    header = blocks.header()
    if looks_like_text(blocks, header):
        return *read_text(blocks, header, wanted), "text"
    if header is None:
        raise Damaged("it begins neither like word2vec nor like text with a word and its numbers")
    return read_binary(blocks, header, wanted), header[1], "word2vec binary"


def _unpacked(raw: IO[bytes]) -> gzip.GzipFile:
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw)


def _gensim(stream: Any, path: Path, wanted: AbstractSet[str]) -> WordVectors:
    stream.seek(0)
    vectors, width, beside = read_gensim(stream, path, wanted)
    digest = hashlib.sha256()
    for part in (path, *beside):
        with part.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return WordVectors(vectors, width, digest.hexdigest(), "gensim")
