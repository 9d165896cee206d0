"""Run the command line in separate processes: new ones, or forked from a server that has imported torch."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "svipctl.cli.train",
        "svipctl.training.trainer",
        "svipctl.evaluation.evaluate",
        "svipctl.visuals.sheet",
        "svipctl.datasets.fetch.install",
    ]
)


@dataclass(frozen=True)
class Finished:
    """Exit code and output of a command."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Return the one JSON document on stdout."""
        return json.loads(self.stdout)


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without variables that configure svipctl."""
    mine = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("SVIPCTL_")}
    return mine | {"OMP_NUM_THREADS": "1"} | more


def fresh(*arguments: str, cwd: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run `python -m svipctl ARGUMENTS` in a new process."""
    command = [sys.executable, "-m", "svipctl", *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(**(environment or {})), capture_output=True, text=True, timeout=600
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def forked(*arguments: str, cwd: Path, streams: Path, first: Callable[[], None] | None = None) -> Finished:
    """Run the program's entry point in a forked process with its own streams; `first` runs in it before."""
    streams.mkdir(parents=True, exist_ok=True)
    out, err = streams / "stdout", streams / "stderr"
    process = FORKS.Process(target=_enter, args=(arguments, cwd, out, err, first))
    process.start()
    process.join(600)
    assert process.exitcode is not None, "the command did not end"
    return Finished(process.exitcode, out.read_text(), err.read_text())


def _enter(arguments: tuple[str, ...], cwd: Path, out: Path, err: Path, first: Callable[[], None] | None) -> None:
    for path, stream in ((out, sys.stdout), (err, sys.stderr)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1 if stream is sys.stdout else 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ.update(clean_environment())
    for name in set(os.environ) - set(clean_environment()):
        del os.environ[name]
    os.chdir(cwd)
    sys.argv = ["svipctl", *arguments]
    if first:
        first()
    from svipctl.cli._main import main

    main()


def files_under(folder: Path) -> dict[str, bytes]:
    """Return relative path -> content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
