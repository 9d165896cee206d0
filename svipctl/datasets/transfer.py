"""One connection of a download: what is there already, what the server adds, and whether it is the wanted file."""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.datasets.assets import Asset, Kind
from svipctl.errors import NetworkError
from svipctl.types import ProgressCallback

if TYPE_CHECKING:
    import httpx

_BLOCK = 2**18
_HEAD = 64  # bytes that tell an archive from a page
_TIMEOUT = 30.0  # seconds without a byte
_OF_ENVIRONMENT = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_MAGIC: dict[Kind, bytes] = {"tar.gz": b"\x1f\x8b", "gz": b"\x1f\x8b", "zip": b"PK"}


class Refused(Exception):
    """The mirror will not give the file; the next may."""


class Transient(Exception):
    """Trying again may help, after so many seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def origin_of(path: Path) -> Path:
    """Where the address of a download is noted."""
    return path.with_name(f"{path.name}.json")


class Part:
    """The bytes of an asset that are there, hashed as they arrive.

    Args:
        asset: What it is to become.
        path: The file; need not be there.

    """

    def __init__(self, asset: Asset, path: Path) -> None:
        self.asset, self.path = asset, path
        self._origin = origin_of(path)
        self._algorithm = "sha256" if asset.sha256 else "md5"
        self._expected = asset.sha256 or asset.md5
        self._restart_hash()

    @property
    def size(self) -> int:
        """Bytes there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version_at(self, address: str) -> tuple[bool, str]:
        """Whether bytes from an address may follow those that are there, and the version the server gave them.

        Without a checksum nothing would show that two mirrors' halves were joined.
        """
        try:
            origin = json.loads(self._origin.read_text(encoding="utf-8"))
            same, version = origin["address"] == address, str(origin["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return self._expected is not None, ""
        return same or self._expected is not None, version if same else ""

    def begin(self, address: str, version: str) -> None:
        """Empty it, for bytes of another origin."""
        self.path.write_bytes(b"")
        self._origin.write_text(json.dumps({"address": address, "version": version}), encoding="utf-8")
        self._restart_hash()

    def append(self, blocks: Iterator[bytes]) -> Iterator[int]:
        """Add blocks, yielding the size after each; on the disk when this ends."""
        self._hash_up_to(self.size)
        with self.path.open("ab") as file:
            for block in blocks:
                file.write(block)
                file.flush()  # what has arrived outlives a kill
                self._hash.update(block)
                self._hashed += len(block)
                yield self._hashed
            os.fsync(file.fileno())

    def problem(self) -> str:
        """Why it is not the asset; empty if it is."""
        size = self.size
        if not size:
            return "it is empty"
        with self.path.open("rb") as file:
            magic = check_magic(file.read(_HEAD), self.asset.kind)
        if magic:
            return magic
        if self.asset.size is not None and size != self.asset.size:
            return f"it has {size:,} bytes, it should have {self.asset.size:,}"
        if self._expected is not None:
            self._hash_up_to(size)
            found = self._hash.hexdigest()
            if found != self._expected:
                return f"its {self._algorithm} is {found}, it should be {self._expected}"
        return ""

    def finish(self, target: Path) -> None:
        """Give it its name, and its origin the same with `.json`."""
        if self._origin.exists():
            self._origin.replace(origin_of(target))
        self.path.rename(target)

    def discard(self) -> None:
        """It is not what it should be."""
        self.path.unlink(missing_ok=True)
        self._origin.unlink(missing_ok=True)
        self._restart_hash()

    def _restart_hash(self) -> None:
        self._hash, self._hashed = hashlib.new(self._algorithm, usedforsecurity=False), 0

    def _hash_up_to(self, size: int) -> None:
        """Read what an earlier process, or a failed write, left unhashed."""
        if self._hashed > size:
            self._restart_hash()
        if self._hashed == size:
            return
        with self.path.open("rb") as file:
            file.seek(self._hashed)
            while block := file.read(_BLOCK):
                self._hash.update(block)
                self._hashed += len(block)


def continue_part(
    part: Part, address: str, *, check_room: Callable[[Path, int], None], progress: ProgressCallback | None
) -> None:
    """Append to the part what it lacks; what is there is kept whenever the connection ends.

    Args:
        part: Emptied only when the server sends the file from its beginning, and that looks like the asset.
        address: Of the file.
        check_room: Called with the part's folder and the bytes to come.
        progress: Called with bytes there and bytes in all (0 while unknown).

    Raises:
        Refused: The server does not have it, or has something else.
        NetworkError: The proxy or the certificates that the environment names cannot be used.
        Transient: The server is busy, or the connection ended early.

    """
    import httpx

    asset, there = part.asset, part.size
    if asset.size is not None and there >= asset.size:
        return
    may_follow, version = part.version_at(address)
    headers = {"Accept-Encoding": "identity"}
    if there and may_follow:
        headers |= {"Range": f"bytes={there}-"} | ({"If-Range": version} if version else {})
    try:
        with (
            _client() as client,
            client.stream("GET", address, headers=headers) as response,
        ):
            first, total = _ranges(response)
            if response.status_code == 416 and "Range" in headers:
                if total is not None and total != there:
                    part.discard()
                    raise Transient(f"it has {total:,} bytes there, {there:,} were there already", 0.0)
                return
            _check_status(response)
            if response.status_code == 206 and first != there:
                raise Refused("it answers with another range than was asked for")
            resumed = response.status_code == 206
            there = there if resumed else 0
            length = response.headers.get("Content-Length", "")
            total = total or (there + int(length) if length.isdigit() else 0)
            # Raw: a server that calls a .tgz a compressed encoding of something means the same bytes. As they come: what
            # a chunk size holds back would be lost when the connection breaks.
            blocks = response.iter_raw()
            head = b"" if resumed else _head(blocks)
            if not resumed and (problem := check_magic(head, asset.kind) if head else "it is empty"):
                raise Refused(problem)
            if asset.size is not None and total not in (0, asset.size):
                raise Refused(f"it has {total:,} bytes there, it should have {asset.size:,}")
            check_room(part.path.parent, max(0, (total or asset.bytes_to_fetch) - there))
            if not resumed:
                part.begin(address, _version(response))
                blocks = chain([head], blocks)
            for size in part.append(blocks):
                if progress:
                    progress(size, total or asset.bytes_to_fetch)
            if part.size < total:
                raise Transient(f"the connection ended after {part.size:,} of {total:,} bytes")
    except (httpx.TransportError, httpx.StreamError) as error:
        if isinstance(error, httpx.UnsupportedProtocol):
            raise Refused(f"no address: {error}") from error
        raise Transient(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    except httpx.TooManyRedirects as error:
        raise Refused("it redirects in a circle") from error
    except (httpx.InvalidURL, httpx.RequestError, UnicodeError) as error:
        raise Refused(f"no address: {error}") from error


def check_magic(content: bytes, kind: Kind) -> str:
    """What is wrong with the first bytes of an archive; empty if nothing is."""
    if content.startswith(_MAGIC[kind]):
        return ""
    begins = content[:_HEAD].lstrip().lower()
    if begins.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is an HTML page, not an archive"
    return f"it is not a {kind} archive"


def _client() -> httpx.Client:
    """With the certificates and the proxy that the environment names.

    Raises:
        NetworkError: One of them cannot be used.

    """
    import httpx

    try:
        hooks = {"response": [_no_downgrade]}
        return httpx.Client(follow_redirects=True, timeout=_TIMEOUT, verify=_trusted(), event_hooks=hooks)
    except (ImportError, OSError, ValueError) as error:
        given = [name for name in _OF_ENVIRONMENT if os.environ.get(name) or os.environ.get(name.lower())]
        raise NetworkError(
            "the connection that the environment asks for cannot be made",
            why=f"{str(error).splitlines()[0]}" + (f" (set: {', '.join(given)})" if given else ""),
            todo="correct or unset the variable; or give the archives: --from FOLDER",
        ) from error


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates, read once a process."""
    import httpx

    return httpx.create_ssl_context()


def _head(blocks: Iterator[bytes]) -> bytes:
    """Enough of the beginning to tell what it is, however small the pieces come."""
    head = b""
    while len(head) < _HEAD and (block := next(blocks, b"")):
        head += block
    return head


def _no_downgrade(response: httpx.Response) -> None:
    following = response.next_request
    if following is not None and response.url.scheme == "https" and following.url.scheme != "https":
        raise Refused(f"it redirects from https to {following.url.scheme}")


def _ranges(response: httpx.Response) -> tuple[int | None, int | None]:
    """First byte and size in all, of `Content-Range: bytes 5-9/10` or `bytes */10`."""
    found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", "").strip())
    if found is None:
        return None, None
    first, total = found.groups()
    return (int(first) if first else None), (int(total) if total else None)


def _version(response: httpx.Response) -> str:
    """What If-Range may name: a strong ETag."""
    tag: str = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else ""


def _check_status(response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (408, 425, 429) or status >= 500:
        raise Transient(f"HTTP status {status}", _retry_after(response.headers.get("Retry-After", "")))
    raise Refused(f"HTTP status {status}")


def _retry_after(value: str) -> float | None:
    """Seconds, given as such or as a date."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
