"""Build the network: the only module that constructs an `SVIP`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import BUILT_IN
from svipctl.errors import DataError, shortened
from svipctl.inference.checkpoint import Metadata, sha256_of
from svipctl.model.backbone import create_backbone, image_size_of
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from svipctl.model.weights import misfits
from svipctl.quoting import shell_command
from svipctl.semantics.matrix import WordMatrix
from svipctl.semantics.toy_corpus import train_toy_vectors
from svipctl.settings.schema import Settings

WORD_VECTORS = ("context.word_vectors", "attribute_head.words")
"""Names in a state dict of the word vectors, which belong to the data set rather than to the training."""


@dataclass(frozen=True)
class Architecture:
    """Everything that determines the layers and shapes of a network."""

    backbone: str
    backbone_args: Mapping[str, Any]
    attributes: int
    """Number of attributes, K."""
    recipe: Recipe
    window: int
    classifier_hidden: int

    @classmethod
    def of_settings(cls, settings: Settings, attributes: int) -> Self:
        """Return the architecture of a configuration, with K attributes."""
        model = settings.model
        return cls(
            model.backbone, model.backbone_args, attributes, settings.method, model.window, model.classifier_hidden
        )

    @classmethod
    def of_description(cls, description: Mapping[str, Any]) -> Self:
        """Return the architecture that the metadata of a checkpoint or of an exported file describe.

        Raises:
            KeyError, TypeError, ValueError: A field is missing or has a wrong value.

        """
        return cls(
            description["backbone"],
            description["backbone_args"],
            len(description["attributes"]),
            Recipe(**description["method"]),
            description["window"],
            description["classifier_hidden"],
        )

    def build(self, word_vectors: Tensor | None = None, backbone: VisionTransformer | None = None) -> SVIP:
        """Construct the network with new weights.

        Args:
            word_vectors: (K, words), needed if the recipe needs them.
            backbone: Backbone with its weights; a new one if None.

        Raises:
            ConfigError: timm has no such backbone, or backbone, window and recipe do not fit together.

        """
        return SVIP(
            create_backbone(self.backbone, self.backbone_args) if backbone is None else backbone,
            self.attributes,
            self.recipe,
            word_vectors=word_vectors,
            window=self.window,
            hidden=self.classifier_hidden,
        )


def network_from_state(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> SVIP:
    """Rebuild a saved network from its description and all its tensors.

    Nothing is allocated before the description has been checked against the tensors.

    Raises:
        ConfigError, RuntimeError, KeyError, TypeError, ValueError: Description and tensors do not fit together.

    """
    words = next((state[name] for name in WORD_VECTORS if name in state), None)
    architecture = Architecture.of_description(description)
    with torch.device("meta"):
        planned = architecture.build(words)
    if problems := misfits(state, planned.state_dict()):
        raise ValueError(shortened(problems, 5, "; "))
    if image_size_of(planned.backbone) != description["image_size"]:
        raise ValueError(f"image_size: {description['image_size']}, and the backbone takes another")
    network = architecture.build(words)
    network.load_state_dict(dict(state))
    return network


def new_network(settings: Settings, benchmark: Benchmark, backbone: VisionTransformer | None = None) -> SVIP:
    """Construct the network of a configuration for the attributes of a data set.

    Args:
        settings: Backbone, window and recipe.
        benchmark: Data set; if the recipe needs word vectors and it is built in, they are trained if needed.
        backbone: Backbone with its weights; a new one if None.

    Raises:
        ConfigError: Backbone, window and recipe do not fit together.
        DataError: The recipe needs word vectors, and the data set has none.

    """
    words = None
    if settings.method.needs_words:
        words = load_word_vectors(benchmark, built_in=settings.dataset in BUILT_IN)
    return Architecture.of_settings(settings, len(benchmark.attributes)).build(words, backbone)


def load_word_vectors(benchmark: Benchmark, *, built_in: bool) -> Tensor:
    """Return the attributes' word vectors (K, words); a built-in data set's are trained first if they do not exist
    yet.
    """
    path = check_word_vectors(benchmark, built_in=built_in)
    if path.exists():
        matrix = WordMatrix.load(path, benchmark.attributes)
    else:
        matrix = train_toy_vectors(benchmark.attributes)
        matrix.save(path)
    return torch.from_numpy(matrix.vectors).float()


def check_word_vectors(benchmark: Benchmark, *, built_in: bool) -> Path:
    """Return the file of the word vectors; raise DataError if it is missing and the data set is not built in."""
    path = benchmark.word_vectors_file
    if path is None or not (built_in or path.exists()):
        raise DataError(
            f"{benchmark.name} has no word vectors of its attributes",
            why=f"the contextualization (method.context = words) needs {path}",
            todo=f"{shell_command('w2v', 'build', benchmark.name, '--vectors', 'FILE')}, or train without word "
            "vectors: --set method.context=free",
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
                why=f"{len(trained)} in the run, {len(found)} now"
                if len(trained) != len(found)
                else "their names or order differ",
                todo="restore the data set, or train again",
            )
    if metadata.class_attributes_sha256 not in ("", sha256_of(benchmark.class_attributes)):
        raise DataError(
            f"the class attributes of {benchmark.name} have changed since the run was trained",
            todo="restore attributes.csv, or train again",
        )
