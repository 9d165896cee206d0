"""Take the epoch count and the gamma of a final run from development runs on folds.

A final run trains on all of trainval and is evaluated on test once (protocols, validation). Nothing here uses test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from svipctl.datasets.benchmark import Benchmark, repeated
from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.calibration import Curve, pooled_gamma
from svipctl.inference.checkpoint import Metadata, read_metadata
from svipctl.inference.load import check_owner
from svipctl.quoting import shell_command
from svipctl.runs.documents import CurveDocument, DevelopmentRun, parse
from svipctl.runs.lookup import find_run, name_of
from svipctl.runs.manifest import is_expected, read_checked
from svipctl.runs.run import Run
from svipctl.settings.keys import WHERE_AND_HOW, flatten
from svipctl.settings.layers import REPLACED, Resolved
from svipctl.settings.schema import Settings
from svipctl.training.resume import changed_images, differences

RULE = "largest H on the validation images, mean over the development runs"
MEDIAN_RULE = "median over the development runs"
"""Rule for runs of svipctl 0.1, which saved no curve."""
FOLDS = (1, 2, 3)
"""The development folds; a data set has all of them or none."""
_FEW_CLASSES = 5
_DISAGREEMENT = 5.0
"""Points of H that the common gamma may cost a fold before a warning is shown."""
VALIDATION_CURVE = "validation_curve.json"
"""The file of a checkpoint with the seen-unseen curve of the monitored split."""
# A fold may end at another epoch and use another seed; the monitoring of epochs does not change the training.
_FREE = frozenset(["dataset", "seed", "precision", "data.allow_partial", "train.epochs"])
_FREE_OF_SPLIT = frozenset(["train.fold", "train.monitor", "train.select"])
_NOT_INHERITED = WHERE_AND_HOW | _FREE_OF_SPLIT | {"dataset", "train.epochs", "precision"}


@dataclass(frozen=True)
class Development:
    """Values that a final run takes from its development runs."""

    runs: tuple[Run, ...]
    found: tuple[DevelopmentRun, ...]
    """Findings of each run on the validation part of its fold."""
    curves: tuple[Curve, ...]
    """Seen-unseen curve of each fold's validation images; none if svipctl 0.1 trained one of the runs."""

    @property
    def epochs(self) -> int:
        """Median over the runs, rounded to whole epochs."""
        return max(1, round(median(found.epochs for found in self.found)))

    @property
    def gamma(self) -> float:
        """The gamma of the largest mean H over the runs' validation images."""
        if self.curves:
            return pooled_gamma(self.curves)
        return float(median(found.gamma for found in self.found))

    @property
    def summary(self) -> str:
        """One line that summarizes the findings."""
        names = ", ".join(found.run for found in self.found)
        epochs = f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"
        gammas = [found.gamma for found in self.found]
        each = f" for all folds together (alone {min(gammas):.4f} to {max(gammas):.4f})" if len(gammas) > 1 else ""
        return f"from development ({names}): {epochs}, gamma {self.gamma:.4f}{each}"

    def warnings(self, benchmark: Benchmark) -> list[str]:
        """Return reasons to doubt gamma: few unseen classes in a fold, or folds with different gammas."""
        fewest = min(len(benchmark.split(found.fold).unseen_classes) for found in self.found)
        found = [f"gamma is chosen on only {fewest} unseen classes per fold"] if fewest < _FEW_CLASSES else []
        lost = [
            one.harmonic - 100 * float(curve.harmonic_at(np.array([self.gamma]))[0])
            for one, curve in zip(self.found, self.curves)
        ]
        if lost and max(lost) > _DISAGREEMENT:
            worst = self.found[int(np.argmax(lost))]
            found.append(
                f"the folds disagree on gamma: with it H of {worst.run} is {max(lost):.1f} points lower than with its "
                f"own gamma, {worst.gamma:.4f}"
            )
        return found

    def document(self) -> dict[str, Any]:
        """Return the content of `development.json` of the final run."""
        return {
            "rule": RULE if self.curves else MEDIAN_RULE,
            "epochs": self.epochs,
            "gamma": self.gamma,
            "runs": [found.model_dump() for found in self.found],
        }


def validation_images(benchmark: Benchmark, folds: Iterable[int]) -> list[str]:
    """Return the validation images of some folds, each once."""
    splits = [benchmark.split(fold) for fold in folds]
    indices = np.unique(np.concatenate([split.scored for split in splits]))
    return benchmark.files(indices)


def calibrated_name(settings: Settings) -> str:
    """Return the name of the final run of `--calibrate`, with which the names of its development runs begin."""
    return settings.name or f"{name_of(settings)}-calibrated"


def calibration_runs(final: str) -> dict[str, dict[str, Any]]:
    """Return name -> settings of the development runs of a final run, one per fold."""
    names = {f"{final}-fold{fold}": fold for fold in FOLDS}
    return {name: {"name": name, "train.fold": fold, "train.monitor": "validation"} for name, fold in names.items()}


def read_development(settings: Settings, names: Sequence[str]) -> Development:
    """Return the findings of finished development runs.

    Args:
        settings: Settings of the requested final run.
        names: Names or folders of the runs.

    Raises:
        ConfigError: A run is not a development run (it chose on test or not at all), is not finished, was
            trained with another configuration, or two share fold and seed.
        DataError: The run does not exist, or has no metrics on its validation split.

    """
    runs = tuple(find_run(settings.runs_dir, settings.dataset, name) for name in names)
    found = tuple(_found_by(run, settings) for run in runs)
    curves = tuple(curve for run in runs if (curve := _validation_curve(run)))
    for fold, seed in repeated((one.fold, one.seed) for one in found):
        raise ConfigError(
            f"two development runs are of the same fold {fold} and seed {seed}",
            why="a fold must not count twice",
            todo="pass each development run once",
        )
    return Development(runs, found, curves if len(curves) == len(runs) else ())


def with_development(configure: Callable[..., Resolved], names: Sequence[str]) -> tuple[Resolved, Development]:
    """Resolve the configuration of a final run: that of its development runs, with the epoch count found there.

    Args:
        configure: Function that resolves the configuration with further values by dotted key, below those of the user.
        names: Names or folders of the development runs.

    Raises:
        ConfigError, DataError: As `read_development` and `check_final`.

    """
    asked = configure().settings
    run = find_run(asked.runs_dir, asked.dataset, names[0])
    settings = run.settings()
    left_out = _NOT_INHERITED | _without_effect(settings)
    of_development = {key: value for key, value in flatten(settings).items() if key not in left_out}
    inherited = {**of_development, "train.select": "last"}  # not a preset's choice of an epoch
    development = read_development(configure(**inherited).settings, names)
    configured = configure(**inherited, **{"train.epochs": development.epochs})
    check_final(configured.settings, development)
    values, origins, theirs = flatten(configured.settings), dict(configured.origins), run.origins()
    for key, value in of_development.items():
        if theirs and values[key] == value:  # an inherited value has the origin that it had in development
            origins.pop(key, None)
            origins |= {key: theirs[key]} if key in theirs else {}
    origins |= dict.fromkeys(("train.epochs", "train.select"), "development runs")
    return replace(configured, origins=origins), development


def check_final(settings: Settings, development: Development) -> None:
    """Raise ConfigError unless these settings are for a final run that chooses nothing itself."""
    if settings.train.epochs != development.epochs:
        raise ConfigError(
            f"train.epochs is {settings.train.epochs}, and development found {development.epochs}",
            todo="omit --set train.epochs",
        )
    if settings.train.fold is not None:
        raise ConfigError(
            "a final run trains on all of trainval, not on a fold",
            todo="omit --fold, or omit both --final and --from-development",
        )
    if settings.train.select != "last":
        raise ConfigError(
            f"a final run requires train.select = 'last', but it is {settings.train.select!r}",
            why="the development runs determine the epoch count",
            todo="omit --set train.select",
        )


def check_resumed(run: Run, development: Development) -> None:
    """Raise ConfigError unless the run to resume was started from the same development runs."""
    before = run.development()
    if before is None or before.document() != development.document():
        raise ConfigError(
            f"{run.name} was started from other development runs, or from none",
            todo="omit --from-development to continue, or train a new run without --resume",
        )


def check_same_inputs(development: Development, benchmark: Benchmark, metadata: Metadata) -> None:
    """Raise DataError unless each development run was trained on its fold as the data set defines it now, and with the
    class attributes, word vectors and starting weights of the final run, whose network `metadata` describes.
    """
    for run, found in zip(development.runs, development.found):
        before = read_metadata(run.best)
        changes = {
            f"fold {found.fold} of {benchmark.name} has": changed_images(run, benchmark, found.fold),
            f"the class attributes of {benchmark.name} have": before.class_attributes_sha256
            not in ("", metadata.class_attributes_sha256),
            "the word vectors have": before.word_vectors_sha256 not in ("", metadata.word_vectors_sha256),
            "the starting weights have": are_other_weights(before.backbone_weights, metadata.backbone_weights),
        }
        for what, is_changed in changes.items():
            if is_changed:
                raise DataError(
                    f"{what} changed since {run.name} was trained",
                    why="its gamma and epoch count belong to what it was trained on; images that gamma was chosen on "
                    "may be test images now",
                    todo="restore what changed, or train the development runs again",
                )


def are_other_weights(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    """Return True if two descriptions of starting weights are of different ones.

    timm resamples weights to another image size, with other roundings on another kind of processor: weights that it
    loaded under one name are the same.
    """
    is_timms = now.get("source", "").startswith("timm:")
    keys = ("sha256", "source") if is_timms else ("sha256",)
    return all(before.get(key, now.get(key)) != now.get(key) for key in keys)


def _found_by(run: Run, wanted: Settings) -> DevelopmentRun:
    settings = run.settings()
    fold = None if run.is_baseline else settings.train.fold
    if fold is None:
        raise ConfigError(
            f"{run.name} is not a development run",
            why="it has no fold, so its gamma and epoch could only have been chosen on the test images",
            todo=shell_command("train", wanted.dataset, "--fold", 1),
        )
    if not run.finished:
        raise ConfigError(
            f"the development run {run.name} is not finished",
            todo=shell_command("train", wanted.dataset, "--resume", run.name),
        )
    _check_same_configuration(run, settings, wanted)
    metadata = read_metadata(run.best)
    check_owner(metadata, run)
    record = metadata.metrics
    if record.get("monitor") != f"fold-{fold}" or "gamma" not in record:
        watched = record.get("monitor", "nothing")
        raise DataError(
            f"{run.name} has no gamma from the validation part of fold {fold}",
            why=f"its best epoch was evaluated on {watched}",
            todo=shell_command("train", wanted.dataset, "--fold", fold, "--set", "train.monitor=validation"),
        )
    return DevelopmentRun(
        run=run.name,
        fold=fold,
        seed=settings.seed,
        epochs=int(record["epoch"]),
        gamma=float(record["gamma"]),
        harmonic=float(record["H_oracle"]),
    )


def _validation_curve(run: Run) -> Curve | None:
    """Return the curve of a run's best checkpoint; None if svipctl 0.1 saved it."""
    if not is_expected(run.best, VALIDATION_CURVE):
        return None
    content = read_checked(run.best, VALIDATION_CURVE)
    found = parse(CurveDocument, content, run.best / VALIDATION_CURVE, todo="train the development run again")
    return Curve.of_document(found.model_dump())


def _check_same_configuration(run: Run, settings: Settings, wanted: Settings) -> None:
    if dataset_name(settings.dataset) != dataset_name(wanted.dataset):
        raise ConfigError(f"{run.name} is a run of {settings.dataset}, not of {wanted.dataset}")
    free = _FREE | _FREE_OF_SPLIT | _without_effect(wanted)
    asked = {key: value for key, value in flatten(wanted).items() if key not in free}
    different = differences(settings, asked)
    if different:
        raise ConfigError(
            f"the development run {run.name} was trained with another configuration",
            why="\n".join(different),
            todo="use the same flags for both: gamma and epoch count belong to one configuration",
        )


def _without_effect(settings: Settings) -> frozenset[str]:
    """Return the settings that features of a file replace; runs of earlier versions may have any values of these."""
    return frozenset(REPLACED if settings.data.features else ())
