"""Test pages of images: a fixed number of images per page, one page at a time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from svipctl.errors import ConfigError
from svipctl.visuals.pages import write_pages
from svipctl.visuals.style import new_figure, themed


def drawn(items: Sequence[int]) -> Figure:
    figure = new_figure(1, 1)
    figure.text(0, 0, str(list(items)))
    return figure


@pytest.mark.parametrize(
    ("count", "names"), [(0, []), (1, ["a"]), (3, ["a"]), (4, ["a-1", "a-2"]), (7, ["a-1", "a-2", "a-3"])]
)
def test_a_single_page_has_the_file_name_and_several_are_numbered(tmp_path: Path, count: int, names: list[str]) -> None:
    with themed():
        pages = list(write_pages(iter(range(count)), tmp_path / "a.svg", drawn, 3))
    assert [path.stem for path, _ in pages] == names
    assert [item for _, page in pages for item in page] == list(range(count))
    for path, page in pages:
        assert str(list(page)) in path.read_text()


def test_a_page_is_written_before_the_images_of_the_next_are_read(tmp_path: Path) -> None:
    asked: list[int] = []

    def images() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    with themed():
        pages = write_pages(images(), tmp_path / "a.png", drawn, 3)
        next(pages)
        assert len(asked) == 4
        assert (tmp_path / "a-1.png").exists()
        next(pages)
        assert len(asked) == 7


def test_an_unsupported_format_is_refused_before_any_image_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        list(write_pages(iter([1]), tmp_path / "a.gif", drawn, 3))


def test_a_page_is_freed_before_the_next_is_drawn_and_no_object_stays_frozen(tmp_path: Path) -> None:
    figures: list[weakref.ref[Figure]] = []
    alive: list[int] = []

    def noted(items: Sequence[int]) -> Figure:
        alive.append(sum(1 for figure in figures if figure() is not None))
        figure = drawn(items)
        figures.append(weakref.ref(figure))
        return figure

    gc.disable()  # only explicit collections count
    try:
        with themed():
            pages = write_pages(iter(range(9)), tmp_path / "a.png", noted, 3)
            for _ in pages:
                pass
            assert alive == [0, 0, 0]
            pages = write_pages(iter(range(9)), tmp_path / "b.png", noted, 3)
            next(pages)
            pages.close()
    finally:
        gc.enable()
    assert gc.get_freeze_count() == 0
