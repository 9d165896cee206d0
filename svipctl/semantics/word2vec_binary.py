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
    encoded = {word.encode(): word for word in wanted}
    found: Vectors = {}
    data, place = blocks.bytes, blocks.place
    for number in range(1, count + 1):
        space = data.find(b" ", place)
        while space < 0 or space + size >= len(data):
            if space < 0 and len(data) - place > _LONGEST_WORD:
                break
            blocks.place = place
            if not blocks.refill():
                raise Damaged(f"it ends in word {number:,} of {count:,}")
            data, place = blocks.bytes, 0
            space = data.find(b" ")
        if not 0 <= space - place <= _LONGEST_WORD:
            raise Damaged(f"word {number:,} has no end: the vectors are not {width} numbers wide, or the file is cut")
        # word2vec's own program ends each vector with a newline, others do not.
        word = data[place:space].lstrip(b"\n")
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
