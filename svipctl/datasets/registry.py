"""Open a benchmark by the name on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svipctl.datasets import official
from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import attribute_names_of_folder, open_folder
from svipctl.datasets.names import BUILT_IN, OFFICIAL, dataset_folder, own_folder
from svipctl.datasets.official import open_official
from svipctl.datasets.toybirds.generate import ToybirdsPlan, draw_all, is_drawn
from svipctl.datasets.toybirds.species import ATTRIBUTES
from svipctl.errors import DataError
from svipctl.quoting import shell_words
from svipctl.types import ProgressCallback


def pictures_to_draw(name: str, data_dir: Path) -> int:
    """Return the number of images that `open_benchmark` would draw: 0 unless the benchmark is built in and not drawn
    yet.
    """
    plan = ToybirdsPlan()
    return plan.pictures if name in BUILT_IN and not is_drawn(data_dir / name, plan) else 0


def open_benchmark(
    name: str,
    data_dir: Path,
    progress: ProgressCallback | None = None,
    *,
    allow_partial: bool = False,
    listed: Sequence[str] | None = None,
) -> Benchmark:
    """Return the benchmark of a name; a built-in one is drawn first if needed.

    Args:
        name: `cub`, `awa2`, `sun`, `toybirds`, or the path of a data folder.
        data_dir: Folder of the named benchmarks.
        progress: Called with work done and work in total while images are drawn.
        allow_partial: Open an official benchmark although images are missing.
        listed: Names of the images in a feature file, which need not be on the disk; a folder of your own
            without images needs split.csv.

    Raises:
        ConfigError: The name is neither known nor a folder.
        DataError: Files are missing or contradict each other.

    """
    if name in BUILT_IN:
        folder, plan = data_dir / name, ToybirdsPlan()
        if not is_drawn(folder, plan):
            draw_all(folder, plan, progress)
        try:
            return open_folder(folder, name)
        except DataError as error:
            error.todo = f"delete it, and it is generated again: {shell_words('rm', '-r', folder)}"
            raise
    if name in OFFICIAL:
        return open_official(name, data_dir, allow_partial=allow_partial, listed=listed)
    return open_folder(own_folder(name), with_images=listed is None)


def attribute_names(name: str, data_dir: Path) -> tuple[str, ...]:
    """Return the attributes of a benchmark, without its images.

    Raises:
        ConfigError: The name is neither known nor a folder.
        DataError: The list of attributes is missing or damaged.

    """
    if name in BUILT_IN:
        return ATTRIBUTES
    if name in OFFICIAL:
        return official.attribute_names(name, data_dir)
    return attribute_names_of_folder(own_folder(name))


def word_vectors_file(name: str, data_dir: Path) -> Path:
    """Return the file of a benchmark's word vectors."""
    return dataset_folder(name, data_dir) / "word_vectors.npz"
