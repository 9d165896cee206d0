"""Runs that were never trained."""

from __future__ import annotations

import os
from pathlib import Path

from svipctl.runs.lookup import new_run
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings


def settings(runs: Path, *assignments: str) -> Settings:
    return resolve("cub", assignments=[f"runs_dir={runs}", *assignments]).settings


def started(runs: Path, *assignments: str, age: int = 0, finished: bool = True) -> Run:
    mine = settings(runs, *assignments)
    run = new_run(mine)
    run.make()
    run.start(mine, {"a": 1}, ["x.jpg", "y z.jpg"])
    os.utime(run.folder / "config.toml", (1000 - age, 1000 - age))
    if finished:
        run.finish({"epochs": 1})
    return run
