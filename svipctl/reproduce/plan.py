"""From what is asked for to a list of command lines: rows x folds x seeds, as values. Nothing is run or written here."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from svipctl.reproduce.rows import FULL, Row, all_rows, why_left_out
from svipctl.runs.finding import TABLE
from svipctl.settings.layers import flatten
from svipctl.settings.schema import Settings

Kind = Literal["development", "final", "evaluation", "baseline"]


class Configure(Protocol):
    """The configuration that a command line gives, all layers considered."""

    def __call__(self, assignments: Sequence[str], *, without: Sequence[str] = (), **flags: object) -> Settings:
        """`assignments` of --set; `without` names flags of the request that the command does not get; dotted keys of
        more named flags with double underscores for dots.
        """


@dataclass(frozen=True)
class Flag:
    """A flag of `reproduce` that is handed on to the commands of the plan."""

    words: tuple[str, ...]
    """As typed: `("--backbone", "lite")`."""
    key: str
    """The setting it gives; `set` for --set, "" for none."""


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    dataset: str
    rows: Mapping[str, tuple[Row, ...]]
    """Over each recipe."""
    seeds: int
    folds: int
    baselines: tuple[str, ...]
    flags: tuple[Flag, ...] = ()
    prefix: str = TABLE

    @property
    def assignments(self) -> tuple[str, ...]:
        """Of --set."""
        return tuple(flag.words[1] for flag in self.flags if flag.key == "set")

    @property
    def command(self) -> str:
        """It as a line for a shell; where and how many at once it runs left out, which changes nothing."""
        every = len(all_rows())
        controls = [
            f"{recipe}/{name}"
            for recipe, rows in self.rows.items()
            for name in (["all"] if len(rows) == every else [row.name for row in rows if row.name != FULL])
        ]
        words = ["svipctl", "reproduce", self.dataset, "--recipes", ",".join(self.rows)]
        words += ["--controls", ",".join(controls) or "none", "--seeds", f"{self.seeds}", "--folds", f"{self.folds}"]
        words += [] if self.baselines else ["--no-baselines"]
        words += [] if self.prefix == TABLE else ["--name", self.prefix]
        return shlex.join([*words, *(word for flag in self.flags for word in flag.words)])


@dataclass(frozen=True)
class Step:
    """One command of the plan."""

    kind: Kind
    run: str
    """Name of the run's folder."""
    row: str
    recipe: str
    """Empty for a baseline."""
    arguments: tuple[str, ...]
    """What follows `svipctl`."""
    settings: Settings
    """What the run's config.toml holds, or is to hold."""
    needs: tuple[str, ...] = ()
    """Keys of the steps that have to be done before."""
    seed: int | None = None

    @property
    def key(self) -> str:
        """Unique within the plan."""
        return f"{self.arguments[0]} {self.run}"

    @property
    def command(self) -> str:
        """A line for a shell."""
        return shlex.join(["svipctl", *self.arguments])


@dataclass(frozen=True)
class Plan:
    """Everything that makes the table."""

    request: Request
    steps: tuple[Step, ...]
    """In an order in which they can be run by hand."""
    left_out: Mapping[str, str]
    """`recipe/row` -> why it is not run."""

    def runs(self, recipe: str, row: str) -> list[Step]:
        """The final runs of a row, by seed."""
        return [step for step in self.steps if (step.kind, step.recipe, step.row) == ("final", recipe, row)]


def make_plan(request: Request, configure: Configure, has: Collection[str]) -> Plan:
    """Every run of the table.

    Baselines come first (they take seconds), then the full method of every recipe, then the controls.

    Args:
        request: What is asked for.
        configure: Resolves a command's configuration.
        has: What the benchmark has, of `objects` and `words`.

    Raises:
        ConfigError: A configuration has errors.

    """
    steps: list[Step] = [_baseline(request, configure, name) for name in request.baselines]
    left_out: dict[str, str] = {}
    for is_full in (True, False):
        for recipe, rows in request.rows.items():
            full = flatten(configure(request.assignments, recipe=recipe))
            present = {*has, *(["windows"] if full["model.window"] > 1 else [])}
            for row in rows:
                if (row.name == FULL) is not is_full:
                    continue
                asked = flatten(configure([*request.assignments, *row.assignments], recipe=recipe))
                changed = [key for key, value in asked.items() if full[key] != value]
                why = why_left_out(row, changed, full, present)
                if why:
                    left_out[f"{recipe}/{row.name}"] = why
                else:
                    steps += _row(request, configure, recipe, row)
    return Plan(request, tuple(steps), left_out)


def _row(request: Request, configure: Configure, recipe: str, row: Row) -> Iterator[Step]:
    step = partial(Step, row=row.name, recipe=recipe)
    stem = f"{request.prefix}-{recipe}-{row.name}"
    folds = {fold: f"{stem}-fold{fold}" for fold in range(1, request.folds + 1)}
    base = ("train", request.dataset, "--recipe", recipe)
    switches = _assigned(row.assignments)
    # The last epoch of a fold, as of a final run: every row has the same epochs.
    watching = ("train.monitor=validation", "train.select=last")
    for fold, name in folds.items():
        sets = [*request.assignments, *row.assignments, *watching]
        yield step(
            kind="development",
            run=name,
            arguments=(
                *base,
                *_handed_on(request, _TRAINING),
                *switches,
                *_assigned(watching),
                *("--fold", f"{fold}", "--seed", "0", "--name", name),
            ),
            settings=configure(sets, recipe=recipe, train__fold=fold, seed=0, name=name),
            seed=0,
        )
    epochs = configure([*request.assignments, *row.assignments], recipe=recipe).train.epochs
    # The published code chooses its epoch on test: `reference` shows what that gives, and keeps its last epoch.
    watched = ("train.monitor=test",) if recipe == "reference" else ("train.monitor=none",)
    for seed in range(request.seeds):
        name = f"{stem}-seed{seed}"
        origins = tuple(word for fold in folds.values() for word in ("--from-development", fold))
        sets = [*request.assignments, *row.assignments, *watched]
        settings = configure(sets, recipe=recipe, seed=seed, name=name, train__select="last", train__epochs=epochs)
        yield step(
            kind="final",
            run=name,
            arguments=(
                *base,
                *_handed_on(request, _TRAINING - {"train.epochs"}),
                *switches,
                *_assigned(watched),
                *("--seed", f"{seed}", "--final", *origins, "--name", name),
            ),
            settings=settings,
            needs=tuple(f"train {fold}" for fold in folds.values()),
            seed=seed,
        )
        yield step(
            kind="evaluation",
            run=name,
            arguments=("eval", request.dataset, *_handed_on(request, _EVALUATION), "--run", name),
            settings=settings,
            needs=(f"train {name}",),
            seed=seed,
        )


def _baseline(request: Request, configure: Configure, method: str) -> Step:
    name = f"{request.prefix}-{method}"
    folds = tuple(word for fold in range(1, request.folds + 1) for word in ("--fold", f"{fold}"))
    return Step(
        kind="baseline",
        run=name,
        row=method,
        recipe="",
        arguments=(
            *("baseline", request.dataset, "--method", method, *folds),
            *_handed_on(request, _BASELINE),
            *("--name", name),
        ),
        settings=configure(request.assignments, name=name, without=tuple(_OF_TRAINING)),
    )


DECIDED = frozenset(["dataset", "recipe", "seed", "name", "train.fold", "train.monitor", "train.select"])
"""Settings that the plan gives each command; one for all of them would make a table of something else."""
_PLACES = frozenset(["data_dir", "runs_dir", "gpu", "precision", "config"])
_OF_TRAINING = frozenset(["train.epochs", "train.batch_size", "optim.lr"])
_BASELINE = _PLACES | {"model.backbone", "model.weights", "data.allow_partial", "offline", "set"}
_TRAINING = _BASELINE | _OF_TRAINING
_EVALUATION = _PLACES | {"eval"}


def _handed_on(request: Request, keys: Collection[str]) -> Iterator[str]:
    for flag in request.flags:
        assigned = flag.words[1].partition("=")[0].strip() if flag.key == "set" else ""
        is_of_evaluation = assigned.startswith("eval.") or assigned in _PLACES | {"data.workers"}
        if flag.key in keys or ("eval" in keys and is_of_evaluation):
            yield from flag.words


def _assigned(assignments: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for assignment in assignments for word in ("--set", assignment))
