"""Tune settings on the development folds: every trial of a study is a development run on each fold.

The test images are never used: a trial's result is the mean over the folds of the best H on their validation images.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

from svipctl.datasets.identity import identity_of
from svipctl.datasets.names import dataset_name
from svipctl.device import choose_device
from svipctl.distributed.ranks import ALONE
from svipctl.errors import CheckFailed, ConfigError, Interrupted
from svipctl.files import atomic_write_text, file_lock
from svipctl.quoting import shell_words
from svipctl.runs.lookup import name_of, new_run
from svipctl.settings.command_line import differences_from_presets, toml_text
from svipctl.settings.keys import flatten
from svipctl.settings.layers import Resolved
from svipctl.settings.schema import Settings
from svipctl.text_files import same_spelling
from svipctl.training.development import FOLDS
from svipctl.training.resume import AUTO
from svipctl.training.search_space import DECIDED, Dimension, search_space
from svipctl.training.session import Listener, Reporting, choose, run_session
from svipctl.training.setup import open_data
from svipctl.training.study import FILE, check_same_request, finished_trials, next_trial, open_study, require_optuna

Configure = Callable[[Mapping[str, Any]], Resolved]
"""Function that resolves the configuration with further values by dotted key, above those of the user."""
WINNER = "best.toml"
"""File with the settings of the best trial, for --config."""


@dataclass(frozen=True)
class Tuning:
    """A study that varies some settings of a configuration."""

    folder: Path
    settings: Settings
    """Configuration without the study's values."""
    space: Mapping[str, Dimension]
    configure: Configure

    def run(self, trials: int, listener: Listener, reporting: Reporting) -> dict[str, Any]:
        """Train until the study has the given number of trials, including earlier ones; return the document of the
        command.

        The first trial is the unchanged configuration, if it is in the search space. A fold whose loss diverges has H
        = 0.

        Raises:
            SvipError: The study was started with another request, another process is using it, or a training stops.

        """
        fixed = {key: value for key, value in flatten(self.settings).items() if key not in DECIDED | set(self.space)}
        request = {**fixed, **identity_of(self.settings.dataset), "recipe": self.settings.recipe}
        request |= {"seed": self.settings.seed} | {f"search {key}": str(one) for key, one in self.space.items()}
        images = {"SHA-256 of the training images' names": self._training_images(listener)}
        start = {key: flatten(self.settings)[key] for key in self.space}
        self.folder.mkdir(parents=True, exist_ok=True)
        with file_lock(self.folder), open_study(self.folder) as study:
            check_same_request(study, request)
            check_same_request(study, images, "images")
            while (number := len(finished_trials(study))) < trials:
                trial, values = next_trial(study, self.space, start, self.settings.seed)
                listener.note(f"trial {number + 1} of {trials}: " + ", ".join(f"{k}={v}" for k, v in values.items()))
                figures = self._figures(number, values, listener, reporting)
                trial.set_user_attr("folds", figures)
                trial.set_user_attr("settings", values)
                study.tell(trial, round(fmean(figures), 3))
                listener.note(f"trial {number + 1} of {trials}: H {fmean(figures):.1f} on the folds")
            found = [{"H": one.value, **one.user_attrs} for one in finished_trials(study)]
        best = max(found, key=lambda one: one["H"])
        settings = fold_configuration(self.configure, self.folder, best["settings"], 0, FOLDS[0]).settings
        atomic_write_text(self.folder / WINNER, winner_toml(settings, best))
        head = {"dataset": self.folder.parent.name, "recipe": self.settings.recipe, "study": str(self.folder)}
        return {**head, "config": str(self.folder / WINNER), "best": best, "trials": found}

    def _training_images(self, listener: Listener) -> str:
        """Return the SHA-256 of the names of the training images, in NFC; the data are not kept in memory."""
        with listener.progress(f"generating the classes of {self.settings.dataset}") as progress:
            benchmark = open_data(self.settings, progress)[0]
        names = sorted(map(same_spelling, benchmark.files(benchmark.trainval)))
        return sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()

    def _figures(self, number: int, values: Mapping[str, Any], listener: Listener, reporting: Reporting) -> list[float]:
        """Return the best H of each fold's last epoch in percent; checkpoints are removed when a fold is done."""
        figures, runs = [], self.folder / self.folder.parent.name
        for fold in FOLDS:
            configured = fold_configuration(self.configure, self.folder, values, number + 1, fold)
            resume = AUTO if (runs / configured.settings.name).exists() else None
            session = choose(configured.settings, configured.origins, resume, ALONE)
            try:
                if not session.is_done:
                    run_session(session, ALONE, listener, reporting)
                figures.append(float(session.run.metrics[-1]["H_oracle"]))
            except CheckFailed as error:
                listener.warn(f"fold {fold} of trial {number + 1} failed and counts as H = 0: {error.what}")
                figures.append(0.0)
            except Interrupted as error:
                raise type(error)(error.what, why=error.why, todo="run the same command again") from error
            shutil.rmtree(session.run.folder / "checkpoints", ignore_errors=True)
        return figures


def plan_tuning(configure: Configure, search: Sequence[str]) -> Tuning:
    """Return the study of a configuration, without writing anything.

    Args:
        configure: Function that resolves the configuration with further values by dotted key, above those of the user.
        search: Settings to vary, as for `search_space`.

    Raises:
        ConfigError: Optuna is missing; or a fold, test, several devices or an invalid value is requested.

    """
    require_optuna()
    configured = configure({})
    check_never_tests(configured)
    settings = configured.settings
    choose_device(settings.gpu)
    named = settings.model_copy(update={"name": settings.name or f"{name_of(settings)}-tune"})
    folder = settings.runs_dir / dataset_name(settings.dataset) / named.name
    if not (folder / FILE).exists():
        new_run(named, replace_abandoned=True)
    space = search_space(configured, search)
    for key, dimension in space.items():
        for value in dimension.corners:
            fold_configuration(configure, folder, {key: value}, 0, FOLDS[0])
    return Tuning(folder, settings, space, configure)


def fold_configuration(
    configure: Configure, folder: Path, values: Mapping[str, Any], trial: int, fold: int
) -> Resolved:
    """Return the configuration of the development run of a trial, counted from 1, on a fold."""
    decided = {"train.fold": fold, "train.monitor": "validation", "train.select": "last"}
    decided |= {"name": f"trial{trial}-fold{fold}", "runs_dir": folder, **values}
    resolved = configure(decided)
    found = flatten(resolved.settings)
    for key, value in decided.items():
        if found[key] != (tuple(value) if isinstance(value, list) else value):
            raise ConfigError(
                f"tune sets {key} itself, so --set {key} cannot be used", todo=f"omit {shell_words('--set', key)}"
            )
    return resolved


def check_never_tests(configured: Resolved) -> None:
    """Raise ConfigError if a fold, the test images or several devices are requested by anything but a preset."""
    settings = configured.settings
    for key in ("train.fold", "train.monitor", "train.select"):
        value, origin = flatten(settings)[key], configured.origins.get(key, "default")
        is_asked = not origin.startswith(("default", "preset", "recipe"))
        if is_asked and (key == "train.fold" or value == "test"):
            raise ConfigError(
                f"{key} = {value} ({origin}) contradicts tuning",
                why="settings are chosen on the validation images of all folds, and never on test",
                todo="omit it",
            )
    if "," in settings.gpu:
        raise ConfigError(f"--gpu {settings.gpu} names several devices", todo="tune on one: --gpu 0")


def winner_toml(settings: Settings, best: Mapping[str, Any]) -> str:
    """Return the differences of the best trial from the presets, as a file for --config.

    Args:
        settings: Settings of one of the trial's runs.
        best: The trial's result `H`, that of each of its `folds`, and its `settings`.

    """
    given = {key: value for key, value in differences_from_presets(settings).items() if key not in DECIDED}
    values = {"recipe": settings.recipe, "model.backbone": settings.model.backbone, **given, **best["settings"]}
    folds = ", ".join(f"{figure:.1f}" for figure in best["folds"])
    head = f"# {settings.dataset}: best H {best['H']:.1f} on validation images, mean over folds ({folds})"
    return f"{head}\n{toml_text(values, {}, {})}\n"
