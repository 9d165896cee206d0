"""Values that the shell completes. Nothing here may import a heavy library, touch the network or fail.

Each takes the word at the cursor and the words before it, and gives whole words that may replace the one at the cursor.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from svipctl.cli.answers import default_folder
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
    if "/" in incomplete or incomplete.startswith(("~", ".")):
        return _folders(incomplete)
    return _starting(incomplete, [path.name for path in _run_folders(args)])


def resumable(incomplete: str, args: list[str]) -> list[str]:
    """`auto`, and names of unfinished runs."""
    found = [path.name for path in _run_folders(args) if not (path / "finished.json").exists()]
    return _starting(incomplete, ["auto", *found])


def checkpoints(incomplete: str, args: list[str]) -> list[str]:
    """Checkpoint folders of the data set's runs until a path is begun; folders, and files of the published code."""
    own = [f"{path}/" for run in _run_folders(args) for path in _folders_in(run / "checkpoints")]
    return ([] if "/" in incomplete else _starting(incomplete, own)) + _paths(incomplete, (".pth",))


def folds(incomplete: str, args: list[str]) -> list[str]:
    """Numbers of the validation folds."""
    return _starting(incomplete, ("1", "2", "3"))


def gpus(incomplete: str, args: list[str]) -> list[str]:
    """auto, cpu, and the index of each NVIDIA GPU that the driver lists."""
    listed = len(_folders_in(Path("/proc/driver/nvidia/gpus")))
    return _starting(incomplete, ["auto", "cpu", *map(str, range(listed))])


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


def settings(incomplete: str, args: list[str]) -> list[str]:
    """Keys of the configuration, each with its equals sign, then their values."""
    from svipctl.cli.answers import candidates

    return [value for value, _ in candidates(["svipctl", "train", "--set", incomplete])[1]]


def attributes(incomplete: str, args: list[str]) -> list[str]:
    """Names of the data set's attributes, from its own table."""
    return _starting(incomplete, [name for place in _data_folders(args)[:1] for name in _attribute_names(place)])


def classes(incomplete: str, args: list[str]) -> list[str]:
    """Names of the data set's classes, from its own table or list."""
    return _starting(incomplete, [name for place in _data_folders(args)[:1] for name in _class_names(place)])


BY_NAME: dict[str, Callable[[str, list[str]], list[str]]] = {
    function.__name__: function
    for function in (
        *(datasets, official, presets, runs, resumable, checkpoints, folds, gpus, recipes, precisions, backbones),
        *(
            baselines,
            launchers,
            pixels,
            export_formats,
            export_precisions,
            weights,
            vectors,
            settings,
            attributes,
            classes,
        ),
    )
}


def _starting(incomplete: str, names: list[str] | tuple[str, ...]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _run_folders(words: list[str]) -> list[Path]:
    """Folders of runs of the data set among the words, or of all; the newest first. Other folders are passed over."""
    root = default_folder(words, "--runs-dir", "runs")
    named = {Path(word).name for word in words}
    of_datasets = [folder for folder in _folders_in(root) if folder.name in named] or _folders_in(root)
    found = [run for folder in of_datasets for run in _folders_in(folder) if (run / "config.toml").is_file()]
    return sorted(found, key=_changed, reverse=True)


def _changed(run: Path) -> float:
    """As the program itself tells the newest run."""
    try:
        return (run / "config.toml").stat().st_mtime
    except OSError:
        return 0.0


def _folders_in(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


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


def _data_folders(words: list[str]) -> list[Path]:
    """Folders of the data sets named among the words."""
    named = [word for word in words if word in (*OFFICIAL, *BUILT_IN)]
    places = [default_folder(words, "--data-dir", "data") / name for name in named]
    return places + [Path(word) for word in words if (Path(word) / "attributes.csv").is_file()]


def _class_names(folder: Path) -> Iterator[str]:
    try:
        if (folder / "attributes.csv").is_file():
            with (folder / "attributes.csv").open(newline="", encoding="utf-8") as file:
                names = [row[0] for row in csv.reader(file) if row]
            yield from names[2:] if names[1:2] == ["group"] else names[1:]
        else:
            path = next(iter(sorted(folder.glob("xlsa17/data/*/allclasses.txt"))), None)
            if path is not None:
                yield from path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError, csv.Error):
        return


def _attribute_names(folder: Path) -> Iterator[str]:
    try:
        if (folder / "attributes.csv").is_file():
            with (folder / "attributes.csv").open(newline="", encoding="utf-8") as file:
                yield from next(csv.reader(file), [""])[1:]
        else:
            lists = [folder / "attributes.txt", folder / "Animals_with_Attributes2" / "predicates.txt"]
            lines = next((path for path in lists if path.is_file()), None)
            if lines is not None:
                for line in lines.read_text(encoding="utf-8").splitlines():
                    yield line.split(maxsplit=1)[-1] if line.split() else ""
    except (OSError, UnicodeDecodeError, csv.Error):
        return
