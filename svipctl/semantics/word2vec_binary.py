"""word2vec's binary format: a line `words width`; then for each word its bytes, a space, and `width` float32 numbers."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np

from svipctl.semantics.byte_blocks import Blocks, Damaged
from svipctl.semantics.vectors import Vectors, checked

_LONGEST_WORD = 2**12


def read_binary(blocks: Blocks, header: tuple[int, int], wanted: AbstractSet[str]) -> Vectors:
    """The wanted words; the vectors of the others are stepped over.

    Args:
        blocks: Behind the header.
        header: Words and width.
        wanted: Words; of a repeated one the first counts, as in gensim.

    Raises:
        Damaged: Cut short, longer than its header says, or with a wanted vector that is not finite.

    """
    count, width = header
    size = 4 * width
    # word2vec's own program ends each vector with a newline, others do not: it then begins the next word.
    encoded = {start + word.encode(): word for word in wanted for start in (b"", b"\n")}
    found: Vectors = {}
    data, place = blocks.bytes, blocks.place
    last = len(data) - size  # a space here or behind has not its whole vector in the block
    for number in range(1, count + 1):
        space = data.find(b" ", place, place + _LONGEST_WORD)
        while space < 0 or space >= last:
            if space < 0 and len(data) - place >= _LONGEST_WORD:
                raise Damaged(f"word {number:,} has no end: vectors are not {width} numbers wide, or the file is cut")
            blocks.place = place
            if not blocks.refill():
                raise Damaged(f"it ends in word {number:,} of {count:,}")
            data, place = blocks.bytes, 0
            last = len(data) - size
            space = data.find(b" ", 0, _LONGEST_WORD)
        word = data[place:space]
        place = space + 1 + size
        if word in encoded and encoded[word] not in found:
            vector = np.frombuffer(data, "<f4", width, space + 1)
            found[encoded[word]] = checked(vector, f"{encoded[word]!r} (word {number:,})")
    blocks.place = place
    _check_end(blocks, count)
    return found


def _check_end(blocks: Blocks, count: int) -> None:
    """Whatever follows the last word shows that the header is wrong; reading to the end also checks gzip's checksum."""
    while True:
        if blocks.bytes[blocks.place :].strip(b"\n"):
            raise Damaged(f"it goes on after the {count:,} words that its header promises")
        blocks.place = len(blocks.bytes)
        if not blocks.refill():
            return
