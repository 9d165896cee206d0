"""Create runs without training."""

from __future__ import annotations

import json
import os
from pathlib import Path

from svipctl.runs.lookup import new_run
from svipctl.runs.manifest import MANIFEST, add_to_manifest
from svipctl.runs.run import Run
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings


def rewrite(path: Path, content: str | bytes) -> None:
    """Replace a file of a run or a checkpoint, and its entry in the manifest, as if it had been written so."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    add_to_manifest(path.parent, path.name)


def rewrite_configuration(run: Path, content: str) -> None:
    """Replace the configuration of a run, as if the run had been trained with it."""
    rewrite(run / "config.toml", content)
    for path in run.glob("checkpoints/*/metadata.json"):
        rewrite(path, json.dumps(json.loads(path.read_text()) | {"saved_by": Run(run).identity}))


def make_old(folder: Path) -> None:
    """Make a run or a checkpoint one of release 0.1: without a manifest and a format."""
    (folder / MANIFEST).unlink()
    for path in folder.glob("*.json"):
        document = json.loads(path.read_text())
        if document.pop("format", None):
            path.write_text(json.dumps(document))


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
