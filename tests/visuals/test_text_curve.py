"""Test curves in text."""

from __future__ import annotations

import pytest

from svipctl.visuals.text_curve import curve, framed

STAIRS = [(0.0, 100.0), (50.0, 100.0), (50.0, 50.0), (100.0, 50.0), (100.0, 0.0)]


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """Return column and row of every dot, from the Unicode layout of Braille patterns."""
    places = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}
    found = set()
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            bits = ord(character) - 0x2800 if character != " " else 0
            found |= {(2 * column + places[n][0], 4 * row + places[n][1]) for n in range(8) if bits >> n & 1}
    return found


def test_a_line_passes_through_its_points_without_gaps() -> None:
    found = dots(curve(STAIRS, columns=20, rows=5))
    expected = {(x, 0) for x in range(21)} | {(20, y) for y in range(10)} | {(x, 10) for x in range(20, 40)}
    assert expected <= found | {(20, 9), (20, 10)}
    assert {(39, y) for y in range(10, 20)} <= found


def test_corners_of_the_square_are_corners_of_the_text() -> None:
    assert dots(curve([(0, 0)], columns=3, rows=2)) == {(0, 7)}
    assert dots(curve([(100, 100)], columns=3, rows=2)) == {(5, 0)}
    assert dots(curve([(250, -3)], columns=3, rows=2)) == {(5, 7)}


def test_without_braille_the_text_is_ascii() -> None:
    lines = framed(curve(STAIRS, columns=10, rows=4, braille=False), x="U", y="S", braille=False)
    assert all(line.isascii() for line in lines)
    assert lines[1:5] == ["100 |*****     ", "    |    *     ", "    |    ******", "  0 |         *"]


def test_marks_are_at_their_place_and_a_later_one_covers_an_earlier() -> None:
    lines = curve(STAIRS, [((0, 100), "a"), ((100, 0), "b"), ((100, 0), "c")], columns=9, rows=3)
    assert (lines[0][0], lines[2][8]) == ("a", "c")
    assert "b" not in "".join(lines)


@pytest.mark.parametrize("braille", [True, False])
def test_every_line_of_a_frame_is_as_wide_as_the_curve(braille: bool) -> None:
    lines = framed(curve(STAIRS, columns=12, rows=4, braille=braille), x="U", y="S", braille=braille)
    assert {len(line) for line in lines[1:]} == {17}
    assert lines[1].startswith("100")
    assert lines[4].startswith("  0")


def test_a_curve_without_points_is_blank() -> None:
    assert curve([], columns=4, rows=2) == ["    ", "    "]
