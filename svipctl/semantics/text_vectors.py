"""Word vectors as text: a word and its numbers on each line, after a line `words width` (word2vec) or not (GloVe)."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import numpy as np

from svipctl.semantics.byte_blocks import WIDEST, Blocks, Damaged
from svipctl.semantics.vectors import Vectors, checked

_LONGEST_LINE = 2**20


def looks_like_text(blocks: Blocks, header: tuple[int, int] | None) -> bool:
    """Whether numbers in digits follow the first word."""
    line = blocks.bytes[blocks.place : blocks.place + _LONGEST_LINE].partition(b"\n")[0]
    numbers = line.rstrip().split(b" ")[1:]
    try:
        for number in numbers:
            float(number)
    except ValueError:
        return False
    return bool(numbers) and (header is None or len(numbers) == header[1])


def read_text(blocks: Blocks, header: tuple[int, int] | None, wanted: AbstractSet[str]) -> tuple[Vectors, int]:
    """The wanted words and the width; the numbers of the other words are counted, not parsed.

    Args:
        blocks: Behind the header, if there is one.
        header: Words and width; without it the width is that of the first line.
        wanted: Words; of a repeated one the first counts, as in gensim.

    Raises:
        Damaged: A line is cut, has too few numbers or, of a wanted word, something else than finite numbers; or
            there are more or fewer words than the header says.

    """
    width = header[1] if header else 0
    encoded = {word.encode(): word for word in wanted}
    found: Vectors = {}
    words = 0
    for number, line in enumerate(_lines(blocks), 2 if header else 1):
        if not line:
            continue
        words += 1
        numbers = line.count(b" ")
        width = width or numbers
        if numbers < width or not 0 < width <= WIDEST:
            raise Damaged(f"line {number:,} has {numbers} numbers" + (f", not {width}" if width else ""))
        name = line[: line.find(b" ")]
        # GloVe's largest file has words with spaces in them, such as `at name@domain.com`: their lines are longer.
        if name not in encoded or encoded[name] in found or numbers > width:
            continue
        try:
            vector = np.array([float(part) for part in line.split(b" ")[1:]])
        except ValueError as error:
            raise Damaged(f"line {number:,}: {error}") from error
        found[encoded[name]] = checked(vector, f"{encoded[name]!r} (line {number:,})")
    if header and words != header[0]:
        raise Damaged(f"its header says {header[0]:,} words, there are {words:,}")
    return found, width


def _lines(blocks: Blocks) -> Iterator[bytes]:
    """Lines without their ends."""
    while True:
        end = blocks.bytes.find(b"\n", blocks.place)
        if end < 0:
            if len(blocks.bytes) - blocks.place > _LONGEST_LINE:
                raise Damaged("a line has no end")
            if blocks.refill():
                continue
            yield blocks.bytes.rstrip()
            return
        yield blocks.bytes[blocks.place : end].rstrip()
        blocks.place = end + 1
