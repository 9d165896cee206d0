"""What figures are made of: a run with its data set and its model, and which of the images are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from svipctl.datasets.benchmark import Benchmark, Indices, Split
from svipctl.datasets.images import Normalisation, Transform
from svipctl.device import choose_dtype, use_device
from svipctl.errors import ConfigError, DataError, nearest
from svipctl.inference.network import check_same_benchmark
from svipctl.inference.checkpoint import Metadata, load_checkpoint
from svipctl.model.svip import SVIP
from svipctl.inference.answers import Answering
from svipctl.inference.class_table import Candidates
from svipctl.inference.gamma import calibrated_gamma
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings

Part = Literal["test", "seen", "unseen", "train"]


@dataclass(frozen=True)
class Subject:
    """A run's best checkpoint, ready to look at images."""

    run: Run
    benchmark: Benchmark
    split: Split
    """Of the run: the proposed one, or its fold, of which `test` are then the validation images."""
    model: SVIP
    metadata: Metadata
    transform: Transform
    normalise: Normalisation
    answering: Answering
    device: torch.device
    dtype: torch.dtype


def open_subject(run: Run, benchmark: Benchmark, settings: Settings, *, top: int = 3, reasons: int = 4) -> Subject:
    """Load what figures of images need.

    Args:
        run: A run of that benchmark.
        benchmark: With the same classes and attributes as in training.
        settings: Device and precision.
        top: Classes named for an image.
        reasons: Attributes named for a class.

    Raises:
        ConfigError: The run is a baseline.
        DataError: The checkpoint is missing or damaged, or the run is one of another data set.

    """
    run.require_network()
    device = use_device(settings.gpu)
    model, metadata = load_checkpoint(run.best, device=device)
    check_same_benchmark(metadata, benchmark)
    split = benchmark.split(run.settings().train.fold)
    names = [benchmark.classes[label] for label in split.classes]
    seen = np.array([name in metadata.seen_classes for name in names], dtype=bool)
    candidates = Candidates(tuple(names), benchmark.class_attributes[split.classes], seen)
    gamma = calibrated_gamma(run, metadata).value
    return Subject(
        run,
        benchmark,
        split,
        model,
        metadata,
        Transform(metadata.image_size),
        Normalisation(metadata.mean, metadata.std),
        Answering(benchmark.attributes, candidates, gamma, model.recipe, top, reasons),
        device,
        choose_dtype(settings.precision, device),
    )


def images_of(benchmark: Benchmark, split: Split, part: Part, classes: Sequence[str] = ()) -> Indices:
    """Images of a part of the split, only those of the named classes if any are named.

    Args:
        benchmark: Of the run.
        split: Of the run.
        part: `test` are the seen and then the unseen images.
        classes: Names.

    Raises:
        ConfigError: There is no class of that name.
        DataError: No image is left.

    """
    indices = {
        "test": np.concatenate([split.seen, split.unseen]),
        "seen": split.seen,
        "unseen": split.unseen,
        "train": split.train,
    }[part]
    if classes:
        wanted = [_class_number(benchmark, name) for name in classes]
        indices = indices[np.isin(benchmark.labels[indices], wanted)]
    if not len(indices):
        raise DataError(
            f"there is no {part} image of {' or '.join(classes) if classes else benchmark.name}",
            why="an unseen class has no training images and a seen one no unseen test images" if classes else "",
            todo="choose another --split or --class",
        )
    return indices


def spread(indices: Indices, count: int) -> Indices:
    """So many of the images, evenly spread over their order; all of them if there are no more."""
    if len(indices) <= count:
        return indices
    chosen: Indices = indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]
    return chosen


def attribute_numbers(benchmark: Benchmark, names: Sequence[str]) -> tuple[int, ...]:
    """Columns of the named attributes.

    Raises:
        ConfigError: There is none of that name.

    """
    for name in names:
        if name not in benchmark.attributes:
            raise ConfigError(
                f"{benchmark.name} has no attribute {name!r}", why=nearest(name, benchmark.attributes), todo=_QUOTE
            )
    return tuple(benchmark.attributes.index(name) for name in names)


def selection_of_eval(run: Run, epoch: int) -> dict[str, float]:
    """What `svipctl eval` said of the patch classifier against masks or boxes, `auc` and `images`; empty if it did not.

    Args:
        run: Whose `eval/metrics.json` is read.
        epoch: Of the checkpoint: what was said of another one does not count.

    """
    try:
        document = json.loads((run.folder / "eval" / "metrics.json").read_text(encoding="utf-8"))
        if document["epoch"] != epoch:
            return {}
        selection = document["selection"]
        truth = selection["mask"] if "mask" in selection else selection["box"]
        return {"auc": float(truth["auc"]), "images": sum(document["images"].values())}
    except (FileNotFoundError, KeyError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{run.folder / 'eval' / 'metrics.json'} is damaged", why=str(error), todo="run `svipctl eval` again"
        ) from error


_QUOTE = "names with blanks need quotes; completion lists them"


def _class_number(benchmark: Benchmark, name: str) -> int:
    if name not in benchmark.classes:
        raise ConfigError(f"{benchmark.name} has no class {name!r}", why=nearest(name, benchmark.classes), todo=_QUOTE)
    return benchmark.classes.index(name)
