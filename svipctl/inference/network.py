"""Build and describe the network: the only module that constructs an `SVIP`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.datasets.images import Normalisation
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
from svipctl.settings.schema import ModelSettings, Settings
from svipctl.version import __version__

WORD_VECTORS = ("context.word_vectors", "attribute_head.words")
"""Names in a state dict of the word vectors, which belong to the data set rather than to the training."""

_SCALES = (1.0, 100.0)  # shares and percentages, the two ways attribute values are published


def build_network(
    model: ModelSettings,
    recipe: Recipe,
    attributes: int,
    word_vectors: Tensor | None = None,
    backbone: VisionTransformer | None = None,
) -> SVIP:
    """Construct a network with new weights.

    Args:
        model: Backbone, window, and width of the patch classifier.
        recipe: Switches of the method.
        attributes: Number of attributes, K.
        word_vectors: (K, words), needed if the recipe needs them.
        backbone: Backbone with its weights; a new one if None.

    Raises:
        ConfigError: timm has no such backbone, or backbone, window and recipe do not fit together.

    """
    return SVIP(
        create_backbone(model.backbone, model.backbone_args) if backbone is None else backbone,
        attributes,
        recipe,
        word_vectors=word_vectors,
        window=model.window,
        hidden=model.classifier_hidden,
    )


def network_from_state(description: Mapping[str, Any], state: Mapping[str, Tensor]) -> SVIP:
    """Rebuild a saved network from its description (the metadata of a checkpoint or of an exported file) and all its
    tensors.

    Nothing is allocated before the description has been checked against the tensors.

    Raises:
        ConfigError, RuntimeError, KeyError, TypeError, ValueError: Description and tensors do not fit together.

    """
    words = next((state[name] for name in WORD_VECTORS if name in state), None)
    names = ("backbone", "backbone_args", "window", "classifier_hidden")
    model = ModelSettings(**{name: description[name] for name in names})
    build = partial(build_network, model, Recipe(**description["method"]), len(description["attributes"]), words)
    with torch.device("meta"):
        planned = build()
    if problems := misfits(state, planned.state_dict()):
        raise ValueError(shortened(problems, 5, "; "))
    if image_size_of(planned.backbone) != description["image_size"]:
        raise ValueError(f"image_size: {description['image_size']}, but the backbone takes another")
    network = build()
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
    return build_network(settings.model, settings.method, len(benchmark.attributes), words, backbone)


def describe_model(
    network: SVIP,
    settings: Settings,
    weights: dict[str, str],
    normalise: Normalisation,
    benchmark: Benchmark | None = None,
    split: Split | None = None,
) -> Metadata:
    """Return the metadata of a network before its first epoch.

    Args:
        network: Network of the settings.
        settings: Recipe, backbone and window.
        weights: Source and SHA-256 of the backbone's weights.
        normalise: Normalization of pixels.
        benchmark: Data set with classes and attributes; None for a backbone alone.
        split: Split whose seen classes the network is trained on.

    """
    data: dict[str, Any] = {"recipe": "", "dataset": "", "attributes": (), "classes": (), "seen_classes": ()}
    if benchmark is not None:
        assert split is not None, "without seen classes, every class would count as unseen"
        data = {
            "recipe": settings.recipe,
            "dataset": benchmark.name,
            "attributes": benchmark.attributes,
            "classes": benchmark.classes,
            "seen_classes": benchmark.names_of(split.seen_classes),
            "class_attributes_sha256": sha256_of(benchmark.class_attributes),
            "value_range": value_range(benchmark.class_attributes),
        }
    words = next((value for name, value in network.named_buffers() if name in WORD_VECTORS), None)
    return Metadata(
        version=__version__,
        word_vectors_sha256="" if words is None else sha256_of(words.cpu().numpy()),
        epoch=0,
        backbone=settings.model.backbone,
        backbone_args=settings.model.backbone_args,
        backbone_weights=weights,
        window=settings.model.window,
        classifier_hidden=settings.model.classifier_hidden,
        method=network.recipe.model_dump(mode="json"),
        mean=list(normalise.mean),
        std=list(normalise.std),
        image_size=image_size_of(network.backbone),
        resize=settings.data.evaluation_resize,
        precision=settings.precision,
        **data,
    )


def value_range(class_attributes: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest allowed value for a data set's table: 0 to 1 or 0 to 100, wider if the table is."""
    low, high = float(class_attributes.min()), float(class_attributes.max())
    return min(low, 0.0), next((scale for scale in _SCALES if high <= scale), high)


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
    if not (built_in or path.exists()):
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
