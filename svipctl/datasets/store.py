"""Store rows of bytes on disk, one per image: pixels or features that are computed once and read many times.

A store is a folder with `rows.npy` (uint8, one row after the other), `checksums.npy` (uint8 (N, 16), zeros for a row
that is not finished) and `index.json` (everything that the rows depend on, their files, and their shapes). It is
written in a hidden folder next to its final folder and renamed when every row is finished. After an interruption, the
next call continues with the missing rows.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from svipctl.errors import DataError, ReadError, explained_damage, explained_disk_errors, system_error
from svipctl.files import atomic_write_text, file_lock, open_regular, read_regular, require_disk_space, sync
from svipctl.types import ProgressCallback

FORMAT = 2
ROWS, CHECKSUMS, INDEX = "rows.npy", "checksums.npy", "index.json"
_DIGEST_BYTES = 16

Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]
Written = dict[int, bytes]
"""Row index -> checksum of rows that are on the disk."""


class Store:
    """The rows of a finished store, read by image file.

    Rows are read with `preadv` instead of a memory map: mapped pages count as the process's memory, so an epoch
    would seem to need the size of the data set, and a file that is truncated under a map crashes the process.
    Reading does not move a file position, so that forked processes may share an open store.

    Args:
        folder: Folder of the store.
        is_finished: False for a store that may lack rows.

    Raises:
        DataError: The folder is not a store of this format, or it lacks rows.

    """

    def __init__(self, folder: Path, *, is_finished: bool = True) -> None:
        self.folder = folder
        with explained_damage(folder, "is damaged"):  # json and numpy raise different exceptions
            self.index: dict[str, Any] = json.loads(read_regular(folder / INDEX))
            if self.index["format"] != FORMAT:
                raise DataError(f"{folder} cannot be read", why="another version of svipctl wrote it")
            self.files: list[str] = self.index["files"]
            self._shapes = [tuple(shape) for shape in self.index["shapes"]]
            self._offsets = _offsets(self._shapes)
            with open_regular(folder / CHECKSUMS) as file:
                self._checksums: Bytes = np.load(file)  # (N, 16)
            self._start = _data_start(folder / ROWS, self._offsets[-1])
            of_bytes = self._checksums.dtype == np.uint8 and self._checksums.shape == (len(self.files), _DIGEST_BYTES)
            if not of_bytes or len(self._shapes) != len(self.files) or (is_finished and self.missing()):
                raise ValueError("its index and its rows do not match")
            self._row = {file: row for row, file in enumerate(self.files)}
        self._is_checked = np.zeros(len(self.files), dtype=bool)
        self._descriptor = os.open(folder / ROWS, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        """Let a worker process open the file itself."""
        return type(self), (self.folder,)

    def missing(self) -> list[int]:
        """Return the rows that the store lacks."""
        return _missing(self._checksums)

    def read(self, file: str) -> Bytes:
        """Return the row of an image, in its shape; raises as `gather`."""
        row = np.empty(self._shapes[self._row[file]], dtype=np.uint8)
        self._read_into(row, file)
        return row

    def gather(self, files: Sequence[str], out: Bytes) -> None:
        """Read the rows of B images into a contiguous array (B, ...).

        Raises:
            DataError: The file of rows is truncated or damaged.

        """
        for file, row in zip(files, out, strict=True):
            self._read_into(row, file)

    def damaged(self) -> Iterator[str]:
        """Yield the files whose rows are truncated or do not match their checksums."""
        for file in self.files:
            try:
                self.read(file)
            except ReadError:
                raise
            except DataError:
                yield file

    def _read_into(self, out: Bytes, file: str) -> None:
        """Read a row, and compare its checksum the first time that this process reads it."""
        row = self._row[file]
        rest, position = out.reshape(-1).data, self._start + self._offsets[row]
        if not out.flags.c_contiguous or len(rest) != self._offsets[row + 1] - self._offsets[row]:
            raise ValueError(f"the array for {file} is not contiguous, or has another size than its row")
        while rest:
            try:
                count = os.preadv(self._descriptor, [rest], position)
            except OSError as error:
                raise system_error(error, self.folder / ROWS) from error
            if not count:
                raise DataError(f"{self.folder / ROWS} was truncated while it was read", todo="create it again")
            rest, position = rest[count:], position + count
        if self._is_checked[row]:
            return
        if _checksum(out.reshape(-1)) != self._checksums[row].tobytes():
            raise DataError(
                f"{self.folder} is damaged: the row of {file} does not match its checksum",
                todo="remove this folder, and create it again",
            )
        self._is_checked[row] = True


@dataclass(frozen=True)
class StorePlan:
    """A store before it is finished."""

    folder: Path
    """Folder of the finished store."""
    stamp: Mapping[str, Any]
    """Everything that the rows depend on, in JSON types. A store with another stamp is not used."""
    files: tuple[str, ...]
    """Images, in the order of the rows."""
    shapes: tuple[Shape, ...]
    """Shape of each row, in bytes."""
    content: str = "rows"
    """Name of the rows in error messages."""
    advice: str = "free some space, or choose another --data-dir"
    """Advice in the error of a disk that is too small."""

    @property
    def unfinished(self) -> Path:
        """Folder of the store until it is finished."""
        return self.folder.with_name(f".{self.folder.name}.unfinished")

    @property
    def bytes(self) -> int:
        """Size of all rows."""
        return self._offsets[-1]

    @cached_property
    def index(self) -> dict[str, Any]:
        """Content of the index."""
        shapes = [list(shape) for shape in self.shapes]
        return {"format": FORMAT, **self.stamp, "files": list(self.files), "shapes": shapes}

    @cached_property
    def _offsets(self) -> list[int]:
        return _offsets(self.shapes)

    def find(self, *, is_finished: bool = True) -> Store | None:
        """Return the store, or the unfinished one, if its index is the planned one, else None."""
        try:
            store = Store(self.folder if is_finished else self.unfinished, is_finished=is_finished)
        except ReadError:
            raise  # what cannot be read is not replaced
        except DataError:
            return None
        return store if store.index == self.index else None

    def bytes_to_write(self, *, force: bool = False) -> int:
        """Return the disk space that is still needed, minus the space of older files that are replaced."""
        begun = None if force else self.find(is_finished=False)
        rows = begun.missing() if begun else range(len(self.files))
        replaced = [self.folder] if begun else [self.folder, self.unfinished]
        freed = sum(path.stat().st_blocks * 512 for folder in replaced for path in folder.glob("*"))
        return max(0, sum(math.prod(self.shapes[row]) for row in rows) - freed)

    def write(self, rows: Sequence[int], contents: Iterable[Bytes]) -> Written:
        """Write rows into the unfinished store and flush them to the disk; safe in several processes at once.

        Args:
            rows: Positions of the rows.
            contents: Their bytes, uint8 in any shape of the planned size.

        """
        checksums = {}
        path = self.unfinished / ROWS
        start, descriptor = _data_start(path, self.bytes), os.open(path, os.O_WRONLY)
        try:
            for row, content in zip(rows, contents, strict=True):
                content = np.ascontiguousarray(content)
                if content.nbytes != self._offsets[row + 1] - self._offsets[row]:
                    raise ValueError(f"the row of {self.files[row]} has {content.nbytes} bytes")
                rest, position = content.reshape(-1).data, start + self._offsets[row]
                while rest:
                    written = os.pwrite(descriptor, rest, position)
                    rest, position = rest[written:], position + written
                checksums[row] = _checksum(content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return checksums


def fill_store(
    plan: StorePlan,
    compute: Callable[[list[int]], Iterable[Written]],
    *,
    force: bool = False,
    on_wait: Callable[[], object] | None = None,
    progress: ProgressCallback | None = None,
) -> Literal["fresh", "created", "resumed"]:
    """Create the store of a plan unless it exists; an outdated store is replaced.

    Args:
        plan: The store to create.
        compute: Function that computes the missing rows, writes them with `plan.write`, and yields the result of
            each call.
        force: Start again even if a store exists.
        on_wait: Called before waiting for another process that fills a store in the same folder. Without it, that
            is an error.
        progress: Called with images done and images in total.

    Returns:
        `fresh` if the store existed, `created`, or `resumed` if unfinished work was continued.

    Raises:
        DataError: `compute` raised it, or yielded too few rows.
        ResourceError: The disk is too small or full.
        ConfigError: The folder cannot be written, or another process is filling a store there.

    """
    place = plan.folder.parent
    if not force and plan.find():
        return "fresh"
    with explained_disk_errors(f"{plan.content} in {place}"):
        place.mkdir(exist_ok=True)
        with file_lock(place, busy=f"another process is writing {plan.content} in {place}", on_wait=on_wait):
            if not force and plan.find():
                return "fresh"
            needed = plan.bytes_to_write(force=force)
            what = f"{plan.content} ({plan.folder.name}) need {needed / 2**30:.2f} GiB more on the disk"
            require_disk_space(place, needed, what, plan.advice)
            _remove(plan.folder)
            is_new = force or plan.find(is_finished=False) is None
            if is_new:
                _begin(plan)
            _fill(plan, compute, progress)
            sync(plan.unfinished)
            plan.unfinished.rename(plan.folder)
            sync(place)
    return "created" if is_new else "resumed"


def _begin(plan: StorePlan) -> None:
    """Create a store of the full size without finished rows, with its index last."""
    _remove(plan.unfinished)
    plan.unfinished.mkdir()
    alike = len(set(plan.shapes)) == 1
    shape = (len(plan.files), *plan.shapes[0]) if alike else (plan.bytes,)
    open_memmap(plan.unfinished / ROWS, mode="w+", dtype=np.uint8, shape=shape)
    np.save(plan.unfinished / CHECKSUMS, np.zeros((len(plan.files), _DIGEST_BYTES), dtype=np.uint8))
    atomic_write_text(plan.unfinished / INDEX, json.dumps(plan.index))


def _fill(
    plan: StorePlan, compute: Callable[[list[int]], Iterable[Written]], progress: ProgressCallback | None
) -> None:
    """Compute the missing rows, and mark each as finished when it is on the disk."""
    checksums = open_memmap(plan.unfinished / CHECKSUMS, mode="r+")
    missing = _missing(checksums)
    done = len(plan.files) - len(missing)
    for written in compute(missing):
        for row, checksum in written.items():
            checksums[row] = np.frombuffer(checksum, dtype=np.uint8)
        checksums.flush()
        done += len(written)
        if progress and written:
            progress(done, len(plan.files))
    if lacking := _missing(checksums):
        raise DataError(f"{plan.content} in {plan.folder} lack {len(lacking)} rows", todo="run the command again")


def _remove(folder: Path) -> None:
    """Delete a store, its index first, so that an interrupted deletion does not look like a store."""
    (folder / INDEX).unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)


def _missing(checksums: Bytes) -> list[int]:
    """Return the rows without a checksum (N, 16)."""
    return np.flatnonzero(~checksums.any(axis=1)).tolist()


def _offsets(shapes: Sequence[Shape]) -> list[int]:
    """Return the offset of each row in bytes, followed by their total size."""
    return [0, *np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64).tolist()]


def _data_start(path: Path, expected: int) -> int:
    """Return the offset of the data of a .npy file.

    Raises:
        DataError, ValueError: The file is missing, or does not have the expected number of bytes.

    """
    open_regular(path).close()  # a map of a pipe would wait for it
    mapped = open_memmap(path, mode="r")
    if mapped.dtype != np.uint8 or mapped.size != expected or path.stat().st_size != mapped.offset + expected:
        raise ValueError(f"{path.name} does not have {expected} bytes")
    return int(mapped.offset)


def _checksum(row: Bytes) -> bytes:
    return hashlib.blake2b(row.data, digest_size=_DIGEST_BYTES).digest()
