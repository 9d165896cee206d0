"""Plans of a data set that does not exist, and a launcher that writes run folders instead of training."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from svipctl.reproduce.rows import select_rows
from svipctl.reproduce.step_state import begin, run_of
from svipctl.reproduce.table_plan import TablePlan, TableRequest, TableStep, flag_overrides, make_plan
from svipctl.settings.layers import Resolved, resolve


def plan_of(
    runs: Path,
    *,
    dataset: str = "toybirds",
    controls: str = "sel-random",
    recipes: Sequence[str] = ("svipctl", "reference"),
    seeds: int = 2,
    folds: int = 1,
    baselines: Sequence[str] = ("ridge",),
    config: Path | None = None,
    folder: Path | None = None,
    available: Sequence[str] = ("objects", "words"),
    flags: Sequence[str] = (),
    **overrides: Any,
) -> TablePlan:
    """Return a plan; `flags` are assignments of --set, `overrides` settings with double underscores for dots."""

    def resolved(named: Mapping[str, Any], assignments: Sequence[str] = ()) -> Resolved:
        return resolve(dataset, flags=named, assignments=assignments, config=config, folder=folder or Path())

    given = {key.replace("__", "."): value for key, value in overrides.items()}
    request = TableRequest(
        dataset,
        select_rows(controls, ",".join(recipes)) if recipes else {},
        seeds,
        folds,
        tuple(baselines),
        flag_overrides(resolved({"runs_dir": runs, **given}, flags)),
        config,
    )
    return make_plan(request, lambda overrides: resolved(overrides).settings, available)


def final_runs(plan: TablePlan, recipe: str, row: str) -> list[TableStep]:
    """Return the final runs of a row, by seed."""
    return [step for step in plan.steps if (step.kind, step.recipe, step.row) == ("final", recipe, row)]


class Writer:
    """Writes the files of the commands, with figures derived from the run's name, and calls back after every file."""

    def __init__(self, jobs: int = 1, after: Callable[[str], None] = lambda what: None) -> None:
        self.jobs = jobs
        self.after = after
        self.ran: list[tuple[str, ...]] = []
        self.fails: set[str] = set()
        self.stopped_by = 0

    def run(self, step: TableStep, log: Path) -> int:
        arguments = begin(step)
        if arguments is None:
            return 0
        self.ran.append(arguments)
        log.write_text(f"error: {step.key} broke\n")
        if step.key in self.fails:
            return 3
        if step.kind in ("development", "final"):
            self._train(step, resumed="--resume" in arguments)
        elif step.kind == "baseline":
            self._start(step)
            run_of(step).save_json("eval/metrics.json", evaluation(step.run) | {"development": CHOSEN})
            self.after("evaluation")
        else:
            assert run_of(step).finished
            self._evaluate(step)
        return 0

    def stop(self, number: int) -> None:
        self.stopped_by = number

    def _start(self, step: TableStep) -> None:
        run = run_of(step)
        development = None
        if step.kind != "development":
            names = [need.removeprefix("train ") for need in step.needs] or [step.run]
            origins = [{"run": name} for name in names]
            development = {"gamma": 0.1, "epochs": step.settings.train.epochs, "runs": origins}
        run.folder.mkdir(parents=True)
        self.after("folder")
        run.folder.rmdir()
        weights = {"source": "somewhere", "sha256": "5ad" * 20}
        environment = {"git_commit": "c0ffee", "source_sha256": "ab" * 32, "precision": "float32", "weights": weights}
        environment |= {"python": "3.11", "threads": 1, "packages": {"torch": "2"}}
        run.make()
        run.start(step.settings, environment, ["a.png"], development=development, validation_images=["v.png"])
        self.after("start")

    def _train(self, step: TableStep, *, resumed: bool) -> None:
        run = run_of(step)
        if not resumed:
            self._start(step)
            (run.folder / "checkpoints" / "last").mkdir(parents=True)
            self.after("checkpoint")
        draw = random.Random(step.run)
        records = [
            {"epoch": epoch, "monitor": "test", "T1": draw.random()}
            | {f"{figure}_reference": 50 + draw.random() for figure in "USH"}
            for epoch in (1, 2)
        ]
        if step.settings.train.monitor == "test":
            (run.folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        self.after("epoch")
        run.finish({"epochs": 2, "best_epoch": 2})
        self.after("finish")

    def _evaluate(self, step: TableStep) -> None:
        run_of(step).save_json("eval/metrics.json", evaluation(step.run))
        self.after("evaluation")


CHOSEN = {"tried": 390, "choice": {"features": "l2", "targets": "centred", "weights": [0.1], "score": "cosine"}}
"""Return the `development` of a baseline."""


def evaluation(name: str) -> dict[str, Any]:
    """Return a document as `eval` writes it, with figures derived from the name."""
    draw = random.Random(f"eval {name}")

    def rows(*figures: str) -> dict[str, float]:
        return {figure: 40 + 20 * draw.random() for figure in figures}

    return {
        "dataset": "toybirds",
        "run": name,
        "epoch": 2,
        "protocols": {
            "zsl": rows("T1"),
            "gzsl": rows("U", "S", "H"),
            "gzsl-calibrated": {"gamma": 0.1, **rows("U", "S", "H")},
            "gzsl-oracle": {"gamma": 0.2, **rows("U", "S", "H")},
            "reference": {"offset": 0.3, **rows("U", "S", "H")},
            "ausuc": rows("value"),
        },
        "images": {"seen": 10, "unseen": 20},
        "intervals": {"zsl": {"T1": [40.0, 46.0]}, "gzsl-calibrated": {"H": [39.0, 49.0]}},
        "selection": {"auc": 80.0, "mask": {"auc": 75.0}},
        "warnings": [],
    }


class Recorder:
    """Function that keeps the notes of a plan that is run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def __call__(self, note: str) -> None:
        self.notes.append(note)

    @property
    def ends(self) -> list[str]:
        """Notes of commands that ended."""
        return [note for note in self.notes if note.startswith("[")]
