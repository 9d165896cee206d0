"""Small word-vector files as gensim writes them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from gensim.models import KeyedVectors, Word2Vec

from tests.datasets.official_layout import METADATA

WORDS = ("red", "bill", "größe", "3", "a,b", "color", "of")
WIDTH = 5
PUBLISHED = METADATA / "w2v"


def keyed_vectors(seed: int = 0) -> KeyedVectors:
    """Return vectors of seven words, of width 5."""
    vectors = KeyedVectors(WIDTH)
    vectors.add_vectors(list(WORDS), np.random.default_rng(seed).standard_normal((len(WORDS), WIDTH), dtype=np.float32))
    return vectors


def write_kinds(folder: Path) -> dict[str, Path]:
    """Write the same vectors in every kind of file, and return name of the kind -> path."""
    vectors = keyed_vectors()
    files = {name: folder / name for name in ("plain.bin", "text.txt", "glove.txt")}
    vectors.save_word2vec_format(str(files["plain.bin"]), binary=True)
    vectors.save_word2vec_format(str(files["text.txt"]), binary=False)
    vectors.save_word2vec_format(str(files["glove.txt"]), binary=False, write_header=False)
    header, _, rest = files["plain.bin"].read_bytes().partition(b"\n")
    records = [rest[start:end] for start, end in _records(rest)]
    files["newlines.bin"] = folder / "newlines.bin"
    files["newlines.bin"].write_bytes(header + b"\n" + b"".join(record + b"\n" for record in records))
    for name in ("plain.bin", "text.txt", "glove.txt"):
        files[f"{name}.gz"] = folder / f"{name}.gz"
        files[f"{name}.gz"].write_bytes(gzip.compress(files[name].read_bytes(), mtime=0))
    files["crlf.txt"] = folder / "crlf.txt"
    files["crlf.txt"].write_bytes(files["text.txt"].read_bytes().replace(b"\n", b" \r\n"))
    return files


def write_gensim_kinds(folder: Path) -> dict[str, Path]:
    """Write the same vectors by gensim's own `save`."""
    vectors = keyed_vectors()
    model = Word2Vec([list(WORDS)] * 3, vector_size=WIDTH, min_count=1, workers=1)
    for word in WORDS:
        model.wv.vectors[model.wv.key_to_index[word]] = vectors[word]
    files = {name: folder / name for name in ("keyed", "keyed_beside", "keyed.gz", "model", "model_beside")}
    vectors.save(str(files["keyed"]))
    vectors.save(str(files["keyed_beside"]), separately=["vectors"])
    vectors.save(str(files["keyed.gz"]))
    model.save(str(files["model"]))
    model.save(str(files["model_beside"]), sep_limit=1)
    return files


def _records(rest: bytes) -> list[tuple[int, int]]:
    """Return begin and end of each record after the header."""
    found, start = [], 0
    while start < len(rest):
        end = rest.index(b" ", start) + 1 + 4 * WIDTH
        found.append((start, end))
        start = end
    return found
