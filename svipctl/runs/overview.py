"""Summarize runs: training, results, and mean and deviation over seeds of otherwise equal runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from svipctl.files import is_locked
from svipctl.runs.run import Run
from svipctl.settings.command_line import differences_from_presets
from svipctl.settings.keys import WHERE_AND_HOW, flatten
from svipctl.settings.schema import Settings

FIGURES = {
    "T1": ("zsl", "T1", "T1"),
    "H": ("gzsl-calibrated", "H", "H"),
    "H_oracle": ("gzsl-oracle", "H", "H*"),
    "AUSUC": ("ausuc", "value", "AUSUC"),
}
"""Name of a metric -> row and name in `eval/metrics.json`, and head of its column; H is calibrated on validation
images, H_oracle on the scored ones.
"""
_OWN_COLUMNS = {"dataset", "recipe", "model.backbone", "seed", "train.fold", "train.epochs"}


@dataclass(frozen=True)
class Overview:
    """A run in the table of runs."""

    run: Run
    settings: Settings
    state: str
    """`finished`, `training`, `unfinished` or `abandoned`."""
    epochs: int
    """Finished epochs."""
    split: str
    """`test`, or the fold of the results; empty without results."""
    figures: Mapping[str, float]
    """Name of a metric -> percent, for the known metrics of `FIGURES`."""
    different: Mapping[str, Any]
    """Setting -> value of settings that neither the presets nor a column of the table shows."""
    inputs: Mapping[str, str]
    """Input -> SHA-256 of the class attributes, the list of training images and the starting weights, if known."""

    @property
    def differences(self) -> str:
        """`different` as text."""
        return ", ".join(f"{key}={value}" for key, value in self.different.items())

    def document(self) -> dict[str, Any]:
        """Return the entry of `svipctl runs --json`."""
        return {
            "dataset": self.run.folder.parent.name,
            "run": self.run.name,
            "recipe": self.settings.recipe,
            "backbone": self.settings.model.backbone,
            "seed": self.settings.seed,
            "fold": self.settings.train.fold,
            "different": {key: json.loads(json.dumps(value, default=str)) for key, value in self.different.items()},
            "epochs": self.epochs,
            "epochs_asked": self.settings.train.epochs,
            "split": self.split or None,
            **{name: self.figures.get(name) for name in FIGURES},
            "state": self.state,
        }


@dataclass(frozen=True)
class SeedGroup:
    """Runs that differ in their seed only."""

    runs: tuple[Overview, ...]

    def mean(self, figure: str) -> tuple[float, float] | None:
        """Return mean and standard deviation (n - 1) of a metric; None unless every run of the group has it."""
        if any(figure not in one.figures for one in self.runs):
            return None
        values = [one.figures[figure] for one in self.runs]
        return fmean(values), stdev(values)

    def document(self) -> dict[str, Any]:
        """Return the entry of `svipctl runs --json`."""
        means = {name: self.mean(name) for name in FIGURES}
        return {
            "dataset": self.runs[0].run.folder.parent.name,
            "runs": [one.run.name for one in self.runs],
            "means": {name: {"mean": found[0], "sd": found[1]} for name, found in means.items() if found},
        }


def overview(run: Run) -> Overview:
    """Return the summary of a run from its files, without loading the network.

    Raises:
        DataError: The configuration or the evaluation of the run is damaged.

    """
    settings, records = run.settings(), run.metrics
    finished = run.finished_document()
    best = len(records) if finished is None or finished.best_epoch is None else finished.best_epoch
    evaluation = run.evaluation(best)
    rows = evaluation.protocols if evaluation else {}
    figures = {name: rows[row][key] for name, (row, key, _) in FIGURES.items() if key in rows.get(row, {})}
    split = evaluation.split if evaluation and rows else ""
    record = next((one for one in records if one["epoch"] == best and "monitor" in one), None)
    if not rows and record is not None:
        split, figures = str(record["monitor"]), {name: record[name] for name in FIGURES if name in record}
        figures.pop("H", None)  # the best H over gamma on the monitored split
    hidden = WHERE_AND_HOW | _OWN_COLUMNS
    hidden = hidden if settings.train.fold is None else hidden | {"train.monitor"}  # the column split shows it
    different = {key: value for key, value in differences_from_presets(settings).items() if key not in hidden}
    return Overview(run, settings, _state(run), len(records), split, figures, different, run.inputs())


def seed_groups(runs: Sequence[Overview]) -> list[SeedGroup]:
    """Return the groups of two or more runs on the same data that are equal but for their seed, in the order of their
    first runs.

    Only finished runs count: the results of an earlier epoch are not a sample of the last one's.

    Args:
        runs: Oldest first: of runs with the same seed the last one counts.

    """
    groups: dict[str, dict[int, Overview]] = {}
    for one in runs:
        if one.state != "finished":
            continue
        development = one.run.development()
        free = {*WHERE_AND_HOW, "seed", *(["train.epochs"] if development else [])}
        same = {key: value for key, value in flatten(one.settings).items() if key not in free}
        folds = sorted(found.fold or 0 for found in development.runs) if development else None
        key = json.dumps([one.run.is_baseline and one.run.name, one.split, folds, same, one.inputs], default=str)
        groups.setdefault(key, {})[one.settings.seed] = one  # the newest of each seed
    return [SeedGroup(tuple(group.values())) for group in groups.values() if len(group) > 1]


def overview_table(runs: Sequence[Overview], groups: Sequence[SeedGroup]) -> tuple[str, list[str], list[list[str]]]:
    """Return title, columns and rows of the table of runs; a column with one value for all runs moves to the title."""
    columns: dict[str, list[str]] = {
        "data set": [one.run.folder.parent.name for one in runs],
        "recipe": [one.settings.recipe for one in runs],
        "backbone": [one.settings.model.backbone for one in runs],
        "split": [one.split for one in runs],
    }
    common = [f"{name} {values[0]}" for name, values in columns.items() if len(set(values)) == 1 and values[0]]
    columns = {"run": [one.run.name for one in runs]} | {n: v for n, v in columns.items() if len(set(v)) > 1}
    columns["other settings"] = [one.differences for one in runs]
    columns["epochs"] = [f"{one.epochs}/{one.settings.train.epochs}" for one in runs]
    for name, (*_, head) in FIGURES.items():
        columns[head] = [f"{one.figures[name]:.1f}" if name in one.figures else "" for one in runs]
    columns["state"] = [one.state for one in runs]
    for group in groups:
        means = {head: group.mean(name) for name, (*_, head) in FIGURES.items()}
        shown = {head: "{:.1f} ±{:.1f}".format(*mean) for head, mean in means.items() if mean}
        shown["run"] = f"mean of {', '.join(one.run.name for one in group.runs)}"
        for head, cells in columns.items():
            cells.append(shown.get(head, ""))
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    return ", ".join([f"{len(runs)} runs", *common]), list(columns), [list(row) for row in zip(*columns.values())]


def _state(run: Run) -> str:
    if run.finished or run.is_baseline:
        return "finished"
    if is_locked(run.folder):
        return "training"
    return "unfinished" if run.has_checkpoint else "abandoned"
