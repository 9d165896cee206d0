"""Read the two formats of word-vector files: word2vec's binary, and text as word2vec and GloVe write it.

A binary file is a line `words width`, then for each word its bytes, a space, and `width` float32 numbers. A text file
has a word and its numbers on each line, after a header `words width` (word2vec) or without one (GloVe).

gensim reads both too, but keeps every vector: 4 GB of memory for the 3.6 GB of the Google News vectors. It parses every
number of a text, which is 60 times slower for the words of CUB, and fails on GloVe's largest file, in which words
contain spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.csv_rows import number

Vectors = dict[str, NDArray[np.float64]]
"""Word -> vector, shape (width,)."""
WIDEST = 2**13
"""Largest width of a vector; a file with a larger one is damaged."""
_LONGEST_WORD = 2**12
_LONGEST_LINE = 2**20


@dataclass(frozen=True)
class WordVectors:
    """Word vectors of one width: the wanted words of a file, or all of the built-in corpus."""

    vectors: Vectors
    """Word -> vector, shape (width,); the first one of a repeated word."""
    width: int
    sha256: str = ""
    """SHA-256 of the file on the disk."""
    kind: str = ""
    """`word2vec binary` or `text`."""


class Damaged(ValueError):
    """The bytes contradict the format; the message says where."""


def read_binary(blocks: Iterator[bytes], count: int, width: int, wanted: AbstractSet[str]) -> Vectors:
    """Return the vectors of the wanted words; those of the others are skipped.

    Args:
        blocks: Content of the file after its header.
        count: Number of words, from the header.
        width: Numbers of a vector, from the header.
        wanted: Words; of a repeated one the first counts, as in gensim.

    Raises:
        Damaged: The file is truncated, longer than its header says, or has a wanted vector that is not finite.

    """
    size = 4 * width
    # word2vec's own program ends each vector with a newline; other programs do not, and the next word follows directly.
    encoded = {start + word.encode(): word for word in wanted for start in (b"", b"\n")}
    found: Vectors = {}
    data, place = b"", 0
    for position in range(1, count + 1):
        space = data.find(b" ", place, place + _LONGEST_WORD)
        while space < 0 or space + size >= len(data):
            if space < 0 and len(data) - place >= _LONGEST_WORD:
                raise Damaged(
                    f"word {position:,} has no end: vectors are not {width} numbers wide, or the file is truncated"
                )
            block = next(blocks, b"")
            if not block:
                raise Damaged(f"it ends in word {position:,} of {count:,}")
            data, place = data[place:] + block, 0
            space = data.find(b" ", 0, _LONGEST_WORD)
        word = data[place:space]
        place = space + 1 + size
        if word in encoded and encoded[word] not in found:
            vector = np.frombuffer(data, "<f4", width, space + 1)
            found[encoded[word]] = _checked(vector, f"{encoded[word]!r} (word {position:,})")
    # Reading to the end also verifies gzip's checksum.
    for block in chain([data[place:]], blocks):
        if block.strip(b"\n"):
            raise Damaged(f"it continues after the {count:,} words of its header")
    return found


def is_text(line: bytes, width: int | None) -> bool:
    """Return True if a line is a word and its numbers in digits; `width` is that of the header, if there is one.

    After a header, a line with as many characters as its numbers need is text too; the numbers are refused later. Read
    as binary, it would give other numbers.
    """
    start = line.rstrip().partition(b" ")[2]
    if width is not None and width > 1 and len(start) >= 2 * width - 1 and start.isascii():
        return start.decode("ascii").isprintable()
    try:
        numbers = _numbers(line.rstrip())
    except ValueError:
        return False
    return len(numbers) > 0 and width in (None, len(numbers))


def read_text(
    blocks: Iterator[bytes], count: int | None, width: int | None, wanted: AbstractSet[str]
) -> tuple[Vectors, int]:
    """Return the vectors of the wanted words and the width; the numbers of other words are counted, not parsed.

    Args:
        blocks: Content of the file after its header.
        count: Number of words, from the header; None without one.
        width: Numbers of a vector, from the header; without one it is that of the first line.
        wanted: Words; of a repeated one the first counts, as in gensim.

    Raises:
        Damaged: A line is truncated, has too few numbers or, for a wanted word, values that are not finite numbers; or
            there are more or fewer words than the header says.

    """
    encoded = {word.encode(): word for word in wanted}
    found: Vectors = {}
    words = 0
    for place, line in enumerate(_lines(blocks), 1 if count is None else 2):
        if not line:
            continue
        words += 1
        numbers = line.count(b" ")
        width = width or numbers
        if numbers < width or not 0 < width <= WIDEST:
            raise Damaged(f"line {place:,} has {numbers} numbers" + (f", not {width}" if width else ""))
        word = encoded.get(line[: line.find(b" ")])
        # A longer line is for a word that contains spaces, such as GloVe's `at name@domain.com`.
        if word is None or word in found or numbers > width:
            continue
        try:
            vector = _numbers(line)
        except ValueError as error:
            raise Damaged(f"line {place:,}: {error}") from error
        found[word] = _checked(vector, f"{word!r} (line {place:,})")
    if count not in (None, words):
        raise Damaged(f"its header says {count:,} words, there are {words:,}")
    return found, width or 0


def _numbers(line: bytes) -> NDArray[np.float64]:
    return np.array([number(part.decode("ascii")) for part in line.split(b" ")[1:]])


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines without their line ends."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise Damaged("a line is too long")
        yield from map(bytes.rstrip, lines)
    yield rest.rstrip()


def _checked(vector: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return a copy in float64.

    Raises:
        Damaged: A number is not finite.

    """
    with np.errstate(invalid="ignore"):
        copy = vector.astype(np.float64)
    if not np.isfinite(copy).all():
        raise Damaged(f"the vector of {name} is not finite")
    return copy
