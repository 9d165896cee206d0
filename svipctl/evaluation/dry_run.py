"""Plan an evaluation for `eval --dry-run`: its actions and needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.registry import open_benchmark, pictures_to_draw
from svipctl.device import check_devices, choose_dtype, precision_name
from svipctl.evaluation.leakage import check_scorable
from svipctl.inference.checkpoint import read_metadata
from svipctl.inference.load import load_for_evaluation
from svipctl.inference.stem_features import with_features
from svipctl.inference.weights_file import read_trained
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings

_MIB = 2**20


def plan_evaluation(
    subject: Run | Path, settings: Settings, *, allow_partial: bool = False, file: FeatureFile | None = None
) -> dict[str, Any]:
    """Return the plan of an evaluation of a run or a checkpoint, without drawing, predicting or writing.

    While images of a built-in data set are not drawn yet, split, images and warnings are not known. Its word vectors
    are built if a checkpoint needs them and they are missing. `memory_mib` is the size of the weights, without
    activations.

    Raises:
        ConfigError, DataError: As the evaluation itself.

    """
    device = check_devices(settings.gpu)
    run = subject if isinstance(subject, Run) else None
    plan: dict[str, Any] = {
        "dataset": settings.dataset,
        "pictures_to_draw": pictures_to_draw(settings.dataset, settings.data_dir),
        "run": str(run.folder) if run else None,
        "checkpoint": None if run else str(subject),
        "device": str(device),
        "precision": precision_name(choose_dtype(settings.precision, device)),
        "batch_size": settings.eval.batch_size,
        "writes": str(run.folder / "eval" / "metrics.json") if run else None,
    }
    if plan["pictures_to_draw"]:
        if isinstance(subject, Run):
            subject.require_network()
            read_metadata(subject.best)
        else:
            read_trained(subject)
        return plan | {"split": None, "images": None, "memory_mib": None, "warnings": []}
    listed = None if file is None else file.images
    benchmark = open_benchmark(settings.dataset, settings.data_dir, allow_partial=allow_partial, listed=listed)
    model = load_for_evaluation(subject, benchmark, settings, torch.device("cpu"))
    found = check_scorable(with_features(model, benchmark, file), benchmark)
    return plan | {
        "split": found.split.name,
        "images": {"seen": len(found.split.seen), "unseen": len(found.split.unseen)},
        "memory_mib": round(4 * sum(parameter.numel() for parameter in found.model.network.parameters()) / _MIB),
        "warnings": [*benchmark.warnings, *found.warnings],
    }
