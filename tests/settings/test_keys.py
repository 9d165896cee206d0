"""Test dotted keys, and values written as text: TOML, or else the text itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.settings.keys import flatten, known_keys, parse_value
from svipctl.settings.schema import Settings


def test_every_key_is_documented_by_its_name_once() -> None:
    keys = [key for key, _ in known_keys()]
    assert len(keys) == len(set(keys))
    assert {"dataset", "optim.lr", "method.keep", "model.backbone_args", "train.fold"} <= set(keys)
    assert list(flatten(Settings(dataset="cub"))) == keys


def test_every_key_has_a_description() -> None:
    assert [key for key, field in known_keys() if not field.description] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-4", 1e-4), ("true", True), ("[1, 2]", [1, 2]), ("{a = 1}", {"a": 1}), ('"3"', "3"), ("vit", "vit")],
)
def test_parse_value_reads_toml_or_text(text: str, value: object) -> None:
    found = parse_value(text)
    assert (found, type(found)) == (value, type(value))


@given(st.text(max_size=30))
def test_parse_value_never_raises_and_keeps_words(text: str) -> None:
    parse_value(text)
    assert parse_value(f"x{text}y") == f"x{text}y"


@given(st.one_of(st.integers(-(2**60), 2**60), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
def test_parse_value_inverts_toml(value: object) -> None:
    assert parse_value(str(value).lower() if isinstance(value, bool) else str(value)) == value
