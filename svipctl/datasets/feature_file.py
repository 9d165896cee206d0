"""Read and write files of image features, of svipctl or of other programs: the names of N images and a row for each.

    images        (N,) names: paths whose end identifies the image of a data set
    features      (N, D) real numbers
    labels        (N,) optional, the class of each image, from 0
    classes       optional, the names that the labels count; those of the data set, in its order, without
    trainval, test_seen, test_unseen    optional, indices from 0 of the proposed split
    mirrored      (T, D) optional, features of the mirror images of those in `trainval`, in its order
    about         optional, JSON with the origin of the features

As `.npz`, as `.safetensors` with the texts as JSON in its metadata, or in the layout of xlsa17's `res101.mat`:
`features` (D, N), `labels` (N, 1) from 1, `image_files`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.array_files import check_ending, read_arrays, write_arrays
from svipctl.datasets.benchmark import PARTS, Indices
from svipctl.datasets.matlab import read_mat
from svipctl.errors import ConfigError, DataError, explained_damage
from svipctl.files import file_sha256

_KEY = "features"
_WHAT = "feature file"
_TODO = "svipctl embed writes one (docs/features.md)"
_LARGEST = 2**32  # bytes of one variable of a MATLAB file, which cannot be longer


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """The content of a feature file."""

    images: tuple[str, ...]
    features: NDArray[np.float32]
    """(N, D)."""
    labels: Indices | None = None
    classes: tuple[str, ...] = ()
    parts: Mapping[str, Indices] = field(default_factory=dict)
    """Part of the proposed split -> indices of its images."""
    mirrored: NDArray[np.float32] | None = None
    """(T, D), of the mirror images of `parts["trainval"]`."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Backbone, weights and transform of the features of `svipctl embed`."""
    path: Path = Path()
    """The file that it was read from."""
    sha256: str = ""
    """SHA-256 of that file."""

    @property
    def what(self) -> str:
        """Description of the features, for results."""
        return str(self.about.get("features", "features")) + f" from {self.path.name}"

    def save(self, path: Path) -> None:
        """Write the file, complete or not at all.

        Args:
            path: `.npz` or `.safetensors`.

        Raises:
            ConfigError: The file name has another ending, or the file cannot be written.
            ResourceError: The disk is full.

        """
        check_ending(path, "features")
        arrays: dict[str, NDArray[Any]] = {"features": self.features, **self.parts}
        arrays |= {} if self.labels is None else {"labels": self.labels}
        arrays |= {} if self.mirrored is None else {"mirrored": self.mirrored}
        texts: dict[str, Any] = {"images": self.images, "about": json.dumps(self.about)}
        write_arrays(path, arrays, texts | ({"classes": self.classes} if self.classes else {}), _KEY)


def read_feature_file(path: Path) -> FeatureFile:
    """Read a feature file and check that its arrays fit each other.

    Raises:
        ConfigError: Its name has another ending.
        DataError: The file is missing, damaged, pickled, or has arrays of wrong shapes, types or values; lists all.

    """
    if path.suffix not in (".npz", ".safetensors", ".mat"):
        raise ConfigError(f"{path} is not a {_WHAT}", todo="pass a .npz, .safetensors or .mat file (docs/features.md)")
    check = partial(_check, path, with_values=False)
    with explained_damage(path, f"is not a complete {_WHAT}", todo=_TODO):
        found = _from_mat(path) if path.suffix == ".mat" else read_arrays(path, _KEY, check, what=_WHAT, todo=_TODO)
        _check(path, found)
        return FeatureFile(
            images=_texts(found["images"]),
            features=_float32(found["features"]),
            labels=_integers(found["labels"]) if "labels" in found else None,
            classes=_texts(found.get("classes", ())),
            parts={part: _integers(found[part]) for part in PARTS if part in found},
            mirrored=_float32(found["mirrored"]) if "mirrored" in found else None,
            about=json.loads(str(found.get("about", "{}"))),
            path=path,
            sha256=file_sha256(path),
        )


def read_pretrained_features(path: Path) -> FeatureFile:
    """Read a feature file that something may be trained on: those of a network that no run has trained.

    Raises:
        ConfigError: The features are of a run, or as for `read_feature_file`.
        DataError: As for `read_feature_file`.

    """
    file = read_feature_file(path)
    if file.about.get("run"):
        raise ConfigError(
            f"{path} has features of a trained network",
            why=f"its run {file.about['run']} may know images that a fold validates on",
            todo="embed with the pretrained backbone: omit --run",
        )
    return file


def _from_mat(path: Path) -> dict[str, Any]:
    """Return the arrays of a file in the layout of res101.mat, with names, axes and counting as here."""
    try:
        found = read_mat(path, ["image_files", "labels", "features"], largest=_LARGEST)
    except DataError as error:
        installed = "`data fetch` installs res101.mat without its features: name the one in xlsa17.zip"
        error.todo = installed if error.what.endswith("lacks features") else _TODO
        raise
    labels, features = np.asarray(found["labels"]), np.asarray(found["features"])
    is_table = features.dtype.kind == "f"
    return {
        "images": found["image_files"],
        "features": features.T if is_table else features,
        "labels": labels - 1 if labels.dtype.kind == "f" else labels,
    }


def _check(path: Path, found: Mapping[str, Any], *, with_values: bool = True) -> None:
    """Raise DataError with all problems of the arrays of a file; those of the numbers in tables `with_values` only."""
    missing = [name for name in ("images", "features") if name not in found]
    problems = [f"{name} is missing" for name in missing] or _contradictions(found, with_values)
    if problems:
        why = "\n".join(f"- {problem}" for problem in problems)
        raise DataError(f"{path} cannot be used as features", why=why, todo=_TODO)


def _contradictions(found: Mapping[str, Any], with_values: bool) -> list[str]:
    images, features, classes = (np.asarray(found.get(name, ())) for name in ("images", "features", "classes"))
    if images.ndim != 1 or images.dtype.kind not in "US" or not len(images):
        return [f"images is not a list of names (shape {images.shape}, type {images.dtype})"]
    problems = _table_problems("features", features, len(images), "images", with_values)
    if classes.ndim != 1 or (classes.size and classes.dtype.kind not in "US"):
        problems.append(f"classes is not a list of names (shape {classes.shape}, type {classes.dtype})")
    if "labels" in found:
        largest = len(classes) if "classes" in found else None
        problems += _no_indices("labels", found["labels"], largest, len(images))
    for part in PARTS:
        if part in found:
            problems += _no_indices(part, found[part], len(images), len(images), is_complete=False)
    if "mirrored" in found and features.ndim == 2:
        rows = np.size(found.get("trainval", ()))
        problems += _table_problems(
            "mirrored", np.asarray(found["mirrored"]), rows, "images of trainval", with_values, features.shape[1]
        )
    if not isinstance(json.loads(str(found.get("about", "{}"))), dict):
        problems.append("about is not a JSON object")
    return problems


def _table_problems(
    name: str, table: NDArray[Any], count: int, of: str, with_values: bool, width: int | None = None
) -> list[str]:
    """Return the problems of a table: its shape, or numbers that cannot be used in float32, in which they are kept."""
    is_table = table.ndim == 2 and table.dtype.kind in "fiu" and table.shape[1] > 0
    if not is_table or table.shape[1] != (width or table.shape[1]):
        form = f"a table (N, {width or 'D'}) of real numbers"
        return [f"{name} is not {form} (shape {table.shape}, type {table.dtype})"]
    problems = [] if len(table) == count else [f"{name} has {len(table)} rows, but there are {count} {of}"]
    if not with_values:
        return problems
    with np.errstate(over="ignore", under="ignore"):
        rows = table.astype(np.float32)
    for what, bad in (("not finite", ~np.isfinite(rows).all(axis=1)), ("zero", ~rows.any(axis=1))):
        if bad.any():
            problems.append(f"{name} is {what} in {bad.sum()} of {len(table)} rows, for instance row {bad.argmax()}")
    return problems


def _no_indices(name: str, given: Any, below: int | None, count: int, *, is_complete: bool = True) -> list[str]:
    """Return a problem unless the array is a list of whole numbers from 0, below a bound, one for each of `count`
    images, or for some of them.
    """
    numbers = np.asarray(given)
    is_list = numbers.dtype.kind in "iuf" and numbers.size == max(numbers.shape, default=0)
    if is_list and (numbers.size != count if is_complete else numbers.size > count):
        return [f"{name} has {numbers.size} entries, but there are {count} images"]
    if not is_list or not (numbers == np.floor(numbers)).all():
        return [f"{name} is not a list of whole numbers (shape {numbers.shape}, type {numbers.dtype})"]
    if numbers.size and (numbers.min() < 0 or (below is not None and numbers.max() >= below)):
        return [f"{name} is outside 0..{'' if below is None else below - 1}"]
    return []


def _texts(given: Any) -> tuple[str, ...]:
    return tuple(one.decode() if isinstance(one, bytes) else str(one) for one in np.asarray(given).tolist())


def _float32(given: Any) -> NDArray[np.float32]:
    return np.ascontiguousarray(given, dtype=np.float32)


def _integers(given: Any) -> Indices:
    return np.asarray(given).ravel().astype(np.int64)
