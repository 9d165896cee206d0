"""Download of one file: by mirrors, resumed, retried, and not called done before it is checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import tenacity
from tenacity import nap

from svipctl.datasets.fetch.assets import Asset
from svipctl.datasets.fetch.connection import DamagedError, RangeError, RefusedError, TransientError, request
from svipctl.datasets.fetch.partial_file import HEAD, Origin, Part, head_problem
from svipctl.errors import DataError, NetworkError, SvipError, explained_disk_errors
from svipctl.files import file_lock, require_disk_space
from svipctl.types import ProgressCallback

DISK_FULL = "free some space, or choose another place with --data-dir"
_SPARE = 2**26  # bytes of disk to leave free


@dataclass(frozen=True)
class Patience:
    """Limits after which a mirror is given up."""

    waits: tuple[float, ...] = (1.0, 4.0, 10.0)
    """Seconds before each further attempt; attempts that receive bytes do not count."""
    longest_wait: float = 60.0
    """Most seconds that a server may ask for."""
    connections: int = 1000
    """Most connections for one file."""
    timeout: float = 30.0
    """Seconds without a byte."""
    begin: float = 60.0
    """Seconds until an answer must have begun."""
    slowest: float = 2**16
    """Fewest bytes in each `period`."""
    period: float = 60.0
    """Seconds."""
    sleep: Callable[[float], None] = nap.sleep


DEFAULT_PATIENCE = Patience()


def download(
    asset: Asset,
    folder: Path,
    *,
    mirrors: Sequence[str] = (),
    patience: Patience = DEFAULT_PATIENCE,
    progress: ProgressCallback | None = None,
) -> Path:
    """Download `folder/<asset.file>`, which appears there complete and checked, or not at all.

    Args:
        asset: The file, its addresses, size and checksums.
        folder: Created if needed; the unfinished `.part` stays in it and is continued.
        mirrors: Base addresses to use in place of the asset's own; the file's name is appended.
        patience: Limits after which a mirror is given up.
        progress: Receives the bytes so far and the bytes in all (0 while unknown).

    Raises:
        ConfigError: Another process downloads into the folder.
        NetworkError: No mirror gave the file; what each answered is listed.
        DataError: The same, and what one of them gave is a damaged or harmful archive.
        ResourceError: The disk is too small or full; what has arrived is kept.

    """
    target = folder / asset.file
    answers: list[str] = []
    kind: type[SvipError] = NetworkError
    with explained_disk_errors(f"the download {target}"):
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(folder, busy=f"another process is downloading {asset.file} into {folder}"):
            if target.exists():
                return target
            with Part(asset, target.with_name(f"{target.name}.part")) as part:
                for address in asset.addresses(mirrors):
                    try:
                        _download_from(address, part, patience, progress)
                    except RefusedError as error:
                        answers.append(f"{address}: {error}")
                        kind = DataError if isinstance(error.__cause__, DataError) else kind
                    else:
                        part.finish(target)
                        return target
    raise kind(
        f"{asset.file} could not be downloaded",
        why="\n".join(answers),
        todo=f"try again later, or get {asset.file} by other means and give it with --from FOLDER",
    )


def _download_from(address: str, part: Part, patience: Patience, progress: ProgressCallback | None) -> None:
    """Complete a part from one mirror and check it; once more from the start if joined bytes do not fit.

    Raises:
        RefusedError: The mirror does not give the asset.

    """
    for last in (False, True):
        try:
            _receive_all(address, part, patience, progress)
            part.check()
            return
        except DamagedError:
            joined = part.joined
            part.restart(Origin())
            if last or not joined:
                raise


def _receive_all(address: str, part: Part, patience: Patience, progress: ProgressCallback | None) -> None:
    """Receive what a part lacks, over as many connections as needed."""
    own_wait = tenacity.wait_chain(*map(tenacity.wait_fixed, patience.waits))

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.wait if isinstance(error, TransientError) else None
        return min(patience.longest_wait, own_wait(state) if asked is None else asked)

    ranges, most = True, part.size
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(len(patience.waits) + 1),
        wait=wait,
        sleep=patience.sleep,
        reraise=True,
    )
    try:
        for number, attempt in enumerate(attempts):
            with attempt:
                if number == patience.connections:
                    raise RefusedError(f"{number:,} connections did not bring the whole file")
                try:
                    _receive(address, part, ranges, patience, progress)
                except TransientError as error:
                    ranges = ranges and not isinstance(error, RangeError)
                    if part.size > most:  # it goes on, however slowly: count the failures anew
                        most, attempt.retry_state.attempt_number = part.size, 1
                    raise
    except TransientError as error:
        raise RefusedError(f"{error}, {len(patience.waits) + 1} times") from error


def _receive(address: str, part: Part, ranges: bool, patience: Patience, progress: ProgressCallback | None) -> None:
    """Append to a part the bytes of one connection; the part is kept however the connection ends.

    Without a published checksum nothing would show that bytes of two versions were joined: then a part is continued only
    if a strong validator says that it is the same version, and otherwise begins anew.
    """
    asset = part.asset
    known = part.origin if part.origin.address == address else Origin()
    if part.size and part.size >= (asset.size or known.total or part.size + 1):
        return
    start = part.size if ranges and (asset.checksum or known.version) else 0
    limits = {"timeout": patience.timeout, "patience": patience.begin}
    with request(address, start=start, version=known.version, **limits) as answer:
        total = asset.size or answer.total
        blocks = _limited(answer.blocks, (total or asset.largest) - answer.start, patience)
        if answer.start:
            same = asset.checksum or answer.version == known.version
            if not same or answer.total not in (None, asset.size or known.total or answer.total):
                raise RangeError("the file has changed on the server", 0.0)
        else:
            head = b""
            while len(head) < HEAD and (block := next(blocks, b"")):
                head += block
            if problem := head_problem(head, asset.kind):
                raise RefusedError(problem)
            if answer.total is not None and (answer.total > asset.largest or answer.total != total):
                right = f"{asset.size:,}" if asset.size else f"at most {asset.largest:,}"
                raise RefusedError(f"it has {answer.total:,} bytes there, it should have {right}")
            blocks = chain([head], blocks)
        needed = max(0, (total or asset.bytes_to_fetch) - answer.start)
        require_disk_space(part.path.parent, needed + _SPARE, f"the download needs {needed:,} more bytes", DISK_FULL)
        if answer.start:
            part.joined = True
        else:
            part.restart(Origin(address=address, version=answer.version, total=answer.total))
        for block in blocks:
            part.append(block)
            if progress:
                progress(part.size, total or asset.bytes_to_fetch)
        if total and part.size < total:
            raise TransientError(f"the connection ended after {part.size:,} of {total:,} bytes")


def _limited(blocks: Iterator[bytes], room: int, patience: Patience) -> Iterator[bytes]:
    """Pass blocks on as long as they fit into `room` bytes and come fast enough."""
    since, brought = time.monotonic(), 0
    for block in blocks:
        room -= len(block)
        brought += len(block)
        if room < 0:
            raise DamagedError("it sends more bytes than the file has")
        if time.monotonic() - since >= patience.period:
            if brought < patience.slowest:
                raise RefusedError(
                    f"it sends fewer than {patience.slowest:,.0f} bytes in {patience.period:.0f} seconds"
                )
            since, brought = time.monotonic(), 0
        yield block
