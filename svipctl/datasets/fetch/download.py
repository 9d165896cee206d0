"""Download one file: try mirrors in order, resume, retry, and check it before it counts as complete.

<file>.part  received bytes; the same command continues it
<file>.json  origin: address, version and size that the server declared
"""

from __future__ import annotations

import os
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import NoReturn

import tenacity
from pydantic import BaseModel, ValidationError

from svipctl.datasets.fetch.archive import verify_archive
from svipctl.datasets.fetch.assets import HEAD, Asset
from svipctl.datasets.fetch.connection import Body, RefusedError, TransientError, connect
from svipctl.errors import DataError, NetworkError, ReadError, SvipError, explained_disk_errors
from svipctl.files import file_lock, require_disk_space
from svipctl.types import ProgressCallback

DISK_FULL = "free some space, or choose another folder with --data-dir"
_SPARE = 2**26  # bytes of the disk to leave free
_WAITS = (1.0, 4.0, 10.0)  # seconds before each further attempt; attempts that receive bytes do not count
_OWN_WAIT = tenacity.wait_chain(*map(tenacity.wait_fixed, _WAITS))
_LONGEST_WAIT = 60.0  # seconds that a server may request
MOST_CONNECTIONS = 1000  # for one file and mirror


class Origin(BaseModel):
    """Origin of the bytes of a download."""

    address: str = ""
    version: str = ""
    """Strong validator of the server; empty without one."""
    total: int | None = None
    """Number of bytes of the file that the server declared."""

    @classmethod
    def read(cls, target: Path) -> Origin:
        """Return the origin of a downloaded file; empty for a file that the user put there."""
        try:
            return cls.model_validate_json(_origin_path(target).read_bytes())
        except (OSError, ValidationError):
            return cls()


def remove_download(target: Path) -> None:
    """Delete a downloaded file and the record of its origin."""
    target.unlink(missing_ok=True)
    _origin_path(target).unlink(missing_ok=True)


def _origin_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def download(asset: Asset, folder: Path, *, progress: ProgressCallback | None = None) -> Path:
    """Download `folder/<asset.file>`, which appears complete and checked, or not at all.

    Args:
        asset: The file, its addresses, size and checksums.
        folder: Folder, created if needed; an unfinished `.part` stays in it and is continued.
        progress: Called with the bytes so far and the bytes in total (0 while unknown).

    Raises:
        ConfigError: Another process downloads into the folder.
        NetworkError: No mirror provides the file; lists the answer of each.
        DataError: No mirror provides the file, and one provides a damaged or harmful archive.
        ResourceError: The disk is too small or full; received bytes are kept.

    """
    target = folder / asset.file
    answers: list[str] = []
    kind: type[SvipError] = NetworkError
    with explained_disk_errors(f"the download {target}"):
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder, busy=f"another process is downloading {asset.file} into {folder}"):
            if target.exists():
                return target
            with closing(_Part(asset, target, progress)) as part:
                for address in asset.mirrors:
                    try:
                        return part.complete(address)
                    except RefusedError as error:
                        answers.append(f"{address}: {error}")
                        kind = DataError if isinstance(error.__cause__, DataError) else kind
    raise kind(
        f"{asset.file} could not be downloaded",
        why="\n".join(answers),
        todo=f"try again later, or download {asset.file} by other means and pass its folder with --from FOLDER",
    )


class _Part:
    """The received bytes of an asset, hashed in their order."""

    def __init__(self, asset: Asset, target: Path, progress: ProgressCallback | None) -> None:
        self.asset, self.target, self.progress = asset, target, progress
        self.origin = Origin.read(target)
        self.path = target.with_name(f"{target.name}.part")
        self.file = self.path.open("a+b")
        self.file.seek(0)
        self.hash = asset.hash_of(self.file)
        self.size = self.file.tell()
        self.joined = self.size > 0
        """True if the bytes may be from several responses."""

    def close(self) -> None:
        """Close the file; an empty one is deleted."""
        self.file.close()
        if not self.size:
            remove_download(self.target)
            self.path.unlink()

    def complete(self, address: str) -> Path:
        """Receive the missing bytes from a mirror, over several connections if needed; check the file, and rename it.

        Raises:
            RefusedError: The mirror does not provide the asset.

        """
        self.most, self.connections, self.ranges, self.rejected = self.size, 0, True, False
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=lambda state: state.attempt_number > len(_WAITS) or self.connections == MOST_CONNECTIONS,
            wait=self._wait,
        )
        try:
            attempts(self._attempt, address)
        except tenacity.RetryError as error:
            last = error.last_attempt.exception()
            raise RefusedError(f"{last}; gave up after {self.connections:,} connections") from last
        os.fsync(self.file.fileno())
        return self.path.replace(self.target)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Return the seconds before the next attempt; an attempt that received bytes resets the count of failures."""
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, TransientError)  # others are not retried
        self.ranges = self.ranges and error.ranges
        if self.size > self.most:
            self.most, state.attempt_number = self.size, 1
        return min(_LONGEST_WAIT, _OWN_WAIT(state) if error.wait is None else error.wait)

    def _attempt(self, address: str) -> None:
        """Append the bytes of one connection, however it ends, and check the file when it is complete.

        Without a published checksum, bytes of two versions could be joined unnoticed: then the file is continued
        only if a strong validator shows that the version is the same, and otherwise restarted.
        """
        asset = self.asset
        known = self.origin if self.origin.address == address else Origin()
        if not self.size or self.size < (asset.size or known.total or self.size + 1):
            start = self.size if self.ranges and (asset.checksum or known.version) else 0
            self.connections += 1
            with connect(address, start, known.version) as body:
                same = asset.checksum or body.version == known.version
                if body.start and not (same and body.total in (None, asset.size or known.total or body.total)):
                    raise TransientError("the file has changed on the server", 0.0, ranges=False)
                self._append(body, Origin(address=address, version=body.version, total=body.total))
        if problem := asset.problem_of(self.path, self.hash):
            self._reject(problem)
        if not asset.checksum:
            try:
                verify_archive(self.path, asset)
            except ReadError:
                raise
            except DataError as error:
                self._reject(f"{error.what}: {error.why}", error)

    def _append(self, body: Body, origin: Origin) -> None:
        """Append the body of an answer, or replace the bytes if it has the whole file."""
        asset, total, blocks = self.asset, self.asset.size or body.total, body.blocks
        if not body.start:
            head = b""
            while len(head) < HEAD and (block := next(blocks, b"")):
                head += block
            problem = asset.head_problem(head)
            if body.total and (body.total != total or body.total > asset.largest):
                right = f"{asset.size:,}" if asset.size else f"at most {asset.largest:,}"
                problem = problem or f"it has {body.total:,} bytes there instead of {right}"
            if problem:
                raise RefusedError(problem)
            blocks = chain([head], blocks)
        needed = max(0, (total or asset.bytes_to_fetch) - body.start)
        what = f"the download needs {needed:,} more bytes"
        require_disk_space(self.target.parent, needed + _SPARE, what, DISK_FULL)
        if body.start:
            self.joined = True
        else:
            self._restart(origin)
        for block in blocks:
            if self.size + len(block) > (total or asset.largest):
                self._reject("it sends more bytes than the file has")
            self.file.write(block)
            self.file.flush()  # so that they survive a kill
            self.hash.update(block)
            self.size += len(block)
            if self.progress:
                self.progress(self.size, total or asset.bytes_to_fetch)
        if total and self.size < total:
            raise TransientError(f"the connection ended after {self.size:,} of {total:,} bytes")

    def _restart(self, origin: Origin) -> None:
        """Remove the bytes; the next ones have another origin."""
        self.file.truncate(0)
        self.file.seek(0)
        self.origin, self.size, self.joined = origin, 0, False
        self.hash = self.asset.hash_of(self.file)
        _origin_path(self.target).write_text(origin.model_dump_json(), encoding="utf-8")

    def _reject(self, problem: str, cause: Exception | None = None) -> NoReturn:
        """Remove the bytes, and start once more if they were joined from several responses."""
        again = self.joined and not self.rejected
        self._restart(Origin())
        self.rejected, self.most = True, 0
        raise (TransientError(problem, 0.0) if again else RefusedError(problem)) from cause
