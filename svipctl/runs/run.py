"""Runs: read and write the configuration, the environment, the lists of images, the records and the results."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import tomli_w
from pydantic import ValidationError

from svipctl.datasets.identity import TABLE, identity_of, is_same
from svipctl.errors import ConfigError, DataError, misfits
from svipctl.files import atomic_write_bytes, atomic_write_text, file_sha256, is_locked, is_text, resolve_folder
from svipctl.quoting import shell_command
from svipctl.runs.documents import (
    FORMAT,
    BaselineDocument,
    DevelopmentDocument,
    EnvironmentDocument,
    EvaluationDocument,
    FinishedDocument,
    parse,
)
from svipctl.runs.folder import RunFile, RunFolder, writing
from svipctl.runs.manifest import WEIGHTS, add_to_manifest, is_expected, read_checked, read_manifest, write_manifest
from svipctl.runs.records import METRICS, METRICS_TABLE, STEPS, append, as_lines, as_table, rewrite, whole_records
from svipctl.settings.keys import flatten
from svipctl.settings.schema import Settings

M = TypeVar("M")

_SECTIONS = frozenset(["model", "method", "data", "optim", "train", "eval"])
"""Sections of config.toml that every run writes."""


@dataclass(frozen=True)
class Run(RunFolder):
    """A run. Files are read and written on demand."""

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, one per finished epoch (docs/metrics.md)."""
        return whole_records(self.folder / METRICS)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The records of `steps.jsonl`, one per step (docs/metrics.md)."""
        return whole_records(self.folder / STEPS)

    def require_network(self) -> None:
        """Raise ConfigError if the run is a baseline, DataError if it has no usable network yet."""
        if self.is_baseline:
            raise ConfigError(
                f"{self.name} is a baseline and has no network, which this command needs",
                why="baselines are scored when they are fitted",
                todo=f"its results are in {self.folder / RunFile.EVALUATION}",
            )
        if not self.finished and not resolve_folder(self.best).exists():
            raise DataError(
                f"{self.name} is unfinished: its best epoch is not known yet",
                todo="wait for its training to finish"
                if is_locked(self.folder)
                else shell_command("train", self.settings().dataset, "--resume", self.name),
            )

    def environment(self) -> dict[str, Any]:
        """Return the content of environment.json.

        Raises:
            DataError: The document is damaged, or missing in a run of a later release than 0.1.

        """
        found = self.read(RunFile.ENVIRONMENT, EnvironmentDocument)
        return found.model_dump(exclude_unset=True) if found else {}

    def is_of(self, dataset: str) -> bool:
        """Return True if the run was trained on this data set, and not on another folder of the same name."""
        return is_same(self.environment(), dataset)

    def inputs(self) -> dict[str, str]:
        """Return input -> SHA-256, if known, of the table of a data folder, the list of training images, and the
        starting weights.
        """
        noted, manifest = self.environment(), read_manifest(self.folder)
        images = manifest.files.get(RunFile.TRAINED_ON) if manifest else None
        found = {
            "class attributes": noted.get(TABLE),
            "training images": images and images.sha256,
            "weights": (noted.get("weights") or {}).get("sha256"),
        }
        return {name: str(value) for name, value in found.items() if value}

    @property
    def identity(self) -> str:
        """SHA-256 of the configuration, which is written once: how checkpoints name the run, wherever its folder is."""
        return file_sha256(self.folder / RunFile.CONFIG)

    def settings(self) -> Settings:
        """Return the configuration that the run was trained with.

        Raises:
            DataError: The configuration is missing, damaged or incomplete; names the key.

        """
        path, why = self.folder / RunFile.CONFIG, ""
        if not is_expected(self.folder, RunFile.CONFIG):
            raise DataError(f"{self.folder} is not a run: it has no {RunFile.CONFIG}")
        try:
            values = tomllib.loads(read_checked(self.folder, RunFile.CONFIG).decode())
            if values.keys() >= _SECTIONS:
                return Settings.model_validate(values)
            why = f"it has no section {min(_SECTIONS - values.keys())}, so it is truncated"
        except ValidationError as error:
            why = misfits(error)
        except ValueError as error:
            why = str(error)
        raise DataError(f"{path} is damaged", why=why, todo="restore it from a copy, or train again")

    @writing
    def start(
        self,
        settings: Settings,
        environment: Mapping[str, Any],
        training_images: Sequence[str],
        *,
        development: Mapping[str, Any] | None = None,
        validation_images: Sequence[str] = (),
        initial_images: Sequence[str] = (),
    ) -> None:
        """Write everything that is known before the first step into the new folder.

        Args:
            settings: The configuration.
            environment: Versions, hardware, weights.
            training_images: Images relative to the data set's folder.
            development: For a final run, `gamma` and `epochs` from its development runs, with their origin.
            validation_images: The images that these were chosen on; for a run on a fold, those of the fold.
            initial_images: The images of this data set that the starting weights were trained on.

        """
        identity = identity_of(settings.dataset)
        for key, value in {**flatten(settings), **identity}.items():
            if not is_text(str(value)):
                raise ConfigError(
                    f"{key} = {value} cannot be written into a run",
                    why="it is not UTF-8",
                    todo="rename the file or folder",
                )
        if development is not None:
            self.save_json(RunFile.DEVELOPMENT, development)
        if validation_images:
            self._save_names(RunFile.CHOSEN_ON, validation_images)
        if initial_images:
            self._save_names(RunFile.BEGUN_WITH, initial_images)
        self.save_json(RunFile.ENVIRONMENT, {"format": FORMAT, **environment, **identity})
        self._save_names(RunFile.TRAINED_ON, training_images)
        configuration = tomli_w.dumps(_without_none(settings.model_dump(mode="json"))).encode()
        write_manifest(self.folder, {RunFile.CONFIG: configuration})
        atomic_write_bytes(self.folder / RunFile.CONFIG, configuration)  # last: a folder with this file is a run

    def _save_names(self, file: str, names: Sequence[str]) -> None:
        unwritable = [name for name in names if "\n" in name or not is_text(name)]
        if unwritable:
            raise DataError(
                f"{unwritable[0]!r} cannot be written into {file}",
                why="the name of an image must be one line of UTF-8",
                todo="rename the image",
            )
        atomic_write_text(self.folder / file, "\n".join(names) + "\n")

    @writing
    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append an epoch to metrics.jsonl, and rewrite metrics.csv, whose columns may have become more."""
        before = self.metrics
        append(self.folder / METRICS, as_lines([record]), durably=True)
        rewrite(self.folder / METRICS_TABLE, as_table([*before, record]))

    @writing
    def keep_metrics(self, epochs: int, last: Mapping[str, Any]) -> None:
        """Keep the records of the first epochs only, and add the last of them if it was not written."""
        kept: list[Mapping[str, Any]] = [*self.metrics[:epochs]]
        if len(kept) < epochs:
            kept.append(last)
        rewrite(self.folder / METRICS, as_lines(kept))
        rewrite(self.folder / METRICS_TABLE, as_table(kept))

    @writing
    def add_steps(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append steps to steps.jsonl."""
        append(self.folder / STEPS, as_lines(records))

    @writing
    def keep_steps(self, epoch: int, step: int) -> None:
        """Keep the records of the finished epochs and the first steps of the current one, all counted from 1."""
        kept = [record for record in self.steps if (record["epoch"], record["step"]) <= (epoch, step)]
        rewrite(self.folder / STEPS, as_lines(kept))

    @writing
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        self.save_json(RunFile.FINISHED, summary)

    def training_images(self) -> frozenset[str]:
        """Return the images that the run was trained on, relative to the data set's folder.

        Raises:
            DataError: The list is missing, damaged or empty.

        """
        return self._names(RunFile.TRAINED_ON, "which images it was trained on")

    def initial_images(self) -> frozenset[str]:
        """Return the known images that the starting weights were trained on; mostly none.

        Raises:
            DataError: The list is damaged.

        """
        if not is_expected(self.folder, RunFile.BEGUN_WITH):
            return frozenset()
        return self._names(RunFile.BEGUN_WITH, "which images its starting weights were trained on")

    def validation_images(self) -> frozenset[str]:
        """Return the images that a final run's gamma and epoch count were chosen on, or the fold's of a development run.

        Raises:
            DataError: The list is missing, damaged or empty.

        """
        return self._names(RunFile.CHOSEN_ON, "which images its gamma was chosen on")

    def _names(self, file: str, content: str) -> frozenset[str]:
        what, todo = f"{self.folder} does not record {content}", "restore it from a copy, or train again"
        if not is_expected(self.folder, file):
            raise DataError(what, why=f"{file} is missing", todo=todo)
        try:
            *names, rest = read_checked(self.folder, file).decode().split("\n")
        except UnicodeDecodeError as error:
            raise DataError(what, why=f"{file} is not UTF-8: {error}", todo=todo) from error
        if rest or not any(names):
            why = "its last line is truncated" if rest else "it is empty"
            raise DataError(what, why=f"{file} is damaged: {why}", todo=todo)
        return frozenset(names)

    def development(self) -> DevelopmentDocument | None:
        """Return the values that a final run took from its development runs, or None for any other run.

        Raises:
            DataError: The document is damaged.

        """
        return self.read(RunFile.DEVELOPMENT, DevelopmentDocument)

    def evaluation(self, epoch: int | None = None) -> EvaluationDocument | None:
        """Return the last evaluation of the run by `svipctl eval`, or None if its best checkpoint was not evaluated.

        Args:
            epoch: Epoch of the checkpoint, for an evaluation that does not record its weights.

        Raises:
            DataError: The document is damaged.

        """
        found = self.read(RunFile.EVALUATION, EvaluationDocument, todo="run `svipctl eval` again")
        if found is None or (epoch is not None and found.epoch not in (None, epoch)):
            return None
        manifest = read_manifest(resolve_folder(self.best)) if found.checkpoint_sha256 else None
        weights = manifest.files.get(WEIGHTS) if manifest else None
        return None if weights and weights.sha256 != found.checkpoint_sha256 else found

    def finished_document(self) -> FinishedDocument | None:
        """Return the record of the end of the training, or None for an unfinished run."""
        return self.read(RunFile.FINISHED, FinishedDocument) if self.finished else None

    def baseline(self) -> BaselineDocument | None:
        """Return the fitted method, or None for a run that is not a baseline."""
        return self.read(RunFile.BASELINE, BaselineDocument)

    def origins(self) -> dict[str, str]:
        """Return dotted key -> layer of each setting that is not a default; empty if the run has no such record."""
        found: dict[str, str] | None = self.read(RunFile.ORIGINS, dict[str, str])
        return found or {}

    def read(self, relative: str, kind: type[M], *, todo: str = "") -> M | None:
        """Return a JSON document of the run, or None if there is none.

        Args:
            relative: The file.
            kind: A model of `svipctl.runs.documents`, or another type that pydantic validates.
            todo: Advice if the document is damaged.

        Raises:
            DataError: The document is damaged; names file and field.

        """
        path = self.folder / relative
        if not is_expected(path.parent, path.name):
            return None
        return parse(kind, read_checked(path.parent, path.name, todo=todo), path, todo=todo)

    @writing
    def save_json(self, relative: str, document: Mapping[str, Any]) -> None:
        """Write a JSON file of the run, complete or not at all; the manifest lists files that are written once.

        Args:
            relative: The file: directly in the run's folder if it is written once.
            document: Content of the file.

        """
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        rewrite(path, json.dumps(document, indent=2) + "\n")
        add_to_manifest(path.parent, path.name)


def _without_none(tree: Any) -> Any:
    """Return a tree without its None values, because TOML has no null."""
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree
