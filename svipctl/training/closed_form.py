"""Fit the closed forms of `method.fusion` and `method.prototype_weight` to the training images."""

from __future__ import annotations

import numpy as np
import torch

from svipctl.inference.dataset_predictions import predict_dataset
from svipctl.settings.schema import Settings
from svipctl.training.setup import Setup
from svipctl.types import ProgressCallback


def fit_closed_form(settings: Settings, setup: Setup, progress: ProgressCallback | None = None) -> None:
    """Fit the network's closed form, if it has one, to the training images and, if training flips, their mirror images.

    Args:
        settings: The configuration.
        setup: Model, data and processes.
        progress: Called with images done and images in total, equally often in all processes.

    Raises:
        CheckFailed: The network's output is not finite.

    """
    closed_form, train = setup.model.network.closed_form, setup.split.train
    if closed_form is None:
        return
    views = []
    for mirrored in [False] if setup.transform.augment == "none" else [False, True]:
        predictions = predict_dataset(
            setup.model,
            setup.benchmark,
            train,
            batch_size=settings.eval.batch_size,
            workers=settings.data.workers,
            ranks=setup.ranks,
            mirrored=mirrored,
            mean_tokens=True,
            progress=progress,
        )
        assert predictions.tokens is not None
        views.append(predictions.tokens)
    rows = np.searchsorted(setup.split.seen_classes, setup.benchmark.labels[train])
    classes = torch.from_numpy(setup.benchmark.class_attributes[setup.split.seen_classes])
    lengths = closed_form.fit(
        torch.from_numpy(np.concatenate(views)),
        torch.from_numpy(np.tile(rows, len(views))),
        setup.model.network.scorer.table(classes),
    )
    if lengths is not None:
        setup.model.network.scorer.lengths.copy_(lengths)
