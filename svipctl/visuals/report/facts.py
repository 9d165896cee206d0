"""What a report says in words and tables: protocols, configuration, environment, provenance, commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svipctl.datasets.benchmark import Benchmark
from svipctl.evaluation.evaluation import ModelEvaluation
from svipctl.runs.run import Run
from svipctl.settings.command_line import differences_from_presets, train_command
from svipctl.settings.layers import flatten, resolve
from svipctl.settings.schema import Settings

MEANINGS = {
    "zsl": "Images of unseen classes, answered among unseen classes only. Mean over classes.",
    "gzsl": "All images, answered among all classes, scores as they are. Mean over classes.",
    "gzsl-calibrated": "The same, with gamma taken off the scores of seen classes. Gamma was chosen on validation "
    "images, never on test: the honest calibrated number.",
    "gzsl-oracle": "The same, with the gamma of best H on these very images: an upper bound, not a result.",
    "reference": "As published SVIP tables are made: an offset on softmax scores chosen on these very images, mean "
    "over images instead of classes. For comparison with published numbers only.",
    "ausuc": "Area under the seen-unseen curve, over all gammas. Needs none to be chosen.",
}
_LOCALISATION = {
    "object": "Share of the attributes' peaks inside the object, percent; beside it, what a window by lot, the middle of "
    "the image, and the peaks of other images give",
    "parts": "Distance of the attributes' peaks from the annotated part, percent of the diagonal of the object's box, "
    "lower is better; beside it, what a window by lot, the middle of the image, and the peaks of other images give",
}
FIGURES = ("T1", "U", "S", "H")


@dataclass(frozen=True)
class Cell:
    """A figure in percent with its 95 % interval, where there is one."""

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

    name: str
    meaning: str
    cells: dict[str, Cell]
    """Figure -> cell; the area of ausuc stands under H."""
    choice: str
    """Gamma or offset, and nothing for rows that choose none."""


@dataclass(frozen=True)
class LocalisationTable:
    """Where the peaks of attributes lie, beside what other peaks give."""

    caption: str
    columns: list[str]
    rows: list[tuple[str, list[str]]]
    """Of all attributes, then of each group."""


@dataclass(frozen=True)
class Setting:
    """A line of the configuration."""

    key: str
    value: str
    origin: str
    differs: bool
    """From the presets of data set, recipe and backbone."""


def protocol_rows(document: Mapping[str, Any]) -> list[ProtocolRow]:
    """Of an `eval --json` document."""
    rows = []
    for name, figures in document["protocols"].items():
        found = document["intervals"].get(name, {})
        cells = {}
        for figure, source in (*((one, one) for one in FIGURES), ("H", "value")):
            if source in figures:
                cells[figure] = Cell(figures[source], *found.get(source, (None, None)))
        choice = next((f"{word} {figures[word]:.4f}" for word in ("gamma", "offset") if word in figures), "")
        rows.append(ProtocolRow(name, MEANINGS.get(name, ""), cells, choice))
    return rows


def configuration(run: Run, settings: Settings) -> list[Setting]:
    """Every setting of a run with where it came from, as training wrote it down.

    A run of an earlier version did not: then the origin is the preset that gives the same value, or `the run`.
    """
    different = differences_from_presets(settings)
    origins = _origins(run, settings, different)
    return [
        Setting(key, _shown(value), origins.get(key, "default"), key in different)
        for key, value in flatten(settings).items()
    ]


def environment(run: Run) -> dict[str, Any]:
    """`environment.json`; empty if it is gone.

    Raises:
        DataError: It is damaged.

    """
    return run.read_json("environment.json") or {}


def environment_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The environment as lines of a table."""
    rows = []
    for key, value in found.items():
        if isinstance(value, Mapping):
            rows += [(f"{key}: {name}", str(inner)) for name, inner in value.items() if inner not in (None, "")]
        elif value is not None:
            rows.append((key.replace("_", " "), str(value)))
    return rows


def provenance(run: Run, settings: Settings, measured: ModelEvaluation, benchmark: Benchmark) -> list[tuple[str, str]]:
    """What was trained on, what was chosen on what, and what is scored."""
    split, document = measured.split, measured.document
    finished = run.read_json("finished.json") or {}
    seen, unseen = len(split.seen_classes), len(split.unseen_classes)
    rows = [
        ("data set", f"{benchmark.name}: {len(benchmark.classes)} classes, {len(benchmark.attributes)} attributes"),
        ("trained on", f"{len(run.training_images())} images of {seen} seen classes"),
        (
            "scored on",
            f"{document['images']['seen']} images of seen and {document['images']['unseen']} of {unseen} unseen classes, "
            f"split {split.name}; none of them was trained on (checked)",
        ),
    ]
    epochs = f"epoch {measured.model.metadata.epoch} of {settings.train.epochs}"
    chosen = {
        "last": f"{epochs}: the last one, so nothing was chosen",
        "validation": f"{epochs}, chosen by the best H on the validation images of the fold",
        "test": f"{epochs}, chosen on the test images, as published: its numbers are upper bounds",
    }[settings.train.select]
    rows.append(("checkpoint", chosen if finished else f"{chosen}; training has not finished"))
    watched = {"test": "the test images (shown in the curves)", "validation": "validation images", "none": "nothing"}
    if settings.train.fold is not None:
        rows.append(("development run", f"on fold {settings.train.fold}; test images are untouched"))
    if split.name == "test" and settings.train.monitor != "validation":
        rows.append(("watched between epochs", watched[settings.train.monitor]))
    development = document.get("development")
    if development:
        rows.append(("gamma", f"{development['gamma']:.4f}, {development.get('rule', 'from development runs')}"))
        rows.append(("epoch count", f"{development.get('epochs')}, {development.get('rule', 'from development runs')}"))
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
        rows.append(("gamma", "none from validation: this run has no development runs"))
    return rows


def commands(run: Run, settings: Settings, development: Mapping[str, Any] | None, dataset: str) -> list[str]:
    """With which the run is trained, evaluated and reported again."""
    names = [one["run"] for one in development["runs"]] if development else []
    named = settings.model_copy(update={"name": run.name})
    places = []
    for flag, value, default in (("--data-dir", settings.data_dir, "data"), ("--runs-dir", settings.runs_dir, "runs")):
        places += [flag, str(value)] if value != Path(default) else []
    rest = [dataset, "--run", run.name, *places]
    return [
        train_command(named, names),
        shlex.join(["svipctl", "eval", *rest]),
        shlex.join(["svipctl", "visualize", "report", *rest]),
    ]


def selection_rows(document: Mapping[str, Any]) -> list[tuple[str, dict[str, float]]]:
    """Quality of the patch classifier: against its own labels, and against whatever truth there is."""
    found = document.get("selection", {})
    own = {name: value for name, value in found.items() if isinstance(value, int | float)}
    named = {"mask": "the true masks", "box": "the true boxes"}
    rows = [("its own labels", own)] if own else []
    return rows + [(named.get(name, name), dict(value)) for name, value in found.items() if isinstance(value, Mapping)]


def localisation_tables(document: Mapping[str, Any]) -> list[LocalisationTable]:
    """Of `localisation`: against the object and, where they are annotated, against its parts."""
    tables = []
    for kind, found in document.get("localisation", {}).items():
        columns = [name for name, value in found.items() if isinstance(value, int | float)]
        rows = {"all": found} | found.get("groups", {})
        tables.append(
            LocalisationTable(
                _LOCALISATION.get(kind, kind),
                columns,
                [
                    (name.removeprefix("has_").replace("_", " "), [_number(row.get(column)) for column in columns])
                    for name, row in rows.items()
                ],
            )
        )
    return tables


def _number(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "–" if value is None else str(value)


def _origins(run: Run, settings: Settings, different: Mapping[str, Any]) -> dict[str, str]:
    written = run.read_json("origins.json")
    if written:
        return {str(key): str(value) for key, value in written.items()}
    flags = {"recipe": settings.recipe, "model.backbone": settings.model.backbone}
    presets = resolve(settings.dataset, flags=flags).origins
    known = {key: origin for key, origin in presets.items() if origin != "flag"}
    return known | dict.fromkeys([*different, "dataset"], "the run")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else json.dumps(value, default=str, ensure_ascii=False)
