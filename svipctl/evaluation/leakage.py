"""Check for leaks that make a score meaningless: training on the evaluated images, or choosing gamma or weights on
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from svipctl.datasets.benchmark import Benchmark, Split
from svipctl.errors import DataError
from svipctl.inference.checkpoint import Metadata
from svipctl.inference.network import check_same_benchmark
from svipctl.inference.trained_model import TrainedModel
from svipctl.runs.documents import DevelopmentDocument
from svipctl.runs.run import Run
from svipctl.text_files import same_spelling

UNKNOWN = "unknown"
"""Value of `images` in a checkpoint's `backbone_weights` if the training images of the weights are not known."""


@dataclass(frozen=True)
class Scorable:
    """The split that a model may be scored on: no leak was found."""

    split: Split
    development: DevelopmentDocument | None
    """Findings of the development runs of a final run, `gamma` among them."""
    warnings: tuple[str, ...]

    @property
    def gamma(self) -> float | None:
        """Gamma that was chosen on validation images."""
        return None if self.development is None else self.development.gamma


def check_scorable(model: TrainedModel, benchmark: Benchmark) -> Scorable:
    """Check a model before it is scored on a data set.

    The split is the proposed one for a final run, and the validation images of its fold for a development run, so that
    nothing is ever chosen on test.

    Raises:
        DataError: The model was trained on some of the scored images or on a class that is unseen now, its gamma was
            chosen on some of them, or it was trained on another data set.

    """
    run, metadata = model.run, model.metadata
    check_same_benchmark(metadata, benchmark)
    split = benchmark.split(run.settings().train.fold if run else None)
    check_zero_shot(metadata, benchmark.names_of(split.unseen_classes))
    if run is None:
        file = (model.checkpoint or {}).get("file", "the model")
        unknown = (
            f"the training images of {file} are not known, so it is not checked whether the scored images "
            "are among them"
        )
        return Scorable(split, None, (*model.notes, unknown, *warnings_of_start(metadata.backbone_weights)))
    development = check_run(run, benchmark, split, of_best=model.is_best)
    unfinished = []
    if model.checkpoint is None and not run.finished:
        epochs = run.settings().train.epochs
        unfinished = [f"{run.name} is unfinished: this is its state after epoch {metadata.epoch} of {epochs}"]
    warnings = [
        *unfinished,
        *model.notes,
        *warnings_of_choice(run, metadata),
        *warnings_of_start(metadata.backbone_weights),
    ]
    return Scorable(split, development, tuple(warnings))


def check_zero_shot(metadata: Metadata, unseen_classes: Sequence[str]) -> None:
    """Raise DataError if the model was trained on a class that is scored as unseen."""
    shared = _in_both(metadata.seen_classes, unseen_classes)
    if shared:
        raise DataError(
            f"the run was trained on {len(shared)} of the {len(unseen_classes)} classes that are unseen now",
            why=", ".join(shared[:5]),
            todo="restore the split, or train again",
        )


def check_run(run: Run, benchmark: Benchmark, split: Split, *, of_best: bool) -> DevelopmentDocument | None:
    """Run every check of a run before it is scored on a split.

    Args:
        run: Run of the checkpoint.
        benchmark: Its data set.
        split: Split whose images are scored.
        of_best: True for the run's best checkpoint, the only one to which its gamma belongs.

    Returns:
        The values that a final run takes from its development runs; None for any other run.

    Raises:
        DataError: The run or its starting weights were trained on some of these images, or gamma was chosen on them.

    """
    images = benchmark.files(split.scored)
    check_untouched(run, images)
    check_start(run, benchmark, split)
    development = run.development() if of_best and run.settings().train.fold is None else None
    if development is not None:
        check_gamma(run, images)
    return development


def check_untouched(run: Run, scored_images: list[str]) -> None:
    """Raise DataError if the run was trained on any of these images."""
    shared = _in_both(run.training_images() | run.initial_images(), scored_images)
    if shared:
        raise DataError(
            f"{run.name} was trained on {len(shared)} of the {len(scored_images)} images it would be scored on",
            why=f"for instance {shared[0]}; its accuracy on them would mean nothing",
            todo="train again on this split",
        )


def check_start(run: Run, benchmark: Benchmark, split: Split) -> None:
    """Raise DataError if the starting weights of the run were trained on images of its unseen classes."""
    begun_with = set(_in_both(run.initial_images(), benchmark.images))
    labels = {int(label) for name, label in zip(benchmark.images, benchmark.labels) if name in begun_with}
    shared = sorted(benchmark.names_of(labels.intersection(split.unseen_classes.tolist())))
    if shared:
        raise DataError(
            f"{run.name} started from weights trained on {len(shared)} of the {len(split.unseen_classes)} unseen "
            "classes",
            why=", ".join(shared[:5]),
            todo="train again from other weights",
        )


def warnings_of_choice(run: Run, metadata: Metadata) -> list[str]:
    """Return a warning if the scored epoch was chosen on the scored images."""
    if run.settings().train.select != "test" or metadata.metrics.get("monitor") != "test":
        return []
    return [
        f"epoch {metadata.epoch} was chosen on the test images (train.select = test), as the published code does: "
        "no row of it is an honest result"
    ]


def warnings_of_start(weights: Mapping[str, str]) -> list[str]:
    """Return a warning if the training images of the starting weights are not known."""
    if weights.get("images") != UNKNOWN:
        return []
    return [f"the training images of its starting weights ({weights.get('source', 'unknown')}) are not known"]


def check_gamma(run: Run, scored_images: list[str]) -> None:
    """Raise DataError if the run's gamma was chosen on any of these images, whatever the names of its development
    runs.
    """
    shared = _in_both(run.validation_images(), scored_images)
    if shared:
        raise DataError(
            f"the gamma of {run.name} was chosen on {len(shared)} of the {len(scored_images)} images it would be scored on",
            why=f"for instance {shared[0]}; gamma would be chosen on scored images, as in gzsl-oracle",
            todo="train development runs and the final run again on this split",
        )


def _in_both(noted: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the recorded names that are among `names`, sorted; they are compared in NFC, as a folder may be from
    macOS.
    """
    spelled = {same_spelling(name) for name in noted}
    return sorted(name for name in names if same_spelling(name) in spelled)
