"""Test feature files, of svipctl and of other programs: read exactly, and every invalid one refused."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from scipy.io import savemat

from svipctl.datasets.feature_file import FeatureFile, read_feature_file
from svipctl.errors import ConfigError, DataError
from svipctl.files import file_sha256

NAMES = ("images/jay/0.jpg", "images/jay/1.jpg", "images/wren/Köln 鳥.jpg")
TABLE = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WHOLE: dict[str, Any] = {
    "images": np.array(NAMES),
    "features": TABLE,
    "labels": np.array([0, 0, 1]),
    "classes": np.array(["jay", "wren"]),
    "trainval": np.array([1, 0]),
    "test_seen": np.array([], dtype=np.int64),
    "test_unseen": np.array([2]),
    "mirrored": TABLE[:2] + 1,
}


def written(path: Path, **changed: Any) -> Path:
    """Write a .npz with the full content, with some arrays changed or, for None, left out."""
    arrays = {name: array for name, array in (WHOLE | changed).items() if array is not None}
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_saved_file_is_read_back_unchanged(ending: str, tmp_path: Path) -> None:
    parts = {part: WHOLE[part] for part in ("trainval", "test_seen", "test_unseen")}
    file = FeatureFile(
        NAMES, TABLE, WHOLE["labels"], ("jay", "wren"), parts, TABLE[:2] + 1, {"features": "mean", "run": None}
    )
    path = tmp_path / f"features{ending}"
    file.save(path)
    found = read_feature_file(path)
    assert (found.images, found.classes, found.about) == (file.images, file.classes, file.about)
    np.testing.assert_array_equal(found.features, TABLE)
    np.testing.assert_array_equal(found.mirrored, TABLE[:2] + 1)
    np.testing.assert_array_equal(found.labels, [0, 0, 1])
    assert {part: one.tolist() for part, one in found.parts.items()} == {
        "trainval": [1, 0],
        "test_seen": [],
        "test_unseen": [2],
    }
    assert (found.path, found.sha256) == (path, file_sha256(path))
    assert found.what == f"mean from features{ending}"


def test_names_and_features_are_sufficient(tmp_path: Path) -> None:
    np.savez(tmp_path / "least.npz", images=np.array(NAMES), features=TABLE.astype(np.float16))
    found = read_feature_file(tmp_path / "least.npz")
    np.testing.assert_array_equal(found.features, TABLE.astype(np.float16).astype(np.float32))
    assert (found.labels, found.classes, found.parts, found.mirrored, found.about) == (None, (), {}, None, {})


def test_names_in_bytes_are_read_as_utf_8(tmp_path: Path) -> None:
    path = written(tmp_path / "bytes.npz", images=np.array([name.encode() for name in NAMES]))
    assert read_feature_file(path).images == NAMES


def test_the_published_layout_counts_from_1_and_has_images_in_columns(tmp_path: Path) -> None:
    cells = np.array([[name] for name in NAMES], dtype=object)
    path = tmp_path / "res101.mat"
    savemat(path, {"image_files": cells, "labels": [[1], [1], [2]], "features": TABLE.T.astype(np.float64)})
    found = read_feature_file(path)
    assert found.images == NAMES
    np.testing.assert_array_equal(found.features, TABLE)
    np.testing.assert_array_equal(found.labels, [0, 0, 1])


def test_a_large_matlab_variable_is_read_from_a_large_file(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(2**11, 2**11 + 100))  # 33.5 MiB in float64
    cells = np.array([[f"a/{number}.jpg"] for number in range(table.shape[1])], dtype=object)
    savemat(
        tmp_path / "large.mat",
        {"image_files": cells, "labels": np.ones((len(cells), 1)), "features": table},
        do_compression=True,
    )
    found = read_feature_file(tmp_path / "large.mat")
    np.testing.assert_array_equal(found.features, table.T.astype(np.float32))


def test_a_small_matlab_file_that_decompresses_to_too_much_is_refused(tmp_path: Path) -> None:
    cells = np.array([["a/0.jpg"]], dtype=object)
    bomb = {"image_files": cells, "labels": [[1]], "features": np.zeros((2**23, 1))}
    savemat(tmp_path / "bomb.mat", bomb, do_compression=True)
    with pytest.raises(DataError, match="truncated, or larger"):
        read_feature_file(tmp_path / "bomb.mat")


def test_the_installed_res101_has_no_features_and_the_error_says_where_to_get_them(tmp_path: Path) -> None:
    savemat(tmp_path / "res101.mat", {"image_files": np.array([["a/0.jpg"]], dtype=object), "labels": [[1]]})
    with pytest.raises(DataError, match=r"lacks features[\s\S]*xlsa17\.zip"):
        read_feature_file(tmp_path / "res101.mat")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"features": None}, "features is missing"),
        ({"images": None}, "images is missing"),
        ({"images": np.arange(3)}, "images is not a list of names"),
        ({"images": np.array([NAMES])}, "images is not a list of names"),
        ({"features": TABLE[0]}, "features is not a table"),
        ({"features": TABLE[:, :0]}, "features is not a table"),
        ({"features": TABLE[:2]}, "features has 2 rows, but there are 3 images"),
        ({"features": TABLE.astype(np.complex64)}, "features is not a table"),
        ({"features": np.array([["1"] * 4] * 3)}, "features is not a table"),
        ({"features": TABLE > 0}, "features is not a table"),
        ({"features": np.where(TABLE[1, 2] == TABLE, np.nan, TABLE)}, "not finite in 1 of 3 rows, for instance row 1"),
        ({"features": TABLE.astype(np.float64) * 1e300}, "features is not finite in 3 of 3 rows"),
        ({"labels": np.array([0, 1])}, "labels has 2 entries, but there are 3 images"),
        ({"labels": np.array([0, 0, 2])}, "labels is outside 0..1"),
        ({"labels": np.array([0, 0, -1])}, "labels is outside"),
        ({"labels": np.array([0, 0, 0.5])}, "labels is not a list of whole numbers"),
        ({"labels": np.array(["a", "b", "c"])}, "labels is not a list of whole numbers"),
        ({"labels": np.eye(3, dtype=int)}, "labels is not a list of whole numbers"),
        ({"labels": np.array([0, np.nan, 1])}, "labels is not a list of whole numbers"),
        ({"classes": np.arange(2)}, "classes is not a list of names"),
        ({"trainval": np.array([0, 3])}, "trainval is outside 0..2"),
        ({"test_seen": np.array([-1])}, "test_seen is outside 0..2"),
        ({"mirrored": TABLE}, "mirrored has 3 rows, but there are 2 images of trainval"),
        ({"trainval": None}, "but there are 0 images of trainval"),
        ({"mirrored": TABLE[:2] * np.inf}, "mirrored is not finite"),
        ({"images": np.array([b"a.jpg", b"b.jpg", b"\xe9.jpg"])}, "is not a complete feature file"),
        ({"about": np.array("[1]")}, "about is not a JSON object"),
        ({"about": np.array("{")}, "is not a complete feature file"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    with np.errstate(all="ignore"), pytest.raises(DataError) as refused:
        read_feature_file(written(tmp_path / "bad.npz", **changed))
    assert said in str(refused.value)


def test_all_problems_are_named_together(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.npz", features=TABLE[:2], labels=np.array([0, 0, 7]), trainval=np.array([9, 9]))
    with pytest.raises(DataError) as refused:
        read_feature_file(path)
    assert refused.value.why.count("\n- ") == 2


def test_a_pickle_in_an_archive_is_never_loaded(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(ran),)

    np.savez(tmp_path / "bad.npz", images=np.array(NAMES), features=np.array([Runs()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a .npz file of plain arrays"):
        read_feature_file(tmp_path / "bad.npz")
    assert not ran.exists()


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".mat"])
def test_truncated_files_of_any_length_are_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"whole{ending}"
    if ending == ".mat":
        cells = np.array([[name] for name in NAMES], dtype=object)
        savemat(path, {"image_files": cells, "labels": [[1], [1], [2]], "features": TABLE.T}, do_compression=True)
    else:
        FeatureFile(NAMES, TABLE, WHOLE["labels"], ("jay", "wren")).save(path)
    content = path.read_bytes()
    for length in [*range(0, len(content), max(1, len(content) // 50)), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(DataError):
            read_feature_file(path)


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".mat"])
def test_reading_a_pipe_does_not_block(ending: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"pipe{ending}")
    with pytest.raises(DataError, match="is a pipe, not a file"):
        read_feature_file(tmp_path / f"pipe{ending}")


def test_an_archive_whose_header_declares_too_much_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 4)})
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.writestr("features.npy", header.getvalue())
    with pytest.raises(DataError, match=r"not a \.npz file of plain arrays"):
        read_feature_file(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    "metadata", [None, {"features": "{"}, {"features": "[1]"}, {"features": '{"images": [1, 2, 3]}'}]
)
def test_safetensors_without_the_expected_metadata_are_refused(metadata: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(safetensors.numpy.save({"features": TABLE}, metadata))
    with pytest.raises(DataError):
        read_feature_file(path)


def test_an_unknown_suffix_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a feature file"):
        read_feature_file(tmp_path / "features.csv")
