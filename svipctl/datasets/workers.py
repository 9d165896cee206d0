"""Load items of a data set in worker processes, and handle their signals and their loss."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from svipctl.cpu_count import processor_count
from svipctl.errors import ResourceError
from svipctl.signals import deferred_signals, ignore_signals
from svipctl.types import Workers

_MOST = 16
_BESIDE_A_CPU = 2  # the network needs the same processors
_SHARED_MEMORY = Path("/dev/shm")
_SHARED_BYTES = 28 * 2**20  # of a worker: three batches of 64 images of 224 x 224
# The second is from the thread that pins memory for a GPU, if it held the worker's last batch.
_SIGNS_OF_LOSS = ("DataLoader worker (pid", "Pin memory thread exited unexpectedly")


class WorkerLost(RuntimeError):
    """Loss of a worker process."""


def worker_count(workers: Workers, device: torch.device, processes: int = 1) -> int:
    """Return the number of worker processes.

    Args:
        workers: The number, or `auto`: 2 for a network on a CPU; else the number of processors per process of
            the run, at most 16 and at most as many as fit in shared memory.
        device: Device of the network.
        processes: Number of processes of the run that share the processors and the memory.

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
    dataset: Any, order: Iterable[Any], *, workers: int = 0, pin_memory: bool = False
) -> Generator[Any, None, None]:
    """Yield the items of a data set in order, loaded ahead of their use by the workers.

    Close the generator (`contextlib.closing`) if the loop may end early, so that the workers end.

    Args:
        dataset: Items by key; it returns exceptions instead of raising them, because a worker process would lose
            their text.
        order: Keys of the items.
        workers: Number of worker processes; 0 loads in this process.
        pin_memory: Pin the memory of tensors, for a GPU.

    Raises:
        Exception: An item is an exception.
        WorkerLost: A worker was killed; see `explained_lost_workers`.

    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_signals_to_the_parent,
        generator=torch.Generator(),  # otherwise creating a loader would draw from the generator of the training
    )
    with deferred_signals():
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
        with deferred_signals():
            del waiting  # ends the workers now, not when the last traceback that refers to this frame is freed


@contextmanager
def explained_lost_workers(todo: str, *, fewer: str = "--set data.workers=1") -> Iterator[None]:
    """Raise ResourceError for the RuntimeError by which torch reports a killed worker, wherever the program is.

    Args:
        todo: Advice in the error.
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
