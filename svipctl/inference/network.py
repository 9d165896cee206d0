"""The network that a configuration describes, around a backbone, for a data set's attributes; and whether one is of a data set."""

from __future__ import annotations

from pathlib import Path

import torch
from timm.models.vision_transformer import VisionTransformer

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import BUILT_IN
from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata, sha256_of
from svipctl.model.svip import SVIP
from svipctl.semantics.matrix import WordMatrix
from svipctl.semantics.toy_corpus import train_toy_vectors
from svipctl.settings.schema import Settings


def network_for(settings: Settings, benchmark: Benchmark, backbone: VisionTransformer) -> SVIP:
    """The network before any weights of its heads.

    Raises:
        ConfigError: Backbone, window and recipe do not go together.
        DataError: The recipe needs word vectors, and the data set has none.

    """
    words = None
    if settings.method.context == "words":
        words = word_vectors(benchmark, built_in=settings.dataset in BUILT_IN)
    return SVIP(
        backbone,
        len(benchmark.attributes),
        settings.method,
        word_vectors=words,
        window=settings.model.window,
        hidden=settings.model.classifier_hidden,
    )


def word_vectors(benchmark: Benchmark, *, built_in: bool) -> torch.Tensor:
    """The attributes' word vectors (K, words), trained first if the benchmark is built in and has none yet."""
    path = check_word_vectors(benchmark, built_in=built_in)
    if path.exists():
        matrix = WordMatrix.load(path, benchmark.attributes)
    else:
        matrix = train_toy_vectors(benchmark.attributes)
        matrix.save(path)
    return torch.from_numpy(matrix.vectors).float()


def check_word_vectors(benchmark: Benchmark, *, built_in: bool) -> Path:
    """The file of the word vectors, which is there or, for a built-in benchmark, can be made; else DataError."""
    path = benchmark.word_vectors_file
    if path is None or not (built_in or path.exists()):
        raise DataError(
            f"{benchmark.name} has no word vectors of its attributes",
            why=f"the contextualization (method.context = words) needs {path}",
            todo=f"svipctl w2v build {benchmark.name} --vectors FILE, or train without: --set method.context=free",
        )
    return path


def check_same_benchmark(metadata: Metadata, benchmark: Benchmark) -> None:
    """Raise DataError unless the model was trained on these classes and attributes."""
    for what, trained, found in (
        ("attributes", metadata.attributes, benchmark.attributes),
        ("classes", metadata.classes, benchmark.classes),
    ):
        if tuple(trained) != found:
            raise DataError(
                f"the run was trained on other {what} than {benchmark.name} has now",
                why=f"{len(trained)} then, {len(found)} now"
                if len(trained) != len(found)
                else "their names or order differ",
                todo="restore the data set, or train again",
            )
    if metadata.class_attributes_sha256 not in ("", sha256_of(benchmark.class_attributes)):
        raise DataError(
            f"the class attributes of {benchmark.name} have changed since the run was trained",
            todo="restore attributes.csv, or train again",
        )
