"""Build the tables of the report of a run and of the comparison of runs: protocols, selection, configuration,
provenance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.protocols import about
from svipctl.evaluation.result import ModelEvaluation
from svipctl.evaluation.tables import FIGURES
from svipctl.quoting import shell_command
from svipctl.runs.run import Run
from svipctl.settings.command_line import differences_from_presets, folder_arguments, train_command
from svipctl.settings.keys import flatten
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings

MEANINGS = {
    "zsl": "Images of unseen classes, answered among unseen classes only. Mean over classes.",
    "gzsl": "All images, answered among all classes, without calibration. Mean over classes.",
    "gzsl-calibrated": "The same, with gamma subtracted from the scores of seen classes. Gamma was chosen on validation "
    "images, never on test: the honest calibrated number.",
    "gzsl-oracle": "The same, with the gamma of the best H on the scored images: an upper bound, not a result.",
    "reference": "Protocol of the published SVIP tables: an offset on softmax scores chosen on the scored images, mean "
    "over images instead of classes. For comparison with published numbers only.",
    "ausuc": "Area under the seen-unseen curve, over all gammas, so that none must be chosen.",
}


@dataclass(frozen=True)
class Cell:
    """A metric in percent with its 95 % interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def half(self) -> float | None:
        """Half the width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True)
class ProtocolRow:
    """A row of the protocol table."""

    meaning: str
    summary: str
    """The meaning in a few words."""
    cells: dict[str, Cell]
    """Name of a metric -> cell."""
    choice: str
    """Gamma or offset; empty for rows without either."""


@dataclass(frozen=True)
class Setting:
    """A line of the configuration."""

    key: str
    value: str
    origin: str
    differs: bool
    """True if the value differs from the presets of data set, recipe and backbone."""


def protocol_rows(document: Mapping[str, Any]) -> dict[str, ProtocolRow]:
    """Return the protocol table of an `eval --json` document, by protocol."""
    rows = {}
    for name, figures in document["protocols"].items():
        bounds = document["intervals"].get(name, {})
        cells = {one: Cell(figures[one], *bounds.get(one, ())) for one in FIGURES if one in figures}
        choice = next((f"{word} {figures[word]:.4f}" for word in ("gamma", "offset") if word in figures), "")
        rows[name] = ProtocolRow(MEANINGS.get(name, ""), about(name, document["split"]), cells, choice)
    return rows


def configuration(run: Run, settings: Settings) -> list[Setting]:
    """Return every setting of a run with its origin, as training recorded it.

    A run of an earlier version has no record: then the origin is the preset that gives the same value, or `the run`.
    """
    different = differences_from_presets(settings)
    origins = _origins(run, settings, different)
    return [
        Setting(key, _shown(value), origins.get(key, "default"), key in different)
        for key, value in flatten(settings).items()
    ]


def environment(run: Run) -> dict[str, str]:
    """Return the table of `environment.json`; empty if the file is missing.

    Raises:
        DataError: The file is damaged.

    """
    rows: dict[str, str] = {}
    for key, value in run.environment().items():
        if key == "format":
            continue
        if isinstance(value, Mapping):
            rows |= {f"{key}: {name}": str(inner) for name, inner in value.items() if inner not in (None, "")}
        elif value is not None:
            rows[key.replace("_", " ")] = str(value)
    return rows


def provenance(
    run: Run, settings: Settings, evaluation: ModelEvaluation, benchmark: Benchmark
) -> list[tuple[str, str]]:
    """Return the table of training data, selection data, and scored data."""
    split, document, train = evaluation.split, evaluation.document, settings.train
    images, seen, unseen = document["images"], len(split.seen_classes), len(split.unseen_classes)
    epochs = f"epoch {evaluation.model.metadata.epoch} of {train.epochs}"
    chosen = {
        "last": f"{epochs}: the last one, so that nothing was chosen",
        "validation": f"{epochs}, chosen by the best H on the validation images of the fold",
        "test": f"{epochs}, chosen on the test images, as published: its results are upper bounds",
    }[train.select]
    unfinished = "" if run.finished else "; training has not finished"
    rows = [
        ("data set", f"{benchmark.name}: {len(benchmark.classes)} classes, {len(benchmark.attributes)} attributes"),
        ("trained on", f"{len(run.training_images())} images of {seen} seen classes"),
        (
            "scored on",
            f"{images['seen']} images of seen and {images['unseen']} of {unseen} unseen classes, "
            f"split {split.name}; none of them was trained on (checked)",
        ),
        ("checkpoint", chosen + unfinished),
    ]
    if train.fold is not None:
        rows.append(("development run", f"on fold {train.fold}; test images are untouched"))
    if split.name == "test" and train.monitor != "validation":
        monitored = {"test": "the test images (shown in the curves)", "none": "nothing"}[train.monitor]
        rows.append(("monitored between epochs", monitored))
    development = document.get("development")
    if development:
        rows += [
            ("gamma", f"{development['gamma']:.4f}, {development.get('rule', 'from development runs')}"),
            ("epoch count", f"{development.get('epochs')}, median over the development runs"),
        ]
        rows += [
            (
                f"development run {one['run']}",
                f"fold {one['fold']}, seed {one['seed']}: {one['epochs']} epochs, gamma {one['gamma']:.4f}, "
                f"H {one['harmonic']:.1f} on its validation images",
            )
            for one in development["runs"]
        ]
        rows.append(("checked", f"none of the {len(run.validation_images())} validation images is scored here"))
    elif split.name == "test":
        rows.append(("gamma", str(evaluation.model.gamma)))
    return rows


def training_command(run: Run, settings: Settings, development: Mapping[str, Any] | None) -> str:
    """Return the command that trains the run again."""
    names = [one["run"] for one in development["runs"]] if development else []
    return train_command(settings.model_copy(update={"name": run.name}), names)


def commands(run: Run, settings: Settings, development: Mapping[str, Any] | None, dataset: str) -> list[str]:
    """Return the commands that train, evaluate and report the run again, with those of its development runs."""
    rest = [dataset, "--run", run.name, *folder_arguments(settings)]
    before = [Run(run.folder.parent / one["run"]) for one in development["runs"]] if development else []
    return [
        *(training_command(one, one.settings(), None) for one in before if one.folder.exists()),
        training_command(run, settings, development),
        shell_command("eval", *rest),
        shell_command("visualize", "report", *rest),
    ]


def selection_rows(document: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the quality of the patch classifier against its own labels, and against the ground truth if there is
    any.
    """
    quality = document.get("selection", {})
    own = {name: value for name, value in quality.items() if isinstance(value, int | float)}
    truths = {"mask": "ground-truth masks", "box": "ground-truth boxes"}
    rows = {truths.get(name, name): dict(value) for name, value in quality.items() if isinstance(value, Mapping)}
    return ({"its own labels": own} if own else {}) | rows


def _origins(run: Run, settings: Settings, different: Mapping[str, Any]) -> dict[str, str]:
    written = run.origins()
    if written:
        return written
    flags = {"recipe": settings.recipe, "model.backbone": settings.model.backbone}
    presets = resolve(settings.dataset, flags=flags).origins
    known = {key: origin for key, origin in presets.items() if origin != "flag"}
    return known | dict.fromkeys([*different, "dataset"], "the run")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, default=str, ensure_ascii=False)
