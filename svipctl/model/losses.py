"""Compute the loss of one training step (method section 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from svipctl.device import full_precision
from svipctl.model.patch_classifier import ranking_quality
from svipctl.model.recipe import Recipe
from svipctl.model.scores import class_scores


@dataclass(frozen=True)
class TrainingOutput:
    """Output of both passes over a batch of B images."""

    source_attributes: Tensor
    """(B, K), attribute head on the source pass."""
    contextualized_attributes: Tensor
    """(B, K), attribute head on the contextualized pass."""
    patch_logits: Tensor
    """(B, windows), logits of "unrelated" from the patch classifier."""
    patch_targets: Tensor
    """(B, windows), 1 where the window is unrelated by the source pass's scores; no gradient."""


@dataclass(frozen=True)
class Terms:
    """The loss and its terms, each a scalar tensor that is weighted unless noted."""

    loss: Tensor
    """Total loss, which is minimized."""
    cross_entropy: Tensor
    """Cross-entropy of both passes, each with its weight."""
    patch: Tensor
    """Binary cross-entropy of the patch classifier, without its weight."""
    consistency: Tensor
    """Consistency term, without its weight."""
    decorrelation: Tensor
    """Decorrelation term, with its weight applied once."""
    source_accuracy: Tensor
    """Share of images that the source pass classifies correctly, among the seen classes."""
    patch_accuracy: Tensor
    """Share of windows that the patch classifier labels like its targets (M / windows is the base rate)."""
    patch_auc: Tensor
    """AUC of the patch classifier against its targets, within images; chance is 0.5."""
    patch_recall: Tensor
    """Recall of the patch classifier: share of unrelated windows among as many with the highest logits."""
    contextualized_accuracy: Tensor
    """Share of images that the contextualized pass classifies correctly; with one pass, that of the source pass."""

    def stacked(self) -> Tensor:
        """Return all terms as one detached vector, in field order, so that one transfer moves them to the host."""
        return torch.stack([getattr(self, field.name).detach().float() for field in fields(self)])


def training_loss(
    output: TrainingOutput,
    labels: Tensor,
    class_attributes: Tensor,
    groups: Tensor,
    recipe: Recipe,
) -> Terms:
    """Return the total loss of a step, in full precision whatever the arithmetic of the passes.

    Args:
        output: Output of both passes.
        labels: (B,) rows of `class_attributes`.
        class_attributes: (C, K) attributes of the seen classes, normalized.
        groups: Attribute columns of each group, from `group_columns`, for the decorrelation term.
        recipe: The switches and weights.

    """
    source = class_scores(output.source_attributes, class_attributes, recipe.class_score)
    contextualized = class_scores(output.contextualized_attributes, class_attributes, recipe.class_score)
    patch_logits, patch_targets = full_precision(output.patch_logits), full_precision(output.patch_targets)

    cross_entropy = recipe.source_weight * F.cross_entropy(recipe.scale * source, labels)
    if recipe.passes == "both":
        second = F.cross_entropy(recipe.scale * contextualized, labels)
        cross_entropy = cross_entropy + recipe.contextualized_weight * second
    consistency = consistency_term(source, contextualized, recipe)
    decorrelation = consistency.new_zeros(())
    if recipe.decorrelation_weight:
        norm = group_norm(full_precision(output.contextualized_attributes), groups)
        decorrelation = recipe.decorrelation_weight * norm

    loss, patch = cross_entropy, consistency.new_zeros(())
    if recipe.passes == "both":
        patch = F.binary_cross_entropy_with_logits(patch_logits, patch_targets)
        loss = loss + recipe.patch_weight * patch + recipe.consistency_weight * consistency
    loss = loss + decorrelation * (recipe.decorrelation_weight if recipe.decorrelation_squared else 1.0)
    auc, recall = ranking_quality(patch_logits, patch_targets > 0.5)
    return Terms(
        loss=loss,
        cross_entropy=cross_entropy,
        patch=patch,
        consistency=consistency,
        decorrelation=decorrelation,
        source_accuracy=(source.argmax(dim=-1) == labels).double().mean(),
        patch_accuracy=((patch_logits > 0) == (patch_targets > 0.5)).double().mean(),
        patch_auc=auc,
        patch_recall=recall,
        contextualized_accuracy=(contextualized.argmax(dim=-1) == labels).double().mean(),
    )


def consistency_term(source: Tensor, contextualized: Tensor, recipe: Recipe) -> Tensor:
    """Return the divergence of the class distributions of both passes at temperature T, times T squared.

    Args:
        source: Class scores (B, C) of the source pass, unscaled.
        contextualized: Class scores (B, C) of the contextualized pass, unscaled.
        recipe: `consistency`, `consistency_temperature` and `consistency_mean` choose the form.

    """
    if recipe.consistency == "none":
        return source.new_zeros(())
    temperature = recipe.consistency_temperature
    log_source = F.log_softmax(source / temperature, dim=-1)
    log_contextualized = F.log_softmax(contextualized / temperature, dim=-1)
    if recipe.consistency == "kl":
        divergence = _kl(log_contextualized, log_source)
    else:
        log_middle = torch.logaddexp(log_source, log_contextualized) - math.log(2.0)
        divergence = (_kl(log_source, log_middle) + _kl(log_contextualized, log_middle)) / 2
    mean = divergence.mean() if recipe.consistency_mean == "batch" else divergence.mean() / source.shape[-1]
    return mean * temperature**2


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q) of each row: (B, C), (B, C) -> (B,)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def group_columns(groups: Sequence[Sequence[int]]) -> Tensor:
    """Return the columns of each attribute group, (G, size of the largest), padded with -1."""
    rows = [torch.tensor(group, dtype=torch.int64) for group in groups]
    return pad_sequence(rows, batch_first=True, padding_value=-1) if rows else torch.zeros(0, 0, dtype=torch.int64)


def group_norm(attributes: Tensor, groups: Tensor) -> Tensor:
    """Return the L2 norm of each group's attributes, averaged over batch and groups.

    Args:
        attributes: (B, K).
        groups: Columns from `group_columns`, on the same device.

    Returns:
        A scalar, 0 without groups.

    """
    if not groups.numel():
        return attributes.new_zeros(())
    with_zero = F.pad(attributes, (0, 1))  # the column for -1
    norms: Tensor = with_zero[:, groups].norm(dim=-1)
    return norms.mean()
