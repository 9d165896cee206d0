"""Test the summed vectors of attributes, and the file that contains them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.errors import ConfigError, DataError
from svipctl.semantics.matrix import WordMatrix, word_matrix
from svipctl.semantics.vector_formats import WordVectors

VECTORS = WordVectors(
    {"red": np.array([1.0, 2]), "bill": np.array([10.0, 20]), "color": np.array([100.0, 200])}, 2, sha256="f0"
)


def test_rows_are_sums_and_unknown_words_are_listed_once() -> None:
    found = word_matrix(["has_bill_color::red", "has_wing_color::red", "has_wing"], VECTORS)
    assert found.vectors.tolist() == [[111, 222], [101, 202], [0, 0]]
    assert found.unknown == ("wing",)


def test_means_are_over_the_known_words_only() -> None:
    found = word_matrix(["has_bill_color::red", "has_wing_color::red", "has_wing"], VECTORS, pooling="mean")
    assert found.vectors.tolist() == [[37, 74], [50.5, 101], [0, 0]]
    assert found.words == ("bill color red", "color red", "")
    assert found.zero_rows == ("has_wing",)


@pytest.mark.parametrize("name", ["words.npz", "words.safetensors"])
def test_a_saved_matrix_is_loaded_unchanged(name: str, tmp_path: Path) -> None:
    matrix = word_matrix(["has_bill_color::red", "größe"], VECTORS, pooling="mean", scheme="sun", source="a.bin")
    matrix.save(tmp_path / "deep" / name)
    found = WordMatrix.load(tmp_path / "deep" / name, matrix.attributes)
    assert np.array_equal(found.vectors, matrix.vectors)
    assert found.vectors.dtype == np.float64
    assert {**vars(found), "vectors": 0} == {**vars(matrix), "vectors": 0}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]


@pytest.mark.parametrize("name", ["words.npz", "words.safetensors"])
def test_the_same_matrix_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    written = set()
    for folder in ("one", "two", "three"):
        matrix = word_matrix(["has_bill_color::red", "größe"], VECTORS, source="a.bin")
        matrix.save(tmp_path / folder / name)
        path = tmp_path / folder / name
        written.add(path.read_bytes())
    assert len(written) == 1
    if name.endswith(".npz"):
        with zipfile.ZipFile(tmp_path / "one" / name) as archive:
            assert {member.date_time[0] for member in archive.infolist()} == {1980}


def test_a_file_without_a_source_of_an_older_release_is_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", vectors=np.eye(2), attributes=np.array(["a", "b"]), unknown=np.array([], str))
    found = WordMatrix.load(tmp_path / "w.npz", ["a", "b"])
    assert (found.vectors.tolist(), found.source, found.pooling) == ([[1, 0], [0, 1]], "", "sum")


def test_a_file_name_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a file name for word vectors"):
        word_matrix(["a"], VECTORS).save(tmp_path / "w.pkl")


@pytest.mark.parametrize(
    "vectors", [np.array([[np.nan, 0]]), np.array([[0, np.inf]]), np.zeros(1), np.zeros((1, 2, 2)), np.array([["a"]])]
)
def test_vectors_that_are_not_a_finite_table_are_refused(vectors: np.ndarray, tmp_path: Path) -> None:  # type: ignore[type-arg]
    np.savez(tmp_path / "w.npz", vectors=vectors, attributes=np.array(["a"]), unknown=np.array([], str))
    with pytest.raises(DataError, match="is not a word-vector file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))


@pytest.mark.parametrize("attributes", [("a",), ("b", "a"), ("a", "b", "c")])
def test_a_file_of_other_attributes_is_refused(attributes: tuple[str, ...], tmp_path: Path) -> None:
    word_matrix(["a", "b"], VECTORS).save(tmp_path / "w.npz")
    with pytest.raises(DataError, match="is for other attributes"):
        WordMatrix.load(tmp_path / "w.npz", attributes)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"PK\x03\x04cut",
        b"\x80\x04pickle",
    ],
    ids=["empty", "text", "cut", "pickle"],
)
def test_a_file_that_is_not_an_archive_is_a_data_error(content: bytes, tmp_path: Path) -> None:
    for name in ("w.npz", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"is not a (word-vector|\.npz) file") as caught:
            WordMatrix.load(tmp_path / name, ("a",))
        assert "svipctl w2v build" in caught.value.todo


def test_a_bare_array_is_a_data_error(tmp_path: Path) -> None:
    with (tmp_path / "w.npz").open("wb") as file:
        np.save(file, np.zeros((1, 2)))
    with pytest.raises(DataError, match=r"is not a \.npz file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))


def test_pickled_names_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "w.npz", vectors=np.zeros((1, 2)), attributes=np.array(["a"], object), unknown=np.array([], str)
    )
    with pytest.raises(DataError, match=r"is not a \.npz file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))


@settings(max_examples=200)
@given(
    st.sampled_from(["w.npz", "w.safetensors"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
def test_changed_bytes_give_a_matrix_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, bytes, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    word_matrix(["has_bill_color::red", "b"], VECTORS).save(path)
    content = path.read_bytes()
    for where, inserted, removed in changes:
        place = int(where * len(content))
        content = content[:place] + inserted + content[place + removed :]
    path.write_bytes(content)
    try:
        found = WordMatrix.load(path, ["has_bill_color::red", "b"])
    except DataError:
        return
    assert len(found.vectors) == 2
    assert np.isfinite(found.vectors).all()
