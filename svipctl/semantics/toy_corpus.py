"""Train word vectors for toybirds on a small built-in corpus: no download, seconds, the same on every run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from svipctl.semantics.matrix import Pooling, WordMatrix, word_matrix
from svipctl.semantics.vector_formats import WordVectors

WIDTH = 32

_THINGS = {
    "red": ("berry", "rose", "ember", "warm"),
    "blue": ("sky", "lake", "cold", "violet"),
    "yellow": ("sun", "straw", "warm", "bright"),
    "cone": ("short", "seed", "thick", "finch"),
    "dagger": ("long", "straight", "heron", "sharp"),
    "hooked": ("curved", "hawk", "sharp", "prey"),
    "solid": ("plain", "smooth", "even", "flat"),
    "striped": ("lines", "bars", "streaks", "zebra"),
    "spotted": ("dots", "points", "speckled", "thrush"),
    "forked": ("split", "swallow", "two", "long"),
    "fan": ("wide", "round", "open", "dove"),
    "pointed": ("narrow", "sharp", "long", "single"),
    "small": ("little", "wren", "light", "short"),
    "large": ("big", "goose", "heavy", "wide"),
}
_PLACES = {
    "crown": ("color", "red", "blue", "yellow", "head"),
    "wing": ("color", "red", "blue", "yellow", "flight"),
    "belly": ("color", "red", "blue", "yellow", "below"),
    "bill": ("shape", "cone", "dagger", "hooked", "beak"),
    "breast": ("pattern", "solid", "striped", "spotted", "front"),
    "tail": ("shape", "forked", "fan", "pointed", "back"),
    "size": ("small", "large", "body"),
}


def corpus() -> Iterator[list[str]]:
    """Return short sentences in which related words are next to each other."""
    for word, related in _THINGS.items():
        for one, other in itertools.permutations(related, 2):
            yield [word, "like", one, "and", other]
            yield ["a", one, word, "bird", "is", other]
    for place, words in _PLACES.items():
        for one, other in itertools.permutations(words, 2):
            yield ["its", place, "is", one, "or", other]
            yield ["the", one, place, "of", "a", "bird", "with", other]


def train_toy_vectors(attributes: Sequence[str], *, pooling: Pooling = "sum") -> WordMatrix:
    """Train skip-gram word2vec (gensim) on the corpus, and pool it over each attribute's words: (K, 32)."""
    from gensim.models import Word2Vec

    options = {"window": 4, "min_count": 1, "sg": 1, "negative": 5, "epochs": 10, "seed": 1, "workers": 1}
    trained = Word2Vec(list(corpus()), vector_size=WIDTH, **options).wv
    vectors = WordVectors({word: trained[word].astype(np.float64) for word in trained.index_to_key}, WIDTH)
    return word_matrix(attributes, vectors, pooling=pooling, source="built-in corpus, seed 0")
