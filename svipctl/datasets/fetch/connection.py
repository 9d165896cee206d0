"""Connect to a mirror by HTTP, close connections that are too slow, and check the headers of the answer."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from svipctl.errors import NetworkError

_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)", re.ASCII)
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CLOCKS = timedelta(seconds=60)  # two changes within it may have the same Last-Modified
_MOST_REDIRECTS = 20
_TIMEOUT = 30.0  # seconds without a byte after which a connection is closed
SLOWEST, PERIOD = 2**16, 60.0  # a mirror that sends fewer bytes of the file in as many seconds is given up


class RefusedError(Exception):
    """The mirror does not provide the file; the next one may."""


class TransientError(Exception):
    """Trying again may help: after `wait` seconds if they are known, and only for the whole file without `ranges`."""

    def __init__(self, message: str, wait: float | None = None, *, ranges: bool = True) -> None:
        super().__init__(message)
        self.wait, self.ranges = wait, ranges


@dataclass(frozen=True)
class Body:
    """The body of an answer: bytes of a file."""

    start: int
    """Offset of the first byte."""
    total: int | None
    """Number of bytes of the file, if the server declares it."""
    version: str
    """Strong validator of the file; empty without one."""
    blocks: Iterator[bytes]


@contextmanager
def connect(address: str, start: int, version: str) -> Iterator[Body]:
    """Request a file from an offset.

    Args:
        address: Address of the file.
        start: Offset; the answer may start at 0 nevertheless.
        version: Strong validator that the file must still have for an answer from the offset; may be empty.

    Yields:
        The answer; its blocks may end early with an exception.

    Raises:
        RefusedError: The server does not provide the file, or is too slow.
        TransientError: The server is busy, answers with another range, or the connection ended early.
        NetworkError: The proxy or the certificates of the environment cannot be used.

    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
    try:
        with _client() as client, _Watch() as watch:
            request = client.build_request("GET", address, headers=headers, extensions={"trace": watch.trace})
            with closing(_follow(client, request)) as watch.response:
                yield _answer(watch.response, start)
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
        raise RefusedError(f"not an address: {error}") from error
    except (httpx.RequestError, httpx.StreamError) as error:
        raise TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error


class _Watch(threading.Thread):
    """Close connections that receive too few bytes, whether headers, chunk sizes or the body are slow."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.response: httpx.Response | None = None
        self._sockets = list[socket.socket]()
        self._over, self._given_up = threading.Event(), False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Receive httpx's events."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._sockets.append(info["return_value"].get_extra_info("socket"))

    def run(self) -> None:
        """Compare the bytes once per period."""
        before = 0
        while not self._over.wait(PERIOD):
            received = self.response.num_bytes_downloaded if self.response else 0
            self._given_up = self._given_up or received < before + SLOWEST
            before = received
            for one in self._sockets if self._given_up else ():
                with suppress(OSError):
                    socket.socket.shutdown(one, socket.SHUT_RDWR)  # not TLS's own, which another thread may be using

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *raised: object) -> None:
        self._over.set()
        if self._given_up and (kind is None or issubclass(kind, httpx.HTTPError | TransientError | RefusedError)):
            raise RefusedError(f"it sends fewer than {SLOWEST:,} bytes in {PERIOD:g} seconds")


def _follow(client: httpx.Client, request: httpx.Request) -> httpx.Response:
    """Follow redirects; httpx would read their bodies, which may be endless, and accept http after https."""
    for _ in range(_MOST_REDIRECTS):
        response = client.send(request, stream=True)
        if response.next_request is None:
            return response
        response.close()
        if request.url.scheme == "https" != response.next_request.url.scheme:
            raise RefusedError(f"it redirects from https to {response.next_request.url.scheme}")
        request = response.next_request
    raise RefusedError("it redirects in a loop")


def _client() -> httpx.Client:
    """Return a client with the certificates and the proxy of the environment."""
    try:
        return httpx.Client(timeout=_TIMEOUT)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        given = [name for name in _VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]
        raise NetworkError(
            "the proxy or certificate settings of the environment cannot be used",
            why=f"{str(error).splitlines()[0]}" + (f" (set: {', '.join(given)})" if given else ""),
            todo="fix or unset the variable; or use your own archives: --from FOLDER",
        ) from error


def _answer(response: httpx.Response, start: int) -> Body:
    """Check status and range; `start` is 0 if no range was requested."""
    status, headers = response.status_code, response.headers
    # Raw bytes: a server that declares a .tgz as a compressed encoding means the same bytes. They are yielded at once,
    # because buffered bytes would be lost when the connection breaks.
    version, blocks, length = _strong_validator(headers), response.iter_raw(), headers.get("Content-Length", "")
    if status == 200:
        return Body(0, int(length) if length.isdigit() else None, version, blocks)
    if status in (206, 416) and start:
        declared = headers.get("Content-Range", "").strip()
        found = _CONTENT_RANGE.fullmatch(declared)
        first, last, total = (int(group or -1) for group in (found.groups() if found else (None, None, None)))
        if status == 416 and total == start:
            return Body(start, total, version, iter(()))
        fits = first == start <= last and (last < total or total < 0) and length in ("", f"{last - start + 1}")
        if status == 206 and fits:
            return Body(start, total if total >= 0 else None, version, blocks)
        what = f"it answers with another range ({declared[:60]!r}) than bytes {start:,} and following"
        raise TransientError(what, 0.0, ranges=False)
    if status in (408, 425, 429) or status >= 500:
        raise TransientError(f"HTTP status {status}", _retry_after(headers.get("Retry-After", "")))
    raise RefusedError(f"HTTP status {status}")


def _strong_validator(headers: httpx.Headers) -> str:
    """Return the validator for If-Range (RFC 9110, 8.8 and 13.1.5); empty without a strong one."""
    tag = headers.get("ETag", "").strip()
    if tag:
        return tag if _STRONG_TAG.fullmatch(tag) else ""
    modified: str = headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, OverflowError):
        return ""
    return modified if age >= _CLOCKS and modified.isascii() else ""  # others cannot be sent back


def _retry_after(value: str) -> float | None:
    """Return the seconds of a Retry-After header, given as a number or as a date."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
