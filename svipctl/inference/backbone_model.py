"""Load a pretrained backbone as a model, to compute features without training."""

from __future__ import annotations

import torch

from svipctl.datasets.images import NORMALISATIONS, Normalisation
from svipctl.device import choose_dtype, use_device
from svipctl.errors import ConfigError
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.network import Architecture
from svipctl.inference.trained_model import TrainedModel
from svipctl.model.backbone import image_size_of
from svipctl.model.recipe import Recipe
from svipctl.model.weights import load_backbone
from svipctl.settings.schema import Settings
from svipctl.version import __version__

_RECIPE = Recipe(passes="source", context="none")


def backbone_model(settings: Settings) -> TrainedModel:
    """Load a backbone with its weights; the heads around it are new placeholders with one attribute.

    Args:
        settings: Backbone, weights, normalisation, resizing, device and arithmetic; the seed of random weights.

    Raises:
        ConfigError: The GPU or the backbone does not exist, or `model.init_from` names a trained network.
        DataError, NetworkError: The weights are missing, damaged or do not fit.

    """
    model = settings.model
    if model.init_from:
        raise ConfigError(
            "these features are of pretrained weights, not of a trained network",
            why=f"model.init_from is {model.init_from}, which may know images that a fold validates on",
            todo="omit it; --weights FILE selects weights of a backbone",
        )
    device = use_device(settings.gpu)
    torch.manual_seed(settings.seed)
    notes = list[str]()
    backbone, weights = load_backbone(model.backbone, model.backbone_args, model.weights, notes.append)
    normalise = normalisation_of_backbone(settings, backbone.pretrained_cfg)
    architecture = Architecture(model.backbone, model.backbone_args, 1, _RECIPE, window=1, classifier_hidden=1)
    metadata = Metadata(
        version=__version__,
        dataset="",
        recipe="",
        epoch=0,
        backbone=model.backbone,
        backbone_args=model.backbone_args,
        backbone_weights=weights,
        window=1,
        classifier_hidden=1,
        method=_RECIPE.model_dump(mode="json"),
        attributes=(),
        classes=(),
        seen_classes=(),
        mean=normalise.mean,
        std=normalise.std,
        image_size=image_size_of(backbone),
        resize=settings.data.evaluation_resize,
    )
    return TrainedModel(
        architecture.build(backbone=backbone).to(device).eval(),
        metadata,
        device,
        choose_dtype(settings.precision, device),
        notes=tuple(notes),
        is_backbone_alone=True,
    )


def normalisation_of_backbone(settings: Settings, config: object) -> Normalisation:
    """Return the normalisation that the settings name, or the one that timm records for the backbone's weights."""
    if named := NORMALISATIONS.get(settings.data.normalise):
        return named
    mean, std = (config[key] if isinstance(config, dict) else getattr(config, key) for key in ("mean", "std"))
    return Normalisation(tuple(mean), tuple(std))
