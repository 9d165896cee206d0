"""Read word vectors as text: a word and its numbers on each line, with a header `words width` (word2vec) or not
(GloVe).

gensim reads them too, but parses and keeps every number: 60 times slower for the words of CUB, and with all words in
memory. It also fails on GloVe's largest file, in which words contain spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.csv_rows import number
from svipctl.semantics.vectors import WIDEST, Damaged, Vectors, checked

_LONGEST_LINE = 2**20


def is_text(line: bytes, width: int | None) -> bool:
    """Return True if a line is a word and its numbers in digits; `width` is that of the header, if there is one."""
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
        found[word] = checked(vector, f"{word!r} (line {place:,})")
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
            raise Damaged("a line has no end")
        yield from map(bytes.rstrip, lines)
    yield rest.rstrip()
