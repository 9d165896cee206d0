"""Run folders: `runs/<data set>/<name>/`, from their creation for one process until they are finished or discarded."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from svipctl.errors import ConfigError, DataError, explained_disk_errors
from svipctl.files import file_lock, is_locked, resolve_folder
from svipctl.runs.manifest import MANIFEST
from svipctl.signals import deferred_signals

R = TypeVar("R", bound="RunFolder")
P = ParamSpec("P")


class RunFile(StrEnum):
    """Names of the files of a run, apart from its records and checkpoints."""

    CONFIG = "config.toml"
    ENVIRONMENT = "environment.json"
    ORIGINS = "origins.json"
    TRAINED_ON = "training_images.txt"
    CHOSEN_ON = "validation_images.txt"
    BEGUN_WITH = "initial_images.txt"
    DEVELOPMENT = "development.json"
    BASELINE = "baseline.json"
    FINISHED = "finished.json"
    EVALUATION = "eval/metrics.json"


_BEFORE_CONFIG = (
    *(RunFile.DEVELOPMENT, RunFile.CHOSEN_ON, RunFile.BEGUN_WITH, RunFile.ENVIRONMENT, RunFile.TRAINED_ON),
    MANIFEST,
)
"""Files that `Run.start` writes before config.toml."""


def is_run(folder: Path) -> bool:
    """Return True if a folder is a run."""
    return (folder / RunFile.CONFIG).exists()


def writing(method: Callable[Concatenate[R, P], None]) -> Callable[Concatenate[R, P], None]:
    """Make a method do nothing for a read-only run, refuse to write if the folder was replaced, and explain a full
    disk.
    """

    @wraps(method)
    def write(run: R, /, *arguments: P.args, **named: P.kwargs) -> None:
        if not run.read_only:
            run.check_folder()
            with explained_disk_errors(f"the run {run.folder}"):
                method(run, *arguments, **named)

    return write


@dataclass(frozen=True)
class RunFolder:
    """Folder of a run, and the process that writes to it."""

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
        if self.is_baseline and (self.folder / RunFile.EVALUATION).exists():
            return False
        files = self.folder.iterdir()
        is_own = is_run(self.folder) or all(one.name in _BEFORE_CONFIG or one.match(".*.part") for one in files)
        return is_own and not is_locked(self.folder)

    @property
    def finished(self) -> bool:
        """True if the training has finished."""
        return (self.folder / RunFile.FINISHED).exists()

    @property
    def is_baseline(self) -> bool:
        """True if the run is a baseline: it has results, but no network."""
        return (self.folder / RunFile.BASELINE).exists()

    @writing
    def make(self) -> None:
        """Create the folder, for this process alone.

        Raises:
            ConfigError: The folder already exists, or cannot be created.

        """
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise ConfigError(f"the run {self.folder} already exists", todo="choose another --name") from error

    @contextmanager
    def written_to(self, *, is_new: bool) -> Iterator[Self]:
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
            if made:
                with suppress(DataError):  # the folder is gone, or another process's by now
                    run.discard_without_checkpoint()
            raise

    def check_folder(self) -> None:
        """Raise DataError if the folder was removed or replaced while this process wrote to it."""
        if self.inode is None:
            return
        with suppress(OSError):
            if self.folder.stat().st_ino == self.inode:
                return
        raise DataError(
            f"{self.folder} was removed or replaced while this command wrote to it",
            todo="run the same command again",
        )

    @writing
    def discard_without_checkpoint(self) -> None:
        """Remove the folder of a run that ended before its first checkpoint and contains nothing to keep."""
        if not self.has_checkpoint:
            shutil.rmtree(self.folder, ignore_errors=True)
            with suppress(OSError):  # the folder has other runs
                self.folder.parent.rmdir()
