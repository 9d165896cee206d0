"""Test that a network is built for a data set's attributes, rebuilt from saved files, and used with it only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import NORMALISATIONS
from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata, sha256_of
from svipctl.inference.network import (
    check_same_benchmark,
    describe_model,
    load_word_vectors,
    network_from_state,
    new_network,
)
from svipctl.semantics.matrix import WordMatrix
from svipctl.settings.schema import ModelSettings, Settings
from tests.evaluation.cases import benchmark
from tests.inference.models import metadata
from tests.model.tiny import ARGUMENTS, NAME, images, svip


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    return benchmark(tmp_path)


@pytest.fixture
def described(data: Benchmark) -> Metadata:
    return metadata(svip(), classes=data.classes, attributes=data.attributes)


def test_other_classes_or_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    check_same_benchmark(described, data)
    with pytest.raises(DataError, match="other classes") as caught:
        check_same_benchmark(replace(described, classes=("a",)), data)
    assert caught.value.why == "1 in the run, 4 now"
    with pytest.raises(DataError, match="other attributes") as caught:
        check_same_benchmark(replace(described, attributes=data.attributes[::-1]), data)
    assert caught.value.why == "their names or order differ"


def test_changed_class_attributes_are_refused(described: Metadata, data: Benchmark) -> None:
    recorded = replace(described, class_attributes_sha256=sha256_of(data.class_attributes))
    check_same_benchmark(recorded, data)
    with pytest.raises(DataError, match="class attributes of toy have changed"):
        check_same_benchmark(recorded, replace(data, class_attributes=data.class_attributes + 0.5))


def settings(context: str, dataset: str = "toy") -> Settings:
    model = ModelSettings(backbone=NAME, backbone_args=ARGUMENTS, window=2, classifier_hidden=8)
    return Settings(dataset=dataset, model=model, method={"keep": 2, "context": context})  # type: ignore[arg-type]


def with_words(data: Benchmark) -> tuple[Benchmark, np.ndarray]:
    vectors = np.random.default_rng(0).normal(size=(5, 7))
    WordMatrix(vectors, data.attributes).save(data.root / "word_vectors.npz")
    return data, vectors


@pytest.mark.parametrize("context", ["words", "free", "none"])
def test_a_network_is_rebuilt_from_its_description_and_its_tensors(context: str, data: Benchmark) -> None:
    network = new_network(settings(context), with_words(data)[0]).eval()
    again = network_from_state(vars(metadata(network)), network.state_dict()).eval()
    assert again.recipe == network.recipe
    with torch.no_grad():
        assert torch.equal(again(images()), network(images()))


def test_a_network_has_the_attributes_and_the_word_vectors_of_its_data_set(data: Benchmark) -> None:
    worded, vectors = with_words(data)
    network = new_network(settings("words"), worded)
    assert network.attribute_head.out_features == 5
    torch.testing.assert_close(network.context.word_vectors, torch.from_numpy(vectors).float())
    described = describe_model(network, settings("words"), {}, NORMALISATIONS["half"])
    assert described.word_vectors_sha256 == sha256_of(vectors.astype(np.float32))


def test_a_data_set_without_word_vectors_is_refused_with_the_command_that_builds_them(data: Benchmark) -> None:
    with pytest.raises(DataError, match="toy has no word vectors of its attributes") as caught:
        new_network(settings("words"), data)
    assert caught.value.todo.startswith("svipctl w2v build toy")
    new_network(settings("free"), data)


def test_word_vectors_of_a_built_in_data_set_are_trained_once(data: Benchmark) -> None:
    built_in = replace(
        data,
        attributes=tuple(f"has_size::{name}" for name in ("small", "large", "wide", "short", "long")),
    )
    first = load_word_vectors(built_in, built_in=True)
    assert first.shape == (5, 32)
    kept = built_in.word_vectors_file.read_bytes()
    assert torch.equal(load_word_vectors(built_in, built_in=False), first)
    assert built_in.word_vectors_file.read_bytes() == kept
