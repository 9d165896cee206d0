"""Worker processes that load items of a data set: their signals, and what happens when one is killed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch.utils.data import DataLoader, Dataset

from svipctl.cpu_count import processor_count
from svipctl.errors import ResourceError
from svipctl.signals import held, ignore_signals
from svipctl.types import Workers

_MOST = 16
_BESIDE_A_CPU = 2  # the network needs the same processors
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_BYTES = 28 * 2**20  # of a worker: three batches of 64 images of 224 x 224
# The second comes from the thread that pins memory for a GPU, when the worker's last batch was on the way through it.
_SIGNS_OF_LOSS = ("DataLoader worker (pid", "Pin memory thread exited unexpectedly")


class MapStyle(Protocol):
    """Items by key, as torch's map-style data sets: by position, where it has a length and no order is given."""

    def __getitem__(self, key: Any, /) -> Any: ...


class WorkerLost(RuntimeError):
    """Loss of a worker process."""


def worker_count(workers: Workers, device: torch.device, processes: int = 1) -> int:
    """Return the number of worker processes.

    Args:
        workers: The number, or `auto`: 2 for a network on a CPU; else as many as there are processors for each process of
            the run, at most 16 and at most as many as there is shared memory for.
        device: Of the network.
        processes: Processes of the run that share the processors and the memory.

    """
    if workers != "auto":
        return workers
    if device.type == "cpu":
        return _BESIDE_A_CPU
    most = min(_MOST, processor_count() // processes)
    if _SHARED_MEMORY.is_dir():
        most = min(most, shutil.disk_usage(_SHARED_MEMORY).free // (processes * _SHARED_BYTES))
    return max(1, most)


def load_items(
    dataset: MapStyle,
    *,
    order: Iterable[Any] | None = None,
    workers: int = 0,
    batch_size: int | None = None,
    collate: Callable[[list[Any]], Any] | None = None,
    pin_memory: bool = False,
) -> Generator[Any, None, None]:
    """Yield the items of a map-style data set in order, or batches of them, as far ahead of their use as workers can be.

    Close it (`contextlib.closing`) where the work may be cut short: the workers end then, not when the program does.

    Args:
        dataset: Returns an exception instead of raising it: raised in a worker process, it would lose its explanation.
        order: Keys of the items; all positions if None.
        workers: Number of worker processes; 0 loads in this process.
        batch_size: Items in a batch; None for single items.
        collate: Turns a list of items into a batch, or into the exception among them.
        pin_memory: Pin the memory of tensors, for a GPU.

    Raises:
        Exception: One that an item is.
        WorkerLost: A worker was killed; see `explained_lost_workers`.

    """
    loader: DataLoader[Any] = DataLoader(
        cast("Dataset[Any]", dataset),
        sampler=order,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=pin_memory,
        collate_fn=collate,
        worker_init_fn=_leave_signals_to_the_parent,
        generator=torch.Generator(),  # or creating a loader would draw from the generator of the training
    )
    with held():
        waiting = iter(loader)
    try:
        while True:
            item, lost = None, ""
            try:
                item = next(waiting, None)
            except (ConnectionError, EOFError) as error:  # the lost worker still had the content of a batch
                lost = f"it took a batch along: {type(error).__name__}"
            except RuntimeError as error:
                if not _is_loss(error):
                    raise
                lost = str(error)
            if lost:
                raise WorkerLost(lost)
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        with held():
            del waiting  # ends the workers now, not when the last traceback that refers to this frame is gone


@contextmanager
def explained_lost_workers(todo: str, *, fewer: str = "--set data.workers=1") -> Iterator[None]:
    """Explain the RuntimeError by which torch reports a killed worker, wherever the program is at that moment.

    Args:
        todo: What to do.
        fewer: Option that sets a smaller number of workers.

    Raises:
        ResourceError: A worker was killed; the kernel does so when memory is short.

    """
    try:
        yield
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise ResourceError(
            "a process that decodes images was killed",
            why=str(error).partition("\n")[0],
            todo=f"{todo}; if memory was short, with fewer of them: {fewer}",
        ) from error


def _is_loss(error: RuntimeError) -> bool:
    return isinstance(error, WorkerLost) or any(sign in str(error) for sign in _SIGNS_OF_LOSS)


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ignore signals: a worker ends when its parent does, but Ctrl-C and Slurm's reach the whole group of processes."""
    ignore_signals()
