"""Values that the shell completes. Nothing here may import a heavy library, touch the network or fail.

Each takes the word at the cursor and the words before it, and gives whole words that may replace the one at the cursor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from svipctl.cli import looked_up
from svipctl.datasets.names import BUILT_IN, OFFICIAL

_RECIPES = ("svipctl", "reference", "paper")


def datasets(incomplete: str, args: list[str]) -> list[str]:
    """Names of benchmarks, and folders."""
    return _starting(incomplete, [*OFFICIAL, *BUILT_IN]) + _folders(incomplete)


def official(incomplete: str, args: list[str]) -> list[str]:
    """Names of the benchmarks that are downloaded."""
    return _starting(incomplete, OFFICIAL)


def presets(incomplete: str, args: list[str]) -> list[str]:
    """Names of the presets of data sets and of recipes; after a comma those of recipes."""
    dataset, comma, _ = incomplete.partition(",")
    names = [f"{dataset},{recipe}" for recipe in _RECIPES] if comma else [*OFFICIAL, *BUILT_IN, "folder", *_RECIPES]
    return _starting(incomplete, names)


def runs(incomplete: str, args: list[str]) -> list[str]:
    """Names of the data set's runs, the newest first, and folders once a path is begun."""
    named = _starting(incomplete, looked_up.run_names(args))
    return named or (_folders(incomplete) if _is_path(incomplete) else [])


def resumable(incomplete: str, args: list[str]) -> list[str]:
    """`auto`, and names of unfinished runs."""
    found = [path.name for path in looked_up.run_folders(args) if not (path / "finished.json").exists()]
    return _starting(incomplete, ["auto", *found])


def checkpoints(incomplete: str, args: list[str]) -> list[str]:
    """Checkpoint folders of the data set's runs until a path is begun; folders, and files of the published code."""
    found = [path for run in looked_up.run_folders(args) for path in looked_up.folders_in(run / "checkpoints")]
    own = [f"{path}/" for path in found]
    return ([] if "/" in incomplete else _starting(incomplete, own)) + _paths(incomplete, (".pth",))


def folds(incomplete: str, args: list[str]) -> list[str]:
    """Numbers of the validation folds."""
    return _starting(incomplete, ("1", "2", "3"))


def gpus(incomplete: str, args: list[str]) -> list[str]:
    """auto, cpu, and the index of each NVIDIA GPU that the driver lists; several indices with commas between."""
    listed = len(looked_up.folders_in(Path("/proc/driver/nvidia/gpus")))
    single = [] if "," in incomplete else ["auto", "cpu"]
    return _listed(incomplete, [*single, *map(str, range(listed))])


def recipes(incomplete: str, args: list[str]) -> list[str]:
    """Names of recipes."""
    return _starting(incomplete, _RECIPES)


def precisions(incomplete: str, args: list[str]) -> list[str]:
    """Kinds of arithmetic."""
    return _starting(incomplete, ("auto", "fp32", "bf16"))


def backbones(incomplete: str, args: list[str]) -> list[str]:
    """Short names of backbones."""
    return _starting(incomplete, ("lite", "vit_base", "deit_base", "vit_small", "vit_tiny", "vit_toy"))


def launchers(incomplete: str, args: list[str]) -> list[str]:
    """Where the commands of a table run."""
    return _starting(incomplete, ("local", "slurm"))


def pixels(incomplete: str, args: list[str]) -> list[str]:
    """How an exported file takes its images."""
    return _starting(incomplete, ("uint8", "float"))


def export_formats(incomplete: str, args: list[str]) -> list[str]:
    """Formats of an exported file."""
    return _starting(incomplete, ("onnx", "torch", "safetensors"))


def export_precisions(incomplete: str, args: list[str]) -> list[str]:
    """Arithmetic of an exported file."""
    return _starting(incomplete, ("fp32", "fp16", "int8"))


def baselines(incomplete: str, args: list[str]) -> list[str]:
    """Names of baselines."""
    return _starting(incomplete, ("ridge", "eszsl", "sae"))


def weights(incomplete: str, args: list[str]) -> list[str]:
    """Words in place of a weights file, and files of weights."""
    return _starting(incomplete, ("pretrained", "none")) + _paths(incomplete, (".safetensors", ".pth", ".npz"))


def vectors(incomplete: str, args: list[str]) -> list[str]:
    """Names of downloadable word vectors, and files."""
    names = ("word2vec-google-news-300", "glove-wiki-gigaword-50", "glove-wiki-gigaword-300")
    return _starting(incomplete, names) + _paths(incomplete, ())


def attributes(incomplete: str, args: list[str]) -> list[str]:
    """Names of the data set's attributes."""
    return _starting(incomplete, looked_up.attribute_names(args))


def classes(incomplete: str, args: list[str]) -> list[str]:
    """Names of the data set's classes."""
    return _starting(incomplete, looked_up.class_names(args))


def controls(incomplete: str, args: list[str]) -> list[str]:
    """all, none, rows of the table, and rows of one recipe; several with commas between."""
    rows = [*_table_rows(), "all"]
    return _listed(incomplete, ["none", *rows, *(f"{recipe}/{row}" for recipe in _RECIPES for row in rows)])


def recipe_lists(incomplete: str, args: list[str]) -> list[str]:
    """Names of recipes with commas between."""
    return _listed(incomplete, list(_RECIPES))


BY_NAME: dict[str, Callable[[str, list[str]], list[str]]] = {
    function.__name__: function
    for function in (
        *(datasets, official, presets, runs, resumable, checkpoints, folds, gpus, recipes, precisions, backbones),
        *(baselines, launchers, pixels, export_formats, export_precisions, weights, vectors, attributes, classes),
        *(controls, recipe_lists),
    )
}


def _table_rows() -> list[str]:
    """Names of the rows that are controls, without reading all of TOML."""
    text = files("svipctl.reproduce").joinpath("rows.toml").read_text(encoding="utf-8")
    return [line[1:-1] for line in text.splitlines() if line.startswith("[") and line != "[full]"]


def _listed(incomplete: str, names: list[str]) -> list[str]:
    """What may stand after the last comma, with what stands before it; no name twice."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in names if name.startswith(last) and name not in before.split(",")]


def _is_path(incomplete: str) -> bool:
    return "/" in incomplete or incomplete.startswith(("~", "."))


def _starting(incomplete: str, names: list[str] | tuple[str, ...]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _folders(incomplete: str) -> list[str]:
    return [path for path in _paths(incomplete, None) if path.endswith("/")]


def _paths(incomplete: str, suffixes: tuple[str, ...] | None) -> list[str]:
    """Paths that begin so: folders with a slash, and files of these suffixes (all for none of them; no files for None)."""
    head, _, tail = incomplete.rpartition("/")
    shown = f"{head}/" if "/" in incomplete else ""
    found = []
    try:
        entries = sorted(os.scandir(Path(shown or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return []
    for entry in entries:
        if not entry.name.startswith(tail) or (entry.name.startswith(".") and not tail.startswith(".")):
            continue
        if entry.is_dir():
            found.append(f"{shown}{entry.name}/")
        elif suffixes is not None and (not suffixes or entry.name.endswith(suffixes)):
            found.append(shown + entry.name)
    return found
