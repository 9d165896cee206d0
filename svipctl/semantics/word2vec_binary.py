"""Read word2vec's binary format: a line `words width`; then for each word its bytes, a space, and `width` float32
numbers.

gensim reads it too, but keeps every vector: 4 GB of memory for the 3.6 GB of the Google News vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

import numpy as np

from svipctl.semantics.vectors import Damaged, Vectors, checked

_LONGEST_WORD = 2**12


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
    for number in range(1, count + 1):
        space = data.find(b" ", place, place + _LONGEST_WORD)
        while space < 0 or space + size >= len(data):
            if space < 0 and len(data) - place >= _LONGEST_WORD:
                raise Damaged(
                    f"word {number:,} has no end: vectors are not {width} numbers wide, or the file is truncated"
                )
            block = next(blocks, b"")
            if not block:
                raise Damaged(f"it ends in word {number:,} of {count:,}")
            data, place = data[place:] + block, 0
            space = data.find(b" ", 0, _LONGEST_WORD)
        word = data[place:space]
        place = space + 1 + size
        if word in encoded and encoded[word] not in found:
            vector = np.frombuffer(data, "<f4", width, space + 1)
            found[encoded[word]] = checked(vector, f"{encoded[word]!r} (word {number:,})")
    # Reading to the end also verifies gzip's checksum.
    for block in chain([data[place:]], blocks):
        if block.strip(b"\n"):
            raise Damaged(f"it continues after the {count:,} words of its header")
    return found
