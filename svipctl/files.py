"""Lock and write files: locks end with their process, and a write leaves either the old content or the new."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO

from svipctl.errors import ConfigError, DataError, ResourceError, explained_damage, system_error

_PATIENCE = 0.5  # seconds: `is_locked` in another process holds the lock for a moment only
_NO_FILES = {"d": "a folder", "p": "a pipe", "s": "a socket"}  # others are devices


def open_regular(path: Path, limit: int | None = None, *, what: str = "file", todo: str = "") -> BufferedReader:
    """Open a file that a user named, for reading; refuse pipes and devices.

    Args:
        path: The file.
        limit: Size of the largest accepted file in bytes; any size if None.
        what: Noun for the file in the error if it is missing.
        todo: Advice in that error.

    Raises:
        DataError: The file is missing, not a regular file, larger than the limit, or not readable.
        ConfigError: The name is too long.

    """
    with _explained_names(path, what, todo):
        _require_regular(path, path.stat(), limit)  # before it is opened: opening a device can change it
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
        try:
            _require_regular(path, os.fstat(file.fileno()), limit)  # the name may be another file's by now
        except DataError:
            file.close()
            raise
        return file


def read_regular(path: Path, limit: int | None = None, *, what: str = "file", todo: str = "") -> bytes:
    """Return the content of a file that a user named; same arguments and errors as `open_regular`."""
    with open_regular(path, limit, what=what, todo=todo) as file, explained_damage(path, "cannot be read", OSError):
        content = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(content) > limit:  # it grows, or its size is not known, as in /proc
        raise _too_large(path, len(content), limit)
    return content


def _require_regular(path: Path, status: os.stat_result, limit: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _NO_FILES.get(stat.filemode(status.st_mode)[0], "a device")
        raise DataError(f"{path} is {kind}, not a file", todo="pass a regular file")
    if limit is not None and status.st_size > limit:
        raise _too_large(path, status.st_size, limit)


def _too_large(path: Path, size: int, limit: int) -> DataError:
    return DataError(f"{path} is too large to be read", why=f"it has {size:,} bytes; at most {limit:,} are accepted")


@contextmanager
def file_lock(path: Path, *, busy: str = "", on_wait: Callable[[], object] | None = None) -> Iterator[int]:
    """Hold the exclusive lock on a folder, or on a lock file that is created if needed.

    The operating system releases the lock when the process ends, however it ends. Child processes that inherit the
    descriptor keep it.

    Args:
        path: An existing folder, or a lock file.
        busy: First line of the error if another process holds the lock.
        on_wait: Called once before waiting for another process that holds the lock. Without it, that is an error.

    Yields:
        The file descriptor that holds the lock.

    Raises:
        ConfigError: Another process holds the lock, and `on_wait` is None.

    """
    descriptor = os.open(path, os.O_RDONLY) if path.is_dir() else os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor, patience=_PATIENCE):
            if on_wait is None:
                raise ConfigError(busy or f"another process is using {path}", todo="wait for it to end, or stop it")
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Return whether a process holds the lock on a folder; a missing folder is not locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)  # shared: two calls at the same time do not see each other
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file name; on success the file is synced and renamed to `path`, on failure it is removed."""
    with unfinished_file(path.with_name(f".{path.name}.part")) as unfinished:
        yield unfinished
        sync(unfinished)
        unfinished.replace(path)


@contextmanager
def unfinished_file(path: Path) -> Iterator[Path]:
    """Yield an empty file of this process, to be renamed when it is complete; on failure it is removed.

    Writers of the same file wait for each other; a file that a killed writer left is reused.
    """
    try:
        with _create_locked(path):
            yield path
    except BaseException:  # also a signal right after the file was created
        _remove_unlocked(path)
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, complete or not at all; line ends stay as they are."""
    atomic_write_bytes(path, text.encode("utf-8"))


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file, complete or not at all."""
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(content)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a new empty folder; on success it replaces `folder`, on failure it is removed.

    Between the two renames of a replacement `folder` does not exist: read it through `resolve_folder`.
    """
    unfinished = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        previous = _previous(folder)
        sync(unfinished)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        unfinished.rename(folder)
        sync(folder.parent)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def resolve_folder(folder: Path) -> Path:
    """Return the folder, or its predecessor if `atomic_folder` was killed between its two renames."""
    if folder.exists():
        return folder
    previous = _previous(folder)
    return previous if previous.exists() else folder


def require_path(path: Path, what: str, todo: str = "") -> None:
    """Raise DataError with the noun `what` unless a path exists; other errors as in `open_regular`."""
    with _explained_names(path, what, todo):
        path.stat()


@contextmanager
def _explained_names(path: Path, what: str, todo: str) -> Iterator[None]:
    """Raise our errors for a path that a user named: DataError if the file does not exist, else the system's error."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"there is no {what} {path}", todo=todo) from error
    except OSError as error:
        raise system_error(error, path) from error
    except ValueError as error:
        raise DataError(f"{str(path)!r} is not a valid file name", why=str(error)) from error


def check_output(path: Path, todo: str = "choose another -o") -> None:
    """Check, before any work, that a file can be written at a path.

    Raises:
        ConfigError: Something other than a regular file is there, or its folder may not be written.

    """
    try:
        folder = nearest_existing(path.parent)
        is_other = path.exists() and not path.is_file()
    except OSError as error:
        raise system_error(error, path, "write") from error
    if is_other:
        raise ConfigError(f"{path} exists and is not a regular file", todo=todo)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path} cannot be written: {folder} is not a writable folder", todo=todo)


def nearest_existing(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists."""
    return next((one for one in (path, *path.parents) if one.exists()), Path())


def free_disk_space(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on, or will be on."""
    return shutil.disk_usage(nearest_existing(folder)).free


def require_disk_space(folder: Path, needed: int, what: str, todo: str) -> None:
    """Raise ResourceError with the line `what` unless the disk of a folder has the needed number of free bytes."""
    free = free_disk_space(folder)
    if needed > free:
        raise ResourceError(what, why=f"{free:,} bytes are free at {folder}", todo=todo)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open_regular(path) as file, explained_damage(path, "cannot be read", OSError):
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_text(name: str) -> bool:
    """Return True if a name is valid text in UTF-8, rather than undecodable bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sync(path: Path) -> None:
    """Flush a file's content, or the names in a folder, to the disk.

    Network file systems that refuse the request sync folders by themselves.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _create_locked(path: Path) -> IO[bytes]:
    """Return an empty file that is locked until it is closed, after waiting for the process that has it locked."""
    while True:
        file = path.open("a+b")  # to read too, so that a pipe is an error rather than waited for
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                file.truncate(0)
                return file
        except BaseException:
            file.close()  # the traceback would keep it open, and locked
            raise
        file.close()  # its last holder has renamed it in the meantime


def _remove_unlocked(path: Path) -> None:
    """Remove a file, if it exists, unless another writer holds the lock on it."""
    with suppress(OSError), path.open("r+b") as file:  # the error that led here is the one to report
        if _lock(file.fileno()) and _is_at(file, path):
            path.unlink()


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Return whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(descriptor: int, kind: int = fcntl.LOCK_EX, *, patience: float = 0.0) -> bool:
    """Try to take the lock within the given number of seconds; return True on success."""
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
