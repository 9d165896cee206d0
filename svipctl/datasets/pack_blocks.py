"""The work of packing: blocks of images decoded and written to disjoint places of one file, here or in processes."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.images import Geometry, Pixels, decode
from svipctl.datasets.packed import offsets_of
from svipctl.errors import DataError, ResourceError

Finished = Callable[[int, str], None]
"""Told the number of a block that is on the disk, and its checksum."""


@dataclass(frozen=True)
class Blocks:
    """Images in blocks of about so many bytes; what a worker process needs to know."""

    root: Path
    geometry: Geometry
    files: tuple[str, ...]
    heights: tuple[int, ...]
    widths: tuple[int, ...]
    block_bytes: int

    def offsets(self) -> list[int]:
        """Where each image begins in the file, in bytes; last its length."""
        return offsets_of(self.heights, self.widths)

    def bounds(self) -> list[tuple[int, int]]:
        """First image and the one after the last of each block; a block has at least one."""
        offsets, found, first = self.offsets(), [], 0
        for image in range(1, len(self.files) + 1):
            if offsets[image] - offsets[first] >= self.block_bytes or image == len(self.files):
                found.append((first, image))
                first = image
        return found

    def pixels(self, image: int) -> Pixels:
        """Decode an image.

        Raises:
            DataError: It does not decode, or is no longer as large as it was.

        """
        path = self.root / self.files[image]
        pixels = self.geometry(decode(path))
        if pixels.shape != (self.heights[image], self.widths[image], 3):
            raise DataError(f"image {path} has changed while it was packed", todo="run the command again")
        return pixels


def checksum(stored: NDArray[np.uint8]) -> str:
    """Of the bytes of a block."""
    return hashlib.blake2b(stored.data, digest_size=16).hexdigest()


def write_blocks(blocks: Blocks, path: Path, numbers: Sequence[int], workers: int, finished: Finished) -> None:
    """Decode blocks into the file, each flushed to the disk before it is called finished.

    Args:
        blocks: All blocks of the file.
        path: A file of the full length.
        numbers: Of the blocks to be written.
        workers: Processes; with 1 it is done in this one.
        finished: Called in this process, in any order of the blocks.

    Raises:
        DataError: An image does not decode.
        ResourceError: A process was ended by the system.

    """
    if workers == 1:
        writer = _Writer(blocks, path)
        try:
            for number in numbers:
                finished(number, writer.write(number))
        finally:
            writer.close()
        return
    # A server that imports torch once and forks is as good as many imports; macOS libraries do not bear forks.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    if sys.platform == "linux":
        context.set_forkserver_preload([__name__])
    stop = context.Event()
    pool = ProcessPoolExecutor(min(workers, len(numbers)), context, _start_worker, (blocks, path, stop))
    try:
        with _interrupt_withheld():
            futures = {pool.submit(_write_in_worker, number): number for number in numbers}
        for future in as_completed(futures):
            finished(futures[future], future.result())
    except BrokenProcessPool as error:
        raise ResourceError(
            "a process that was packing images was ended by the system",
            why="most often because memory ran out",
            todo="run the command again with fewer --workers; finished blocks are kept",
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


class _Stopped(Exception):
    """Nobody waits for the block any more."""


class _Writer:
    """The file that a process writes blocks to."""

    def __init__(self, blocks: Blocks, path: Path, stop: Event | None = None) -> None:
        self.stop = stop
        self.blocks, self.bounds, self.offsets = blocks, blocks.bounds(), blocks.offsets()
        self.descriptor = os.open(path, os.O_WRONLY)

    def close(self) -> None:
        os.close(self.descriptor)

    def write(self, number: int) -> str:
        """Decode a block, bring it to the disk and return its checksum."""
        first, end = self.bounds[number]
        start = self.offsets[first]
        block: NDArray[np.uint8] = np.empty(self.offsets[end] - start, dtype=np.uint8)
        for image in range(first, end):
            if self.stop is not None and self.stop.is_set():
                raise _Stopped
            place = slice(self.offsets[image] - start, self.offsets[image + 1] - start)
            block[place] = self.blocks.pixels(image).transpose(2, 0, 1).reshape(-1)
        rest, position = block.data, start
        while rest:
            written = os.pwrite(self.descriptor, rest, position)
            rest, position = rest[written:], position + written
        os.fsync(self.descriptor)
        return checksum(block)


_writer: _Writer | None = None  # of a worker process


def _start_worker(blocks: Blocks, path: Path, stop: Event) -> None:
    global _writer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    assert parent is not None
    # A worker would wait for ever for a parent that was killed: it holds the other end of its own queue.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _writer = _Writer(blocks, path, stop)


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


def _write_in_worker(number: int) -> str:
    assert _writer is not None
    return _writer.write(number)


@contextmanager
def _interrupt_withheld() -> Iterator[None]:
    """Ctrl-C comes after this; processes started here do not see it before they have said that they ignore it."""
    resource_tracker.ensure_running()  # starting it would lift the block
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
