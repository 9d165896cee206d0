"""Write figures of any number of images in pages; each page is drawn, written and freed before the next."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from svipctl.visuals.style import check_suffix, save

T = TypeVar("T")


def write_pages(
    items: Iterable[T], file: Path, draw: Callable[[Sequence[T]], Figure], per_page: int
) -> Generator[tuple[Path, Sequence[T]]]:
    """Draw the items, one page at a time, and yield the file and the items of each; call it inside `themed`.

    A figure's parts refer to each other, so that only the cyclic collector frees them; without it hundreds of
    megabytes accumulate. Earlier objects are frozen: with half a million objects of torch a collection takes a third
    of a second a page, without them a fiftieth.

    Args:
        items: Items to show; consumed page by page.
        file: File of a single page; several are `NAME-1.png`, `NAME-2.png` and so on.
        draw: Function that draws the items of a page.
        per_page: Number of items on a page.

    Raises:
        ConfigError: The file's name ends in neither .png nor .svg.
        DataError: The file cannot be written.

    """
    check_suffix(file)
    coming = iter(items)
    page, number = list(islice(coming, per_page)), 1
    gc.freeze()
    try:
        while page:
            following = list(islice(coming, 1))
            is_only = number == 1 and not following
            path = file if is_only else file.with_name(f"{file.stem}-{number}{file.suffix}")
            save(draw(page), path)
            gc.collect()
            yield path, page
            page, number = [*following, *islice(coming, per_page - 1)] if following else [], number + 1
    finally:
        gc.unfreeze()
