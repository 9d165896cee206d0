"""Find the run of a name, the newest finished run, or the name for a new run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from svipctl.datasets.identity import FOLDER
from svipctl.datasets.names import OFFICIAL, check_dataset, dataset_name
from svipctl.errors import ConfigError, DataError, nearest
from svipctl.quoting import shell_command, shell_words
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
    if not _NAME.fullmatch(settings.name):
        raise ConfigError(
            f"{settings.name!r} is not a valid run name", why="use letters, digits, dot, dash and underscore"
        )
    run = Run(folder / settings.name)
    if run.folder.exists() and not (replace_abandoned and run.is_abandoned):
        go_on = (
            f"{shell_words('--resume', run.name)} continues it; or " if run.has_checkpoint and not run.finished else ""
        )
        raise ConfigError(
            f"the run {run.folder} already exists", todo=f"{go_on}choose another --name, or move that run away"
        )
    return run


def name_of(settings: Settings) -> str:
    """Return the name of a run that the user did not name, without the number that is appended from the second run
    on.
    """
    return f"{settings.recipe}-seed{settings.seed}" + (f"-fold{settings.train.fold}" if settings.train.fold else "")


def owner_of(checkpoint: Path) -> Run | None:
    """Return the run that a checkpoint folder, or the file of weights in it, belongs to."""
    resolved = checkpoint.resolve()
    folders = (resolved, resolved.parent.parent, resolved.parent.parent.parent)
    return next((Run(folder) for folder in folders if (folder / "config.toml").exists()), None)


def list_runs(runs_dir: Path, dataset: str) -> list[Run]:
    """Return the runs of a data set, oldest first."""
    folder = runs_dir / dataset_name(dataset)
    found = [path.parent for path in folder.glob("*/config.toml")]
    return [
        Run(path) for path in sorted(found, key=lambda path: ((path / "config.toml").stat().st_mtime_ns, path.name))
    ]


def find_run(runs_dir: Path, dataset: str, name: str | None = None, *, data_dir: Path | None = None) -> Run:
    """Return the run of a name or path, or the newest finished run, preferring runs that are neither baselines nor
    table rows.

    Raises:
        DataError: There is no such run.
        ConfigError: The data set does not exist either.

    """
    runs = list_runs(runs_dir, dataset)
    if not runs:
        check_dataset(dataset)
    if name is None:
        finished = [run for run in runs if run.finished]
        own = [run for run in finished if run.is_of(dataset)]
        if own:
            return _selectable(own)[-1]
        if finished:
            others = sorted({str(run.environment()[FOLDER]) for run in finished})
            raise DataError(
                f"the runs in {runs_dir / dataset_name(dataset)} were trained on another folder of that name",
                why=", ".join(others),
                todo=f"train one on {dataset}, with a --runs-dir of its own; or use it anyway: "
                + shell_words("--run", finished[-1].name),
            )
        unfinished = f"; unfinished: {', '.join(run.name for run in runs)}" if runs else ""
        raise DataError(
            f"there is no finished run of {dataset_name(dataset)} in {runs_dir}{unfinished}",
            todo=_advice(dataset, runs, data_dir),
        )
    for candidate in (runs_dir / dataset_name(dataset) / name, Path(name)):
        if (candidate / "config.toml").exists():
            return Run(candidate)
    raise DataError(
        f"there is no run {name!r}",
        why=nearest(name, [run.name for run in runs]) if runs else f"{runs_dir} has no runs of {dataset_name(dataset)}",
        todo="pass the name or the folder of a run" if runs else f"train one: {shell_command('train', dataset)}",
    )


def _advice(dataset: str, runs: Sequence[Run], data_dir: Path | None) -> str:
    """Return what to do if no run is finished."""
    if not runs:
        to_fetch = dataset in OFFICIAL and data_dir is not None and not (data_dir / dataset).is_dir()
        fetching = f"{shell_command('data', 'fetch', dataset)}, then " if to_fetch else ""
        return f"{fetching}train one: {shell_command('train', dataset)}"
    as_it_is = f", or use it as it is: {shell_words('--run', runs[-1].name)}" if runs[-1].best.exists() else ""
    return shell_command("train", dataset, "--resume") + as_it_is


def find_run_of_any(runs_dir: Path, name: str | None = None) -> Run:
    """Return the run of a path, `<data set>/<name>` or name, or else the newest finished run of any data set, as
    `find_run`.

    Raises:
        DataError: There is no such run.
        ConfigError: Several data sets have a run of that name.

    """
    folders = [path for path in sorted(runs_dir.glob("*")) if path.is_dir()]
    if name is None:
        finished = [run for folder in folders for run in list_runs(runs_dir, folder.name) if run.finished]
        if not finished:
            raise DataError(f"there is no finished run in {runs_dir}", todo="train one: svipctl train toybirds")
        return max(_selectable(finished), key=lambda run: ((run.folder / "config.toml").stat().st_mtime_ns, run.name))
    for candidate in (Path(name), runs_dir / name):
        if (candidate / "config.toml").exists():
            return Run(candidate)
    found = [folder / name for folder in folders if (folder / name / "config.toml").exists()]
    if len(found) > 1:
        raise ConfigError(
            f"several data sets have a run {name!r}",
            why=", ".join(str(path) for path in found),
            todo=f"pass its data set too: {shell_words('--run', f'{found[0].parent.name}/{name}')}",
        )
    if found:
        return Run(found[0])
    known = [run.name for folder in folders for run in list_runs(runs_dir, folder.name)]
    raise DataError(
        f"there is no run {name!r}",
        why=nearest(name, known) if known else f"{runs_dir} has no runs",
        todo="pass the name or the folder of a run" if known else "train one: svipctl train toybirds",
    )


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
        raise ConfigError(
            f"{dataset} is a data set, and predict takes images",
            why="the run determines the data set",
            todo=shell_command("predict", *others, "--run", f"{dataset_name(dataset)}/{runs[-1].name}")
            if runs
            else f"train a run first: {shell_command('train', dataset)}",
        )
