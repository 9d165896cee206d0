"""Read a reference trace, and build the network it was made with from the rule for its tensors."""

from __future__ import annotations

import json
import os
import tomllib
import zlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from svipctl.datasets.groups import attribute_groups
from svipctl.inference.weights_file import published_name
from svipctl.model.backbone import create_backbone
from svipctl.model.losses import Terms, TrainingOutput, group_columns, training_loss
from svipctl.model.recipe import Recipe
from svipctl.model.scores import normalise_class_attributes
from svipctl.model.svip import SVIP

FOLDER = Path(os.environ.get("SVIP_REFERENCE_TRACES", Path(__file__).parents[1] / "data" / "reference"))
SCORE_SOURCES = {"attn_rollout": "rollout", "attn": "attention", "cos": "cosine"}


def values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Return an artificial tensor by the rule of the traces' README."""
    draw = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())])).standard_normal(shape)
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
        return 1 + 0.1 * draw
    factors = {
        "qkv.weight": 0.08,
        "pos_embed": 0.3,
        "cls_token": 0.3,
        "patch_embed.proj.weight": 0.05,
        "bias": 0.02,
    }
    return draw * next((factor for suffix, factor in factors.items() if name.endswith(suffix)), 0.04)


@dataclass(frozen=True)
class ModelTrace:
    """A `model/<case>-<seed>` pair of files."""

    stem: Path

    @cached_property
    def figures(self) -> dict[str, Any]:
        return json.loads(self.stem.with_suffix(".json").read_text())

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.stem.with_suffix(".npz")) as archive:
            return dict(archive)

    @property
    def config(self) -> dict[str, Any]:
        return self.figures["config"]

    def artificial_tensor(self, name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(values(name, shape, self.figures["seed"]))

    def recipe(self, **changed: Any) -> Recipe:
        preset = files("svipctl.settings").joinpath("presets", "recipes", "reference.toml").read_text()
        switches = tomllib.loads(preset)["method"] | {
            "keep": self.config["keep"],
            "patch_weight": self.config["patch_cls"],
            "decorrelation_weight": self.config["att_dec"],
            "score_source": SCORE_SOURCES[self.config["sim"]],
        }
        return Recipe(**(switches | changed))

    def backbone(self) -> VisionTransformer:
        return create_backbone("vit_base_patch16_224", {"depth": self.figures["depth"]})

    def model(self, recipe: Recipe) -> SVIP:
        """Return the network with the trace's starting weights, in float64."""
        words = self.artificial_tensor("w2v", self.config["attributes"], 300)
        model = SVIP(self.backbone(), self.config["attributes"], recipe, word_vectors=words).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(self.artificial_tensor(published_name(name), *parameter.shape))
        return model

    def class_attributes(self, recipe: Recipe) -> torch.Tensor:
        table = self.artificial_tensor("class_attributes", self.config["classes"], self.config["attributes"]).abs()
        return normalise_class_attributes(table, recipe.class_norm_epsilon)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        size = self.figures["batch"]
        images = self.artificial_tensor(f"images.{step}", size, 3, 224, 224) / 0.04
        generator = np.random.Generator(np.random.PCG64([self.figures["seed"], 777, step]))
        return images, torch.from_numpy(generator.integers(0, self.config["classes"], size))

    def step(self, model: SVIP, step: int, *, frozen_backbone: bool = False) -> tuple[Terms, TrainingOutput]:
        """Return both passes and the loss on the trace's batch of that step."""
        images, labels = self.batch(step)
        output = model.training_pass(images, frozen_backbone=frozen_backbone)
        groups = group_columns(attribute_groups(self.config["dataset"].lower()))
        return training_loss(output, labels, self.class_attributes(model.recipe), groups, model.recipe), output


def model_traces() -> list[ModelTrace]:
    return [ModelTrace(path.with_suffix("")) for path in sorted((FOLDER / "model").glob("*.json"))]


def published_terms(terms: Terms) -> dict[str, float]:
    """Return our terms under the traces' names and units."""
    return {
        "loss": terms.loss.item(),
        "ce": terms.cross_entropy.item(),
        "bce": terms.patch.item(),
        "att": terms.decorrelation.item(),
        "kl": terms.consistency.item(),
        "mse": 0.0,
        "acc": 100 * terms.contextualized_accuracy.item(),
        "patch_acc": 100 * terms.patch_accuracy.item(),
    }
