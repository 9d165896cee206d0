"""Words of attribute names, their summed vectors, and the file that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.errors import DataError
from svipctl.semantics.matrix import WordMatrix, word_matrix
from svipctl.semantics.phrases import attribute_words

VECTORS = {"red": np.array([1.0, 2]), "bill": np.array([10.0, 20]), "color": np.array([100.0, 200])}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("has_bill_shape::hooked_seabird", ["bill", "shape", "hooked", "seabird"]),
        ("has_bill_length::about_the_same_as_head", ["bill", "length", "about", "the", "same", "as", "head"]),
        ("has_bill_shape::curved_(up_or_down)", ["bill", "shape", "curved"]),
        ("has_size::very_small_(3_-_5_in)", ["size", "very", "small"]),
        ("far-away horizon", ["far", "away", "horizon"]),
        ("white", ["white"]),
    ],
)
def test_words_of_an_attribute(name: str, words: list[str]) -> None:
    assert attribute_words(name) == words


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=6), min_size=1, max_size=5))
def test_words_survive_every_joint_of_the_scheme(words: list[str]) -> None:
    if words[0] == "has":
        words = ["is", *words]
    for joint in ("_", "-", " ", "::"):
        assert attribute_words(joint.join(words)) == words
    assert attribute_words("has_" + "_".join(words)) == words


@given(st.text(max_size=40))
def test_words_have_no_separators_whatever_the_name(name: str) -> None:
    assert all(word and not set(" _-(").intersection(word) for word in attribute_words(name))


def test_rows_are_sums_and_unknown_words_are_told_once() -> None:
    found = word_matrix(["has_bill_color::red", "has_wing_color::red", "has_wing"], VECTORS, 2)
    assert found.vectors.tolist() == [[111, 222], [101, 202], [0, 0]]
    assert found.unknown == ("wing",)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    matrix = word_matrix(["has_bill_color::red", "größe"], VECTORS, 2)
    matrix.save(tmp_path / "deep" / "words.npz")
    found = WordMatrix.load(tmp_path / "deep" / "words.npz", matrix.attributes)
    assert np.array_equal(found.vectors, matrix.vectors)
    assert (found.attributes, found.unknown) == (matrix.attributes, ("größe",))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["words.npz"]


@pytest.mark.parametrize("attributes", [("a",), ("b", "a"), ("a", "b", "c")])
def test_a_file_of_other_attributes_is_refused(attributes: tuple[str, ...], tmp_path: Path) -> None:
    word_matrix(["a", "b"], VECTORS, 2).save(tmp_path / "w.npz")
    with pytest.raises(DataError, match="belongs to other attributes"):
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
def test_a_file_that_is_no_archive_is_our_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(DataError, match="is not a word-vector file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))


def test_a_bare_array_is_our_error(tmp_path: Path) -> None:
    with (tmp_path / "w.npz").open("wb") as file:
        np.save(file, np.zeros((1, 2)))
    with pytest.raises(DataError, match="is not a word-vector file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))


def test_pickled_names_are_refused(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "w.npz", vectors=np.zeros((1, 2)), attributes=np.array(["a"], object), unknown=np.array([], str)
    )
    with pytest.raises(DataError, match="is not a word-vector file"):
        WordMatrix.load(tmp_path / "w.npz", ("a",))
