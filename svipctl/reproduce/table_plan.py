"""Plan a table: rows x folds x seeds as a list of commands, without running or writing anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.names import BUILT_IN
from svipctl.errors import ConfigError
from svipctl.quoting import shell_command, shell_words
from svipctl.reproduce.rows import FULL, Row, all_rows, reason_to_leave_out
from svipctl.runs.lookup import TABLE, check_name
from svipctl.settings.command_line import setting_arguments, train_arguments
from svipctl.settings.keys import flatten
from svipctl.settings.layers import Resolved
from svipctl.settings.schema import Settings

StepKind = Literal["development", "final", "evaluation", "baseline"]
Overrides = Mapping[str, Any]
"""Dotted settings from flags, above presets, svipctl.toml, --config and environment."""
Configure = Callable[[Overrides], Settings]
"""Function that resolves the settings of a command with these overrides."""


@dataclass(frozen=True)
class TableRequest:
    """Request for a table."""

    dataset: str
    rows: Mapping[str, tuple[Row, ...]]
    """Recipe -> its rows."""
    seeds: int
    folds: int
    baselines: tuple[str, ...]
    overrides: Overrides = field(default_factory=dict)
    """Settings of every row."""
    config: Path | None = None
    """The file of --config."""
    prefix: str = TABLE
    """First word of the names of all runs."""

    @property
    def command(self) -> str:
        """The request as a shell command, without `--jobs`, `--launcher` and `--output`, which change no
        number.
        """
        controls: list[str] = []
        for recipe, rows in self.rows.items():
            every = len(rows) == len(all_rows(recipe))
            names = ["all"] if every else [row.name for row in rows if row.name != FULL]
            controls += [f"{recipe}/{name}" for name in names]
        words = ["svipctl", "reproduce", self.dataset, "--recipes", ",".join(self.rows)]
        words += ["--controls", ",".join(controls) or "none", "--seeds", f"{self.seeds}", "--folds", f"{self.folds}"]
        words += [] if self.baselines else ["--no-baselines"]
        words += [] if self.prefix == TABLE else ["--name", self.prefix]
        return shell_words(*words, *setting_arguments(self.overrides), *self.config_arguments)

    @property
    def config_arguments(self) -> tuple[str, ...]:
        """`--config FILE` if it was given."""
        return () if self.config is None else ("--config", str(self.config))


@dataclass(frozen=True)
class TableStep:
    """One command of the plan."""

    kind: StepKind
    run: str
    """Name of the run's folder."""
    row: str
    recipe: str
    """Recipe; empty for a baseline."""
    arguments: tuple[str, ...]
    """Arguments after `svipctl`."""
    settings: Settings
    """The configuration of the run."""
    needs: tuple[str, ...] = ()
    """Keys of the steps that must be done before."""
    seed: int | None = None

    @property
    def key(self) -> str:
        """Identifier, unique within the plan."""
        return f"{self.arguments[0]} {self.run}"

    @property
    def command(self) -> str:
        """The step as a shell command."""
        return shell_command(*self.arguments)


@dataclass(frozen=True)
class TablePlan:
    """Every step of a table."""

    request: TableRequest
    steps: tuple[TableStep, ...]
    """Steps in an order in which they can be run by hand."""
    left_out: Mapping[str, str]
    """`recipe/row` -> reason why it is not run."""


def flag_overrides(configured: Resolved) -> dict[str, Any]:
    """Return the settings of flags, including those of `--set`.

    Raises:
        ConfigError: A setting differs between the runs of the table.

    """
    given = {key: value for key, value in flatten(configured.settings).items() if configured.origins.get(key) == "flag"}
    del given["dataset"]
    for key in sorted(_DECIDED.intersection(given)):
        raise ConfigError(
            f"--set {key}: the table sets it for each of its runs",
            todo="omit it; --recipes, --seeds, --folds and --name choose the runs",
        )
    return given


def available_in(benchmark: Benchmark, settings: Settings, folds: int) -> set[str]:
    """Return which of `objects` and `words` a data set has.

    Raises:
        DataError: The data set has fewer folds.

    """
    for fold in range(1, folds + 1):
        benchmark.split(fold)
    has_words = settings.dataset in BUILT_IN or benchmark.word_vectors_file.exists()
    has_objects = bool(benchmark.masks) or benchmark.boxes is not None
    return {name for name, exists in (("objects", has_objects), ("words", has_words)) if exists}


def make_plan(request: TableRequest, configure: Configure, available: Collection[str]) -> TablePlan:
    """Return every step of the table.

    Baselines come first (they take seconds), then the full method of every recipe, then the controls.

    Args:
        request: The table.
        configure: Function that resolves the settings of a command.
        available: Which of `objects` and `words` the data set has.

    Raises:
        ConfigError: A configuration has errors, or no run can have the prefix of the request in its name.

    """
    check_name(request.prefix)
    steps = [_baseline_step(request, configure, method) for method in request.baselines]
    left_out: dict[str, str] = {}
    full = {recipe: flatten(configure({"recipe": recipe, **request.overrides})) for recipe in request.rows}
    rows = [(recipe, row) for recipe, rows in request.rows.items() for row in rows]
    for recipe, row in sorted(rows, key=lambda pair: pair[1].name != FULL):
        reason = reason_to_leave_out(row, full[recipe], available)
        if reason:
            left_out[f"{recipe}/{row.name}"] = reason
        else:
            overrides = {"recipe": recipe, **request.overrides, **row.switches}
            steps += _row_steps(request, configure, row, overrides)
    return TablePlan(request, tuple(steps), left_out)


def _row_steps(request: TableRequest, configure: Configure, row: Row, overrides: Overrides) -> Iterator[TableStep]:
    """Yield the development runs of a row, then a final run and its evaluation for each seed."""
    recipe = overrides["recipe"]
    stem = f"{request.prefix}-{recipe}-{row.name}"
    folds = [f"{stem}-fold{fold}" for fold in range(1, request.folds + 1)]

    def training(kind: StepKind, own: Overrides, development: Sequence[str] = ()) -> TableStep:
        # Every run keeps its last epoch, so that all rows are trained equally long.
        settings = {**overrides, "train.select": "last", **own}
        return TableStep(
            kind,
            run=own["name"],
            row=row.name,
            recipe=recipe,
            arguments=(*train_arguments(request.dataset, settings, development), *request.config_arguments),
            settings=configure(settings),
            needs=tuple(f"train {name}" for name in development),
            seed=own["seed"],
        )

    for fold, name in enumerate(folds, start=1):
        yield training("development", {"train.monitor": "validation", "train.fold": fold, "seed": 0, "name": name})
    # The published code chooses its epoch on test: `reference` evaluates test to show that, and keeps its last epoch.
    monitor = "test" if recipe == "reference" else "none"
    scoring = {key: value for key, value in request.overrides.items() if key.startswith("eval.") or key in _SCORING}
    for seed in range(request.seeds):
        final = training("final", {"train.monitor": monitor, "seed": seed, "name": f"{stem}-seed{seed}"}, folds)
        yield final
        arguments = (
            "eval",
            request.dataset,
            *setting_arguments(scoring),
            *request.config_arguments,
            "--run",
            final.run,
        )
        yield replace(final, kind="evaluation", arguments=arguments, needs=(final.key,))


def _baseline_step(request: TableRequest, configure: Configure, method: str) -> TableStep:
    overrides = {key: value for key, value in request.overrides.items() if not key.startswith(OF_TRAINING)}
    overrides["name"] = f"{request.prefix}-{method}"
    folds = (word for fold in range(1, request.folds + 1) for word in ("--fold", f"{fold}"))
    words = ("baseline", request.dataset, "--method", method, *folds, *setting_arguments(overrides))
    return TableStep(
        "baseline",
        run=overrides["name"],
        row=method,
        recipe="",
        arguments=(*words, *request.config_arguments),
        settings=configure(overrides),
    )


OF_TRAINING = ("optim.", "train.", "method.", "recipe")
"""Prefixes of the settings that no baseline depends on."""
_DECIDED = frozenset(["recipe", "seed", "name", "train.fold", "train.monitor", "train.select"])
_SCORING = frozenset(["data_dir", "runs_dir", "gpu", "precision", "data.workers"])
