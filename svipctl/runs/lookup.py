"""Find the run of a name, the newest finished run, or the name for a new run."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from svipctl.datasets.identity import FOLDER
from svipctl.datasets.names import NAMED, OFFICIAL, check_dataset, dataset_name
from svipctl.errors import ConfigError, DataError, nearest, system_error
from svipctl.files import is_locked
from svipctl.quoting import shell_command, shell_words
from svipctl.runs.folder import RunFile, is_run
from svipctl.runs.run import Run
from svipctl.settings.schema import Settings

TABLE = "table"
"""Beginning of the names of the runs of `svipctl reproduce`, unless the user sets another."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def new_run(settings: Settings, *, replace_abandoned: bool = False) -> Run:
    """Return a run folder that does not exist yet, with the user's name or one made from recipe and seed.

    Args:
        settings: The configuration.
        replace_abandoned: A run of the user's name may exist if it is abandoned.

    Raises:
        ConfigError: The name is taken or unusable as a folder name.

    """
    folder = settings.runs_dir / dataset_name(settings.dataset)
    if not settings.name:
        stem = name_of(settings)
        taken = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, len(taken) + 2))
        return Run(folder / next(name for name in names if name not in taken))
    check_name(settings.name)
    run = Run(folder / settings.name)
    if run.folder.exists() and not (replace_abandoned and run.is_abandoned):
        go_on = (
            f"{shell_words('--resume', run.name)} continues it; or " if run.has_checkpoint and not run.finished else ""
        )
        raise ConfigError(
            f"the run {run.folder} already exists", todo=f"{go_on}choose another --name, or move that run away"
        )
    return run


def check_name(name: str) -> None:
    """Raise ConfigError unless a run can have this name."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a valid run name",
            todo="use letters, digits, dot, dash and underscore, and begin with a letter or digit",
        )


def name_of(settings: Settings) -> str:
    """Return the name of a run that the user did not name, without the number that is appended from the second run
    on.
    """
    return f"{settings.recipe}-seed{settings.seed}" + (f"-fold{settings.train.fold}" if settings.train.fold else "")


def owner_of(checkpoint: Path) -> Run | None:
    """Return the run that a checkpoint folder, or the weights file in it, belongs to."""
    resolved = checkpoint.resolve()
    folder = resolved.parent if resolved.is_file() else resolved
    return next((Run(one) for one in (folder, *folder.parents[:2]) if is_run(one)), None)


def list_runs(runs_dir: Path, dataset: str | None = None) -> list[Run]:
    """Return the runs of a data set, or of one data set after another, oldest first.

    Raises:
        DataError: A folder may not be read.

    """
    folders = sorted(runs_dir.glob("*")) if dataset is None else [runs_dir / dataset_name(dataset)]
    begun: dict[Path, int] = {}
    try:
        for path in [path for folder in folders if folder.is_dir() for path in folder.iterdir()]:
            with suppress(FileNotFoundError, NotADirectoryError):  # not a run; one that may not be read is an error
                begun[path] = os.stat(path / RunFile.CONFIG).st_mtime_ns  # noqa: PTH116 (Path.glob hides such errors)
    except OSError as error:
        raise system_error(error, error.filename or runs_dir) from error
    return [Run(path) for path in sorted(begun, key=lambda path: (path.parent, begun[path], path.name))]


def find_run(runs_dir: Path, dataset: str, name: str | None = None, *, data_dir: Path | None = None) -> Run:
    """Return the run of a name or path, or the newest finished run, preferring runs that are neither baselines nor
    table rows.

    Raises:
        DataError: There is no such run.
        ConfigError: The data set does not exist either.

    """
    runs = list_runs(runs_dir, dataset)
    if not runs:
        check_dataset(dataset, is_complete=True)
    if name is None:
        finished = [run for run in runs if run.finished]
        own = [run for run in finished if run.is_of(dataset)]
        if own:
            return _selectable(own)[-1]
        if finished:
            others = sorted({str(run.environment()[FOLDER]) for run in finished})
            raise DataError(
                f"the runs in {runs_dir / dataset_name(dataset)} were trained on another data folder with that name",
                why=f"they were trained on {', '.join(others)}",
                todo=f"train a run on {dataset} with a separate --runs-dir, or use the existing run: "
                + shell_words("--run", finished[-1].name),
            )
        unfinished = f"; unfinished: {', '.join(run.name for run in runs)}" if runs else ""
        raise DataError(
            f"there is no finished run of {dataset_name(dataset)} in {runs_dir}{unfinished}",
            todo=_advice(dataset, runs, data_dir),
        )
    found = _called(name, runs_dir / dataset_name(dataset) / name, Path(name))
    if found is None:
        raise _no_run(name, runs, f"{runs_dir} has no runs of {dataset_name(dataset)}", dataset)
    return found


def _called(name: str, *candidates: Path) -> Run | None:
    """Return the run in the first of some folders; raise ConfigError for an address of the Hub, which is not a run."""
    if name.startswith("hf:"):
        raise ConfigError(
            f"--run takes a run on this machine, not {name}",
            why="only eval, and svipctl.load in Python, accept an address of the Hub",
            todo=shell_command("eval", "DATASET", "--checkpoint", name),
        )
    return next((Run(folder) for folder in candidates if is_run(folder)), None)


def _no_run(name: str, runs: Sequence[Run], none: str, dataset: str) -> DataError:
    """Return the error for an unknown name; `none` is the reason without any runs, `dataset` one to train on."""
    return DataError(
        f"there is no run {name!r}",
        why=nearest(name, [run.name for run in runs]) if runs else none,
        todo="pass the name or the folder of a run" if runs else f"train one: {shell_command('train', dataset)}",
    )


def _advice(dataset: str, runs: Sequence[Run], data_dir: Path | None) -> str:
    """Return what to do if no run is finished."""
    if not runs:
        to_fetch = dataset in OFFICIAL and data_dir is not None and not (data_dir / dataset).is_dir()
        fetching = f"{shell_command('data', 'fetch', dataset)}, then " if to_fetch else ""
        return f"{fetching}train one: {shell_command('train', dataset)}"
    as_it_is = f", or use it as it is: {shell_words('--run', runs[-1].name)}" if runs[-1].best.exists() else ""
    if is_locked(runs[-1].folder):
        return f"wait for the training of {runs[-1].name} to finish{as_it_is}"
    return shell_command("train", dataset, "--resume") + as_it_is


def find_run_of_any(runs_dir: Path, name: str | None = None) -> Run:
    """Return the run of a path, `<data set>/<name>` or name, or else the newest finished run of any data set, as
    `find_run`.

    Raises:
        DataError: There is no such run.
        ConfigError: Several data sets have a run of that name.

    """
    if name is None:
        finished = [run for run in list_runs(runs_dir) if run.finished]
        if not finished:
            raise DataError(f"there is no finished run in {runs_dir}", todo="train one: svipctl train toybirds")
        return max(_selectable(finished), key=lambda run: ((run.folder / RunFile.CONFIG).stat().st_mtime_ns, run.name))
    if named := _called(name, Path(name), runs_dir / name):
        return named
    found = [folder / name for folder in sorted(runs_dir.glob("*")) if is_run(folder / name)]
    if len(found) > 1:
        raise ConfigError(
            f"several data sets have a run {name!r}",
            why=", ".join(str(path) for path in found),
            todo=f"pass its data set too: {shell_words('--run', f'{found[0].parent.name}/{name}')}",
        )
    if not found:
        raise _no_run(name, list_runs(runs_dir), f"{runs_dir} has no runs", "toybirds")
    return Run(found[0])


def _selectable(finished: Sequence[Run]) -> Sequence[Run]:
    """Return the runs that may be selected without a name: neither baselines nor table rows, unless there are no
    others.
    """
    return [run for run in finished if not run.is_baseline and not is_row_of_table(run)] or finished


def is_row_of_table(run: Run) -> bool:
    """Return True if `svipctl reproduce` named the run."""
    return run.name.startswith(f"{TABLE}-")


def check_is_no_dataset(images: Sequence[str], runs_dir: Path) -> None:
    """Raise ConfigError if the first image is the name of a data set, which other commands take first.

    Args:
        images: The images of the command line.
        runs_dir: Folder of the runs, one of which is suggested.

    """
    dataset, *others = images
    if others:
        runs = list_runs(runs_dir, dataset)
        why = "--run selects the run, and with it the data set"
        todo = f"train a run first: {shell_command('train', dataset)}"
        if runs:
            todo = shell_command("predict", *others, "--run", f"{dataset_name(dataset)}/{runs[-1].name}")
    elif dataset in NAMED:
        why, todo = "eval classifies the test images of a data set", shell_command("eval", dataset)
    else:
        return
    raise ConfigError(f"predict takes images, but {dataset} is a data set", why=why, todo=todo)
