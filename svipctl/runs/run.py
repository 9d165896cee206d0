"""Run folders: `runs/<data set>/<name>/` with the configuration, the environment, the metrics and the checkpoints."""

from __future__ import annotations

import json
import math
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import tomli_w

from svipctl.datasets.identity import identity_of, is_same
from svipctl.errors import ConfigError, DataError, explained_disk_errors
from svipctl.files import atomic_write_text, file_lock, is_locked, resolve_folder
from svipctl.quoting import shell_command
from svipctl.runs.records import append, as_lines, as_table, rewrite, whole_records
from svipctl.settings.schema import Settings
from svipctl.signals import held

P = ParamSpec("P")


_BEFORE_CONFIG = ("development.json", "validation_images.txt", "initial_images.txt")
"""Files that `Run.start` writes before config.toml."""


def _writing(method: Callable[Concatenate[Run, P], None]) -> Callable[Concatenate[Run, P], None]:
    """Make a method do nothing on a run that is read only, and refuse to write to another folder of the same name."""

    @wraps(method)
    def write(run: Run, /, *arguments: P.args, **named: P.kwargs) -> None:
        if not run.read_only:
            run.check_folder()
            method(run, *arguments, **named)

    return write


@dataclass(frozen=True)
class Run:
    """One run's folder. Nothing is read or written until asked for."""

    folder: Path
    read_only: bool = False
    """True if another process of the same training writes the run: writing then does nothing."""
    inode: int | None = None
    """Inode of the folder since this process writes to it."""

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
        """Checkpoint that the run's selection rule prefers; what is evaluated."""
        return self.folder / "checkpoints" / "best"

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The records of `metrics.jsonl`, one per finished epoch (docs/metrics.md)."""
        return whole_records(self.folder / "metrics.jsonl")

    @property
    def has_checkpoint(self) -> bool:
        """True if there is a state to go on from."""
        return resolve_folder(self.last).exists()

    @property
    def is_abandoned(self) -> bool:
        """True if it was killed before its first checkpoint, or as a baseline before its figures: nothing is left to
        resume, and no process works in it.
        """
        if not self.folder.is_dir() or self.finished or self.has_checkpoint:
            return False
        if self.is_baseline and (self.folder / "eval" / "metrics.json").exists():
            return False
        is_run = (self.folder / "config.toml").exists() or all(
            file.name in _BEFORE_CONFIG or file.match(".*.part") for file in self.folder.iterdir()
        )
        return is_run and not is_locked(self.folder)

    @property
    def finished(self) -> bool:
        """True if training came to its end."""
        return (self.folder / "finished.json").exists()

    @property
    def is_baseline(self) -> bool:
        """True if it is a baseline: it has figures, but no network."""
        return (self.folder / "baseline.json").exists()

    def require_network(self) -> None:
        """Raise ConfigError where there is none, DataError where there is none yet."""
        if self.is_baseline:
            raise ConfigError(
                f"{self.name} is a baseline, scored when it was fitted",
                why="it has no network",
                todo=f"its figures are in {self.folder / 'eval' / 'metrics.json'}",
            )
        if not self.finished and not resolve_folder(self.best).exists():
            raise DataError(
                f"{self.name} is unfinished, and which of its epochs counts is not known yet",
                todo=shell_command("train", self.settings().dataset, "--resume", self.name),
            )

    def environment(self) -> dict[str, Any]:
        """What environment.json says; nothing where it is missing or damaged, since no result depends on it."""
        try:
            return dict(json.loads((self.folder / "environment.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}

    def is_of(self, dataset: str) -> bool:
        """Return whether it was trained on this data set, and not on another folder of the same name."""
        return is_same(self.environment(), dataset)

    def settings(self) -> Settings:
        """The configuration the run was trained with."""
        try:
            return Settings.model_validate(tomllib.loads((self.folder / "config.toml").read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise DataError(f"{self.folder} is not a run: it has no config.toml") from error
        except ValueError as error:
            raise DataError(f"{self.folder / 'config.toml'} is damaged", why=str(error)) from error

    @_writing
    def make(self) -> None:
        """Make the folder, for this process alone.

        Raises:
            ConfigError: It is there already, or may not be made.

        """
        with explained_disk_errors(f"the run {self.folder}"):
            try:
                self.folder.mkdir(parents=True)
            except FileExistsError as error:
                raise ConfigError(f"there is already a run {self.folder}", todo="choose another --name") from error

    @contextmanager
    def written_to(self, *, is_new: bool) -> Iterator[Run]:
        """Lock the folder for this process, and yield the run as it is to be written.

        A new run's folder is made first, and removed again if an exception leaves it without a checkpoint.

        Raises:
            ConfigError: As `make`, or another process is at work in it.

        """
        run, made = self, False
        try:
            with held():  # a signal between the two would leave a folder
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
        """True if the folder is the one that this process writes to: nobody has removed or replaced it."""
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
        """Write what is known before the first step into the new folder.

        Args:
            settings: The configuration.
            environment: Versions, hardware, weights.
            training_images: Relative to the data set's folder.
            development: Of a final run, what it takes from development runs: `gamma`, `epochs` and where from.
            validation_images: The images that these were chosen on.
            initial_images: The images of this data set that the weights it begins with were trained on.

        """
        with explained_disk_errors(f"the run {self.folder}"):
            if development is not None:
                # Before config.toml, which makes the folder a run: a final run never forgets its gamma.
                self.save_json("development.json", development)
                self._save_names("validation_images.txt", validation_images)
            if initial_images:
                self._save_names("initial_images.txt", initial_images)
            plain = _without_none(settings.model_dump(mode="json"))
            atomic_write_text(self.folder / "config.toml", tomli_w.dumps(plain))
            self.save_json("environment.json", {**environment, **identity_of(settings.dataset)})
            self._save_names("training_images.txt", training_images)

    def _save_names(self, file: str, names: Sequence[str]) -> None:
        atomic_write_text(self.folder / file, "\n".join(names) + "\n")

    @_writing
    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append an epoch to metrics.jsonl and metrics.csv."""
        with explained_disk_errors(f"the metrics of {self.folder}"):
            lines, table = self.folder / "metrics.jsonl", self.folder / "metrics.csv"
            before = whole_records(lines)
            append(lines, as_lines([record]), durably=True)
            if all(list(one) == list(record) for one in before):
                append(table, as_table([record], header=not table.exists()))
            else:  # a resumed run, and another version of the program
                rewrite(table, as_table([*before, record]))

    @_writing
    def keep_metrics(self, epochs: int, last: Mapping[str, Any]) -> None:
        """Leave the records of the first epochs only, and add the last of them if it did not get here any more."""
        kept: list[Mapping[str, Any]] = [*whole_records(self.folder / "metrics.jsonl")[:epochs]]
        if len(kept) < epochs:
            kept.append(last)
        with explained_disk_errors(f"the metrics of {self.folder}"):
            rewrite(self.folder / "metrics.jsonl", as_lines(kept))
            rewrite(self.folder / "metrics.csv", as_table(kept))

    @_writing
    def add_steps(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append steps to steps.jsonl."""
        with explained_disk_errors(f"the metrics of {self.folder}"):
            append(self.folder / "steps.jsonl", as_lines(records))

    @_writing
    def keep_steps(self, epoch: int, step: int) -> None:
        """Leave the records of the finished epochs and the first steps of the current one, all counted from 1."""
        path = self.folder / "steps.jsonl"
        kept = [record for record in whole_records(path) if (record["epoch"], record["step"]) <= (epoch, step)]
        with explained_disk_errors(f"the metrics of {self.folder}"):
            rewrite(path, as_lines(kept))

    @_writing
    def discard_without_checkpoint(self) -> None:
        """Remove the folder of a run that ended before its first checkpoint: there is nothing in it to keep."""
        if not self.has_checkpoint:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # other runs are in it
                self.folder.parent.rmdir()

    @_writing
    def finish(self, summary: Mapping[str, Any]) -> None:
        """Mark the run as complete."""
        self.save_json("finished.json", summary)

    def training_images(self) -> frozenset[str]:
        """The images the run was trained on, relative to the data set's folder."""
        path = self.folder / "training_images.txt"
        try:
            return frozenset(path.read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise DataError(
                f"{self.folder} does not say which images it was trained on", why=f"{path.name}: {error.strerror}"
            ) from error

    def initial_images(self) -> frozenset[str]:
        """The images that the weights it began with were trained on, as far as known; mostly none."""
        path = self.folder / "initial_images.txt"
        return frozenset(path.read_text(encoding="utf-8").splitlines()) if path.exists() else frozenset()

    def development(self) -> dict[str, Any] | None:
        """What a final run took from its development runs, or None of any other run.

        Raises:
            DataError: It is damaged.

        """
        path = self.folder / "development.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not math.isfinite(found["gamma"]) or not found["runs"]:
                raise ValueError("gamma or its origin is missing")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is damaged", why=str(error), todo="train the final run again") from error
        return dict(found)

    def validation_images(self) -> frozenset[str]:
        """The images that a final run's gamma and epoch count were chosen on."""
        path = self.folder / "validation_images.txt"
        try:
            return frozenset(path.read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise DataError(
                f"{self.folder} does not say which images its gamma was chosen on",
                why=f"{path.name}: {error.strerror}",
                todo="train the final run again",
            ) from error

    def read_json(self, relative: str) -> dict[str, Any] | None:
        """A JSON object of the run, None when the file is not there.

        Raises:
            DataError: It is damaged.

        """
        path = self.folder / relative
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError("it is not an object")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is damaged", why=str(error), todo="restore it, or remove it") from error
        return found

    @_writing
    def save_json(self, relative: str, document: Mapping[str, Any]) -> None:
        """Write a JSON file of the run, complete or not at all."""
        path = self.folder / relative
        with explained_disk_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            rewrite(path, json.dumps(document, indent=2) + "\n")


def _without_none(tree: Any) -> Any:
    """TOML has no null: what is None is left out."""
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree
