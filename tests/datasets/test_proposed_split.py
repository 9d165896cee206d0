"""Test reading xlsa17's files: any content is read or raises a DataError."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from svipctl.datasets.matlab import read_mat
from svipctl.datasets.proposed_split import read_proposed_split
from svipctl.errors import DataError


def write_split(folder: Path, **changed: object) -> Path:
    """Write the split of two seen classes and one unseen, two images each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = np.array([["ant"], ["bee"], ["cat"]], dtype=object)
    splits = {
        "allclasses_names": names,
        "original_att": np.arange(6.0).reshape(2, 3),
        "trainval_loc": np.array([[1], [3]]),
        "test_seen_loc": np.array([[2], [4]]),
        "test_unseen_loc": np.array([[5], [6]]),
    }
    files = np.array([[f"Set//images/{name[0]}/{n}.jpg"] for name in names for n in (1, 2)], dtype=object)
    listing = {"image_files": files, "labels": np.array([[1], [1], [2], [2], [3], [3]])}
    savemat(folder / "att_splits.mat", splits | {k: v for k, v in changed.items() if k in splits})
    savemat(folder / "res101.mat", listing | {k: v for k, v in changed.items() if k in listing})
    for number, name in enumerate(("ant", "bee", "ant"), 1):
        (folder / f"valclasses{number}.txt").write_text(f"{name}\n")
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("split"))


def test_indices_become_zero_based_and_the_table_has_one_row_per_class(good: Path) -> None:
    split = read_proposed_split(good)
    assert split.classes == ("ant", "bee", "cat")
    assert split.class_attributes.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert split.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert {part: indices.tolist() for part, indices in split.parts.items()} == {
        "trainval": [0, 2],
        "test_seen": [1, 3],
        "test_unseen": [4, 5],
    }
    assert split.folds == ((0,), (1,), (0,))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainval_loc", np.array([[0], [3]])),
        ("trainval_loc", np.array([[1], [7]])),
        ("trainval_loc", np.array([[1.5]])),
        ("trainval_loc", np.array([[np.nan]])),
        ("test_seen_loc", np.zeros((0, 1))),
        ("labels", np.array([[1], [1], [2], [2], [3], [4]])),
        ("labels", np.array([[1], [1]])),
        ("original_att", np.zeros((2, 5))),
        ("original_att", np.array([["x"]], dtype=object)),
        ("allclasses_names", np.array([[1.0], [2.0], [3.0]])),
        ("image_files", np.array([["a"], [3.0]], dtype=object)),
    ],
)
def test_an_impossible_value_is_a_data_error_that_names_the_file(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(DataError, match=r"\.mat"):
        read_proposed_split(write_split(tmp_path, **{key: value}))


def test_a_fold_of_unknown_classes_is_refused(tmp_path: Path) -> None:
    folder = write_split(tmp_path)
    (folder / "valclasses2.txt").write_text("dog\n")
    with pytest.raises(DataError, match="valclasses2.txt"):
        read_proposed_split(folder)


def test_features_are_skipped_unread(tmp_path: Path) -> None:
    path = tmp_path / "res101.mat"
    savemat(path, {"features": np.zeros((3, 4)), "labels": np.ones((3, 1))})
    assert set(read_mat(path, ["labels"])) == {"labels"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.sampled_from(["att_splits.mat", "res101.mat"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    keep=st.floats(0, 1),
    cut=st.booleans(),
)
def test_a_damaged_file_raises_only_data_errors(
    good: Path,
    tmp_path: Path,
    which: str,
    changes: list[tuple[float, int]],
    keep: float,
    cut: bool,
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "split", dirs_exist_ok=True))
    content = bytearray((good / which).read_bytes())
    for place, value in changes:
        content[int(place * len(content))] = value
    (folder / which).write_bytes(content[: int(keep * len(content))] if cut else content)
    with contextlib.suppress(DataError):
        read_proposed_split(folder)
