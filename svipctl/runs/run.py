"""Run folders: `runs/<data set>/<name>/` with the configuration, the environment, the metrics and the checkpoints."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import tomli_w
from pydantic import ValidationError

from svipctl.datasets.identity import identity_of, is_same
from svipctl.errors import ConfigError, DataError, explained_disk_errors, misfits
from svipctl.files import atomic_write_bytes, atomic_write_text, file_lock, is_locked, is_text, resolve_folder
from svipctl.quoting import shell_command
from svipctl.runs.documents import (
    BaselineDocument,
    DevelopmentDocument,
    EnvironmentDocument,
    EvaluationDocument,
    FinishedDocument,
    parse,
)
from svipctl.runs.manifest import MANIFEST, add_to_manifest, is_expected, read_checked, write_manifest
from svipctl.runs.records import METRICS, STEPS, append, as_lines, as_table, rewrite, whole_records
from svipctl.settings.schema import Settings
from svipctl.signals import deferred_signals

P = ParamSpec("P")
M = TypeVar("M")

CONFIG, TRAINED_ON = "config.toml", "training_images.txt"
CHOSEN_ON, BEGUN_WITH = "validation_images.txt", "initial_images.txt"
_DEVELOPMENT, _ENVIRONMENT, _FINISHED = "development.json", "environment.json", "finished.json"
_EVALUATION = "eval/metrics.json"
ORIGINS, BASELINE = "origins.json", "baseline.json"
_BEFORE_CONFIG = (_DEVELOPMENT, CHOSEN_ON, BEGUN_WITH, _ENVIRONMENT, TRAINED_ON, MANIFEST)
"""Files that `Run.start` writes before config.toml."""
_SECTIONS = frozenset(["model", "method", "data", "optim", "train", "eval"])
"""Sections of config.toml that every run writes."""


def _writing(method: Callable[Concatenate[Run, P], None]) -> Callable[Concatenate[Run, P], None]:
    """Make a method do nothing for a read-only run, and refuse to write if the folder was replaced."""

    @wraps(method)
    def write(run: Run, /, *arguments: P.args, **named: P.kwargs) -> None:
        if not run.read_only:
            run.check_folder()
            method(run, *arguments, **named)

    return write


@dataclass(frozen=True)
class Run:
    """Folder of a run. Files are read and written on demand."""

    folder: Path
    read_only: bool = False
    """True if another process of the same training writes the run: writing then does nothing."""
    inode: int | None = None
    """Inode of the folder once this process writes to it."""

    @property
    def name(self) -> str:
        """Name within its data set."""
        return self.folder.name

    @property
    def last(self) -> Path:
        """Checkpoint of the last finished epoch."""
        return self.folder / "checkpoints" / "last"

    @property
    def best(self) -> Path:
        """Checkpoint that the run's selection rule prefers, and that is evaluated."""
        return self.folder / "checkpoints" / "best"

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, one per finished epoch (docs/metrics.md)."""
        return whole_records(self.folder / METRICS)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The records of `steps.jsonl`, one per step (docs/metrics.md)."""
        return whole_records(self.folder / STEPS)

    @property
    def has_checkpoint(self) -> bool:
        """True if there is a state to resume from."""
        return resolve_folder(self.last).exists()

    @property
    def is_abandoned(self) -> bool:
        """True if the run was killed before its first checkpoint, or a baseline before its results: nothing is left to
        resume, and no process uses the folder.
        """
        if not self.folder.is_dir() or self.finished or self.has_checkpoint:
            return False
        if self.is_baseline and (self.folder / "eval" / "metrics.json").exists():
            return False
        is_run = (self.folder / CONFIG).exists() or all(
            file.name in _BEFORE_CONFIG or file.match(".*.part") for file in self.folder.iterdir()
        )
        return is_run and not is_locked(self.folder)

    @property
    def finished(self) -> bool:
        """True if the training has finished."""
        return (self.folder / _FINISHED).exists()

    @property
    def is_baseline(self) -> bool:
        """True if the run is a baseline: it has results, but no network."""
        return (self.folder / BASELINE).exists()

    def require_network(self) -> None:
        """Raise ConfigError if the run is a baseline, DataError if it has no usable network yet."""
        if self.is_baseline:
            raise ConfigError(
                f"{self.name} is a baseline, scored when it was fitted",
                why="it has no network",
                todo=f"its results are in {self.folder / 'eval' / 'metrics.json'}",
            )
        if not self.finished and not resolve_folder(self.best).exists():
            raise DataError(
                f"{self.name} is unfinished, and its best epoch is not known yet",
                todo=shell_command("train", self.settings().dataset, "--resume", self.name),
            )

    def environment(self) -> dict[str, Any]:
        """Return the content of environment.json; empty for a run of release 0.1 without one.

        Raises:
            DataError: The document is damaged.

        """
        found = self.read(_ENVIRONMENT, EnvironmentDocument)
        return found.model_dump(exclude_unset=True) if found else {}

    def is_of(self, dataset: str) -> bool:
        """Return True if the run was trained on this data set, and not on another folder of the same name."""
        return is_same(self.environment(), dataset)

    def settings(self) -> Settings:
        """Return the configuration that the run was trained with.

        Raises:
            DataError: The configuration is missing, damaged or incomplete; names the key.

        """
        path, why = self.folder / CONFIG, ""
        if not is_expected(self.folder, CONFIG):
            raise DataError(f"{self.folder} is not a run: it has no {CONFIG}")
        try:
            values = tomllib.loads(read_checked(self.folder, CONFIG).decode())
            if values.keys() >= _SECTIONS:
                return Settings.model_validate(values)
            why = f"it has no section {min(_SECTIONS - values.keys())}, so it is truncated"
        except ValidationError as error:
            why = misfits(error)
        except ValueError as error:
            why = str(error)
        raise DataError(f"{path} is damaged", why=why, todo="restore it from a copy, or train again")

    @_writing
    def make(self) -> None:
        """Create the folder, for this process alone.

        Raises:
            ConfigError: The folder already exists, or cannot be created.

        """
        with explained_disk_errors(f"the run {self.folder}"):
            try:
                self.folder.mkdir(parents=True)
            except FileExistsError as error:
                raise ConfigError(f"the run {self.folder} already exists", todo="choose another --name") from error

    @contextmanager
    def written_to(self, *, is_new: bool) -> Iterator[Run]:
        """Lock the folder for this process, and yield the run for writing.

        The folder of a new run is created first, and removed if an exception leaves it without a checkpoint.

        Raises:
            ConfigError: As `make`, or another process is using the folder.

        """
        run, made = self, False
        try:
            with deferred_signals():  # a signal between the two would leave a folder
                if is_new:
                    self.make()
                    made = True
            with file_lock(self.folder):
                run = replace(self, inode=self.folder.stat().st_ino)
                yield run
        except BaseException:
            if made and run.is_as_opened:
                run.discard_without_checkpoint()
            raise

    @property
    def is_as_opened(self) -> bool:
        """True if the folder is the one that this process writes to: it was not removed or replaced."""
        if self.inode is None:
            return True
        try:
            return self.folder.stat().st_ino == self.inode
        except OSError:
            return False

    def check_folder(self) -> None:
        """Raise DataError if the folder was removed or replaced while this process wrote to it."""
        if not self.is_as_opened:
            raise DataError(
                f"{self.folder} was removed or replaced while this command wrote to it",
                todo="run the same command again",
            )

    @_writing
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
            validation_images: The images that these were chosen on.
            initial_images: The images of this data set that the starting weights were trained on.

        """
        with explained_disk_errors(f"the run {self.folder}"):
            if development is not None:
                self.save_json(_DEVELOPMENT, development)
                self._save_names(CHOSEN_ON, validation_images)
            if initial_images:
                self._save_names(BEGUN_WITH, initial_images)
            self.save_json(_ENVIRONMENT, {**environment, **identity_of(settings.dataset)})
            self._save_names(TRAINED_ON, training_images)
            configuration = tomli_w.dumps(_without_none(settings.model_dump(mode="json"))).encode()
            write_manifest(self.folder, {CONFIG: configuration})
            atomic_write_bytes(self.folder / CONFIG, configuration)  # last: a folder with this file is a run

    def _save_names(self, file: str, names: Sequence[str]) -> None:
        unwritable = [name for name in names if "\n" in name or not is_text(name)]
        if unwritable:
            raise DataError(
                f"{unwritable[0]!r} cannot be written into {file}",
                why="the name of an image must be one line of UTF-8",
                todo="rename the image",
            )
        atomic_write_text(self.folder / file, "\n".join(names) + "\n")

    @_writing
    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append an epoch to metrics.jsonl and metrics.csv."""
        with explained_disk_errors(f"the metrics of {self.folder}"):
            lines, table = self.folder / METRICS, self.folder / "metrics.csv"
            before = whole_records(lines)
            append(lines, as_lines([record]), durably=True)
            if all(list(one) == list(record) for one in before):
                append(table, as_table([record], header=not table.exists()))
            else:  # a resumed run, and another version of the program
                rewrite(table, as_table([*before, record]))

    @_writing
    def keep_metrics(self, epochs: int, last: Mapping[str, Any]) -> None:
        """Keep the records of the first epochs only, and add the last of them if it was not written."""
        kept: list[Mapping[str, Any]] = [*whole_records(self.folder / METRICS)[:epochs]]
        if len(kept) < epochs:
            kept.append(last)
        with explained_disk_errors(f"the metrics of {self.folder}"):
            rewrite(self.folder / METRICS, as_lines(kept))
            rewrite(self.folder / "metrics.csv", as_table(kept))

    @_writing
    def add_steps(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append steps to steps.jsonl."""
        with explained_disk_errors(f"the metrics of {self.folder}"):
            append(self.folder / STEPS, as_lines(records))

    @_writing
    def keep_steps(self, epoch: int, step: int) -> None:
        """Keep the records of the finished epochs and the first steps of the current one, all counted from 1."""
        path = self.folder / STEPS
        kept = [record for record in whole_records(path) if (record["epoch"], record["step"]) <= (epoch, step)]
        with explained_disk_errors(f"the metrics of {self.folder}"):
            rewrite(path, as_lines(kept))

    @_writing
    def discard_without_checkpoint(self) -> None:
        """Remove the folder of a run that ended before its first checkpoint and contains nothing to keep."""
        if not self.has_checkpoint:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # the folder has other runs
                self.folder.parent.rmdir()

    @_writing
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        self.save_json(_FINISHED, summary)

    def training_images(self) -> frozenset[str]:
        """Return the images that the run was trained on, relative to the data set's folder.

        Raises:
            DataError: The list is missing, damaged or empty.

        """
        return self._names(TRAINED_ON, "which images it was trained on")

    def initial_images(self) -> frozenset[str]:
        """Return the known images that the starting weights were trained on; mostly none.

        Raises:
            DataError: The list is damaged.

        """
        if not is_expected(self.folder, BEGUN_WITH):
            return frozenset()
        return self._names(BEGUN_WITH, "which images its starting weights were trained on")

    def validation_images(self) -> frozenset[str]:
        """Return the images that a final run's gamma and epoch count were chosen on.

        Raises:
            DataError: The list is missing, damaged or empty.

        """
        return self._names(CHOSEN_ON, "which images its gamma was chosen on")

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
        return self.read(_DEVELOPMENT, DevelopmentDocument)

    def evaluation(self, epoch: int | None = None) -> EvaluationDocument | None:
        """Return the last evaluation of the run by `svipctl eval`, or None if there is none.

        Args:
            epoch: Epoch of the checkpoint; the result is None if another one was evaluated.

        Raises:
            DataError: The document is damaged.

        """
        found = self.read(_EVALUATION, EvaluationDocument, todo="run `svipctl eval` again")
        of_another = found is not None and epoch is not None and found.epoch not in (None, epoch)
        return None if of_another else found

    def finished_document(self) -> FinishedDocument | None:
        """Return the record of the end of the training, or None for an unfinished run."""
        return self.read(_FINISHED, FinishedDocument) if self.finished else None

    def baseline(self) -> BaselineDocument | None:
        """Return the fitted method, or None for a run that is not a baseline."""
        return self.read(BASELINE, BaselineDocument)

    def origins(self) -> dict[str, str]:
        """Return dotted key -> layer of each setting that is not a default; empty if the run has no such record."""
        found: dict[str, str] | None = self.read(ORIGINS, dict[str, str])
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

    @_writing
    def save_json(self, relative: str, document: Mapping[str, Any]) -> None:
        """Write a JSON file of the run, complete or not at all; the manifest lists files that are written once.

        Args:
            relative: The file: directly in the run's folder if it is written once.
            document: Content of the file.

        """
        path = self.folder / relative
        with explained_disk_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            rewrite(path, json.dumps(document, indent=2) + "\n")
            add_to_manifest(path.parent, path.name)


def _without_none(tree: Any) -> Any:
    """Return a tree without its None values, because TOML has no null."""
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree
