"""A few works at once, in threads that do not keep the program alive: Ctrl-C need not wait for a silent server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

_AT_ONCE = 3


def side_by_side(works: Mapping[str, Callable[[], T]], at_once: int = _AT_ONCE) -> dict[str, Future[T]]:
    """Begin works in their order, so many at once.

    Args:
        works: By name.
        at_once: Most that run at the same time.

    Returns:
        By name, what will be each work's result or error. `cancel` keeps from beginning what has not begun.

    """
    futures: dict[str, Future[T]] = {name: Future() for name in works}
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in works:
        waiting.put(name)

    def work() -> None:
        while True:
            try:
                name = waiting.get_nowait()
            except Empty:
                return
            if not futures[name].set_running_or_notify_cancel():
                continue
            try:
                futures[name].set_result(works[name]())
            except BaseException as error:  # told to whoever asks for the result
                futures[name].set_exception(error)

    for _ in range(min(at_once, len(works))):
        threading.Thread(target=work, name="download", daemon=True).start()
    return futures
