"""Store the Optuna study of `svipctl tune` in a file of its folder: propose trials and record their results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svipctl.errors import ConfigError, DataError, ResourceError
from svipctl.training.search_space import Dimension

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

FILE = "study.db"
"""Optuna's storage in the folder of a study, SQLite."""


def require_optuna() -> None:
    """Raise ConfigError unless Optuna is installed."""
    try:
        import optuna
    except ImportError as error:
        raise ConfigError("Optuna is not installed", todo="pip install 'svipctl[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@contextmanager
def open_study(folder: Path) -> Iterator[Study]:
    """Open the study of a folder, or create it.

    Raises:
        DataError: The file of the study is damaged.
        ResourceError: The disk is full.

    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / FILE).resolve()}")
        study = optuna.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
    except (SQLAlchemyError, RuntimeError) as error:
        if "disk is full" in str(error) or "disk I/O error" in str(error):
            raise ResourceError(f"no space left while writing {folder / FILE}", todo="free some space") from error
        raise DataError(
            f"{folder / FILE} is damaged", why=str(error).partition("\n")[0], todo="start a study with another --name"
        ) from error
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def check_same_request(study: Study, request: Mapping[str, Any], part: str = "request") -> None:
    """Record the request of a study, or another part of what its trials share; raise ConfigError if it was started
    with another one.
    """
    request = json.loads(json.dumps(request, default=str))
    before = study.user_attrs.get(part)
    if before is None:
        study.set_user_attr(part, request)
        return
    keys = sorted(key for key in {*before, *request} if before.get(key) != request.get(key))
    if keys:
        raise ConfigError(
            "the study was started with another configuration, search or data set",
            why="\n".join(f"{key}: {before.get(key)} in the study, {request.get(key)} now" for key in keys),
            todo="use the same flags and data set, or choose another --name",
        )


def finished_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that have a result, oldest first."""
    from optuna.trial import TrialState

    return study.get_trials(states=(TrialState.COMPLETE,))


def next_trial(
    study: Study, space: Mapping[str, Dimension], start: Mapping[str, Any], seed: int
) -> tuple[Trial, dict[str, Any]]:
    """Return a trial and its values.

    An interrupted trial is proposed again. The first trial is the start.

    Args:
        study: The study.
        space: Setting -> values.
        start: Setting -> configured value.
        seed: Random seed. An interrupted study continues as it would have.

    """
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    if not study.trials and all(value in space[key] for key, value in start.items()):
        study.enqueue_trial({key: space[key].encoded(value) for key, value in start.items()})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    study.sampler = TPESampler(seed=(1000 * seed + len(finished_trials(study))) % 2**32)
    asked = study.ask()
    return asked, {key: dimension.suggest(asked, key) for key, dimension in space.items()}
