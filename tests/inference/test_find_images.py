"""Test which files the arguments of a user select."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from svipctl.errors import DataError
from svipctl.inference.find_images import find_pictures, listed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "notes.txt", "deep/c.webp", "deep/er/d.jpeg", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(folder: Path, *named: str) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_pictures(str(folder / name) for name in named)]


def test_a_folder_gives_its_images_by_name_before_those_of_subfolders(folder: Path) -> None:
    assert names(folder, ".") == ["a.jpg", "b.PNG", "odd[1].jpg", "deep/c.webp", "deep/er/d.jpeg"]


def test_patterns_match_within_and_across_folders(folder: Path) -> None:
    assert names(folder, "*.jpg") == ["a.jpg", "odd[1].jpg"] or names(folder, "*.jpg") == ["odd[1].jpg", "a.jpg"]
    assert set(names(folder, "**/*.jp*g")) == {"a.jpg", "odd[1].jpg", "deep/er/d.jpeg"}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder: Path) -> None:
    assert names(folder, "odd[1].jpg") == ["odd[1].jpg"]


def test_files_keep_the_order_of_the_arguments_whatever_their_suffix(folder: Path) -> None:
    assert names(folder, "notes.txt", "deep/c.webp", "a.jpg") == ["notes.txt", "deep/c.webp", "a.jpg"]


def test_an_argument_without_files_is_passed_on_to_be_reported(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert names(folder, "gone.jpg", "*.tiff", "empty") == ["gone.jpg", "*.tiff", "empty"]


@pytest.mark.parametrize("name", ["a" * 300, "a\0b.png", "[a]" * 300])
def test_an_impossible_file_name_is_passed_on_too(name: str) -> None:
    assert [str(path) for path in find_pictures([name])] == [name]


def test_a_subfolder_that_cannot_be_listed_is_passed_on_and_not_skipped(folder: Path) -> None:
    found = find_pictures([str(folder)])
    first = next(found)
    shutil.rmtree(folder / "deep")  # as if it were unreadable
    assert [path.name for path in (first, *found)] == ["a.jpg", "b.PNG", "odd[1].jpg", "deep"]


def test_images_are_found_lazily(folder: Path) -> None:
    def named():  # type: ignore[no-untyped-def]
        yield str(folder / "a.jpg")
        raise AssertionError("looked ahead")

    assert next(find_pictures(named())).name == "a.jpg"


def test_a_list_may_have_empty_lines_and_any_line_ending() -> None:
    file = io.StringIO("a b.jpg\n\n  \nc.jpg\r\nd.jpg", newline="")
    assert list(listed(file)) == ["a b.jpg", "c.jpg", "d.jpg"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("a.jpg\0b.jpg\0", "line 1 has a NUL"), ("a.jpg\n\0", "line 2 has a NUL"), ("a" * 2**17, "line 1 is longer")],
)
def test_a_list_without_a_name_per_line_is_refused(content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(listed(io.StringIO(content)))


def test_an_endless_list_is_refused_at_once() -> None:
    with Path("/dev/zero").open() as file, pytest.raises(DataError, match="does not have one name per line"):
        list(listed(file))


def test_a_pattern_of_any_folders_enters_each_once_despite_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.png").touch()
    (tmp_path / "a" / "here").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "self").symlink_to("self")
    for pattern in ("**/*.png", "a/**/*.png", "**/**/one.png", "**/b/**"):
        assert list(find_pictures([str(tmp_path / pattern)])) == [tmp_path / "a" / "b" / "one.png"]
