"""Fit the bilinear compatibility of features and class attributes by stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import one_hot

from svipctl.model.ridge import Floats, Integers, spectrum
from svipctl.model.scores import class_scores

BATCH_SIZE = 128
MOMENTUM = 0.9


def bilinear(
    features: Floats, rows: Integers, class_attributes: Floats, settings: Sequence[tuple[float, int]], seed: int = 0
) -> list[Floats]:
    """Train bilinear maps W from zero, for each pair of learning rate and epochs.

    The score of a class with attributes s is x W s, as in DeViSE (NeurIPS 2013), ALE (Akata et al., TPAMI
    2016) and SJE (Akata et al., CVPR 2015). The loss is not one of their ranking losses, but the softmax cross-entropy
    over the seen classes, with unnormalized scores. Minibatches of 128 with momentum 0.9, a constant learning rate, no
    weight decay: the number of epochs regularizes.

    All learning rates are trained side by side on the same batches. Each step of W is a sum of x s', so W never leaves
    the span of the seen classes' attributes: it is trained in a basis of this span, which gives the same steps.

    Args:
        features: (N, d). They are divided by the root mean square of their rows' lengths, so that one grid of learning
            rates suits them all; so are class attributes.
        rows: (N,) class of each image, a row of `class_attributes`.
        class_attributes: (C, K), attributes of the seen classes.
        settings: Pairs of a learning rate and a number of epochs, at least 1.
        seed: Seed of the order of the images.

    Returns:
        W (d, K) for each pair; predicted attributes are X W.

    """
    basis = spectrum(class_attributes).vectors
    feature_length, attribute_length = mean_length(features), mean_length(class_attributes)
    inputs = torch.from_numpy(features / feature_length).float()
    classes = torch.from_numpy(class_attributes @ basis / attribute_length).float()
    answers = one_hot(torch.from_numpy(rows), len(classes)).float()
    rates = list(dict.fromkeys(rate for rate, _ in settings))
    step = torch.tensor(rates).view(-1, 1, 1)
    mappings = torch.zeros(len(rates), inputs.shape[1], classes.shape[1])
    velocity = torch.zeros_like(mappings)
    order = torch.Generator().manual_seed(seed)
    found = {}
    for epoch in range(1, max(epochs for _, epochs in settings) + 1):
        shuffled = torch.randperm(len(inputs), generator=order)
        for start in range(0, len(inputs), BATCH_SIZE):
            batch = shuffled[start : start + BATCH_SIZE]
            images = inputs[batch]
            errors = class_scores(images @ mappings, classes, "dot").softmax(dim=-1) - answers[batch]
            gradient = images.T @ (errors @ classes) / len(batch)
            velocity = MOMENTUM * velocity + gradient
            mappings -= step * velocity
        for rate, mapping in zip(rates, mappings):
            if (rate, epoch) in settings:
                found[rate, epoch] = mapping.double().numpy() @ basis.T / (feature_length * attribute_length)
    return [found[setting] for setting in settings]


def mean_length(table: Floats) -> float:
    """Return the root mean square of the rows' lengths, 1 for a table of zeros."""
    return float(np.sqrt((table**2).sum(axis=1).mean())) or 1.0
