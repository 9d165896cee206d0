"""What a user may name, and which files that gives."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from svipctl.inference.find_images import find_pictures, listed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "notes.txt", "deep/c.webp", "deep/er/d.jpeg", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder: Path, *named: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_pictures(str(folder / name) for name in named)]


def test_a_folder_gives_its_pictures_by_name_and_then_those_below(folder: Path) -> None:
    assert names(folder, ".") == ["a.jpg", "b.PNG", "odd[1].jpg", "deep/c.webp", "deep/er/d.jpeg"]


def test_patterns_match_within_and_across_folders(folder: Path) -> None:
    assert names(folder, "*.jpg") == ["a.jpg", "odd[1].jpg"] or names(folder, "*.jpg") == ["odd[1].jpg", "a.jpg"]
    assert set(names(folder, "**/*.jp*g")) == {"a.jpg", "odd[1].jpg", "deep/er/d.jpeg"}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    assert names(folder, "odd[1].jpg") == ["odd[1].jpg"]


def test_files_come_in_the_order_they_are_named_whatever_their_suffix(folder: Path) -> None:
    assert names(folder, "notes.txt", "deep/c.webp", "a.jpg") == ["notes.txt", "deep/c.webp", "a.jpg"]


def test_what_names_nothing_is_given_on_so_that_it_is_reported(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert names(folder, "gone.jpg", "*.tiff", "empty") == ["gone.jpg", "*.tiff", "empty"]


@pytest.mark.parametrize("name", ["a" * 300, "a\0b.png", "[a]" * 300])
def test_a_name_that_no_file_can_have_is_given_on_as_well(name: str) -> None:
    assert [str(path) for path in find_pictures([name])] == [name]


def test_a_folder_within_that_cannot_be_listed_is_given_on_and_not_passed_over(folder: Path) -> None:
    found = find_pictures([str(folder)])
    first = next(found)
    shutil.rmtree(folder / "deep")  # as if it were not to be read
    assert [path.name for path in (first, *found)] == ["a.jpg", "b.PNG", "odd[1].jpg", "deep"]


def test_pictures_are_looked_for_only_when_asked_for(folder: Path) -> None:
    def named():  # type: ignore[no-untyped-def]
        yield str(folder / "a.jpg")
        raise AssertionError("looked ahead")

    assert next(find_pictures(named())).name == "a.jpg"


def test_a_list_may_have_empty_lines_and_either_line_end() -> None:
    assert list(listed(["a b.jpg\n", "\n", "  \n", "c.jpg\r\n", "d.jpg"])) == ["a b.jpg", "c.jpg", "d.jpg"]
