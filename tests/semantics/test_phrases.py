"""Test words from attribute names: the published phrases, and arbitrary names."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.datasets.official import attribute_names
from svipctl.semantics.phrases import attribute_words, scheme_of
from tests.datasets.official_layout import lay_out, needs_metadata
from tests.semantics.vector_cases import PUBLISHED


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("has_bill_shape::hooked_seabird", ["bill", "shape", "hooked", "seabird"]),
        ("has_bill_length::about_the_same_as_head", ["bill", "length", "about", "the", "same", "as", "head"]),
        ("has_bill_shape::curved_(up_or_down)", ["bill", "shape", "curved"]),
        ("has_bill_shape::spatulate", ["bill", "shape", "broad"]),
        ("has_upperparts_color::grey", ["upper", "parts", "color", "gray"]),
        ("has_size::very_small_(3_-_5_in)", ["size", "very", "small"]),
        ("far-away horizon", ["far", "away", "horizon"]),
        ("white", ["white"]),
    ],
)
def test_words_by_the_rules_of_cub(name: str, words: list[str]) -> None:
    assert attribute_words(name) == attribute_words(name, "cub") == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("newworld", "new world"),
        ("oldworld", "old world"),
        ("nestspot", "nest spot"),
        ("toughskin", "tough skin"),
        ("longleg", "long leg"),
        ("chewteeth", "chew teeth"),
        ("meatteeth", "meat teeth"),
        ("strainteeth", "strain teeth"),
        ("quadrapedal", "quadrupedal"),
        ("buckteeth", "buckteeth"),
        ("longneck", "longneck"),
    ],
)
def test_words_by_the_rules_of_awa2(name: str, words: str) -> None:
    assert attribute_words(name, "awa2") == words.split()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sailing/ boating", "sailing boating"),
        ("rock/stone", "rock stone"),
        ("dirt/soil", "dirt soil"),
        ("direct sun/sunny", "direct sun sunny"),
        ("electric/indoor lighting", "electric indoor lighting"),
        ("semi-enclosed area", "semi enclosed area"),
        ("far-away horizon", "faraway horizon"),
        ("wood (not part of a tree)", "wood (not part of a tree)"),
        ("man-made", "man-made"),
    ],
)
def test_words_by_the_rules_of_sun(name: str, words: str) -> None:
    assert attribute_words(name, "sun") == words.split()


def test_toybirds_and_data_folders_use_the_rules_of_cub() -> None:
    assert [scheme_of(name) for name in ("cub", "awa2", "sun", "toybirds", "../my/birds")] == [
        *("cub", "awa2", "sun"),
        *("cub", "cub"),
    ]


@needs_metadata
@pytest.mark.parametrize("dataset", ["cub", "awa2", "sun"])
def test_every_official_attribute_has_its_published_phrase(dataset: str, tmp_path: Path) -> None:
    lay_out(dataset, tmp_path)
    with (PUBLISHED / f"new_des_{dataset.upper()}.csv").open(newline="", encoding="utf-8") as file:
        phrases = [row["new_des"] for row in csv.DictReader(file)]
    found = [attribute_words(name, dataset) for name in attribute_names(dataset, tmp_path)]
    # AwA2's list was published before its own replacements; those are tested word by word above.
    expected = [attribute_words(phrase, "awa2") if dataset == "awa2" else phrase.split() for phrase in phrases]
    assert len(found) == len(expected)
    assert found == expected


@given(st.lists(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=6), min_size=1, max_size=5))
def test_words_are_recovered_from_every_separator(words: list[str]) -> None:
    if words[0] == "has":
        words = ["is", *words]
    words = ["gray" if word == "grey" else word for word in words]
    for joint in ("_", "-", " ", "::"):
        assert attribute_words(joint.join(words)) == words
    assert attribute_words("has_" + "_".join(words)) == words


_PARTS = st.sampled_from(["has_", "::", "(", "/", "-", " ", "grey", "newworld", "rock/stone", "man-made", "upperparts"])


@given(
    st.lists(st.one_of(st.text(max_size=8), _PARTS), max_size=8).map("".join), st.sampled_from(["cub", "awa2", "sun"])
)
def test_no_name_yields_an_empty_word_or_one_with_a_space(name: str, scheme: str) -> None:
    words = attribute_words(name, scheme)
    assert all(word and " " not in word for word in words)
    assert words == attribute_words(name, scheme)
    if scheme == "cub":
        assert all(not set("_-(").intersection(word) for word in words)
