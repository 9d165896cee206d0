"""From the name on the command line to a benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.datasets.toybirds.generate import ToybirdsPlan, draw_all, is_drawn
from svipctl.errors import ConfigError, DataError, nearest

Progress = Callable[[int, int], None]


def pictures_to_draw(name: str, data_dir: Path) -> int:
    """How many pictures `open_benchmark` would draw: 0 unless the benchmark is built in and not there yet."""
    plan = ToybirdsPlan()
    return plan.pictures if name in BUILT_IN and not is_drawn(data_dir / name, plan) else 0


def open_benchmark(name: str, data_dir: Path, progress: Progress | None = None) -> Benchmark:
    """The benchmark of that name, drawn first if it is built in and not there yet.

    Args:
        name: `cub`, `awa2`, `sun`, `toybirds`, or the path of a data folder.
        data_dir: Where the named benchmarks live.
        progress: Called with work done and work in all while pictures are drawn.

    Raises:
        ConfigError: Neither a known name nor a folder.
        DataError: Files are missing or contradict each other.

    """
    if name in BUILT_IN:
        folder, plan = data_dir / name, ToybirdsPlan()
        if not is_drawn(folder, plan):
            draw_all(folder, plan, progress)
        return open_folder(folder, name)
    if name in OFFICIAL:
        raise DataError(
            f"this version of svipctl cannot read {name} yet",
            why="it reads toybirds and data folders; reading the official archives is not built",
            todo="train on a data folder instead (see `Your own data` in README), or on toybirds",
        )
    if Path(name).is_dir():
        return open_folder(Path(name))
    raise ConfigError(
        f"no data set {name!r}", why=nearest(name, [*OFFICIAL, *BUILT_IN]), todo="or name a folder of your own"
    )
