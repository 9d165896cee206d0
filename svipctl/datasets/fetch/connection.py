"""HTTP: one answer to a request for a file or its rest, with the range and the version that the server declares."""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx

from svipctl.errors import NetworkError

_VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)", re.ASCII)
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CLOCKS = timedelta(seconds=60)  # two changes within it may have the same Last-Modified


class RefusedError(Exception):
    """The mirror does not give the file; the next one may."""


class DamagedError(RefusedError):
    """The mirror does not have the file."""


class TransientError(Exception):
    """Trying again may help, after `wait` seconds if the server names them."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RangeError(TransientError):
    """The answer does not continue what was asked for; trying again without a range helps."""


@dataclass(frozen=True)
class Response:
    """The body of an answer."""

    start: int
    """Offset of its first byte in the file."""
    total: int | None
    """Bytes of the file, if the server declares them."""
    version: str
    """Strong validator of the file; empty without one."""
    blocks: Iterator[bytes]


@contextmanager
def request(address: str, *, start: int = 0, version: str = "", timeout: float, patience: float) -> Iterator[Response]:
    """Ask for a file from an offset on.

    Args:
        address: Of the file.
        start: Offset; the answer may begin at 0 all the same.
        version: Strong validator that the file must still have for an answer that begins at the offset.
        timeout: Seconds without a byte after which the connection is given up.
        patience: Seconds after which a connection is given up whose answer has not begun, for headers that drip.

    Yields:
        The answer; its blocks end early with an exception.

    Raises:
        RefusedError: The server does not have the file.
        RangeError: The server answers with another range.
        TransientError: The server is busy, or the connection ended early.
        NetworkError: The proxy or the certificates that the environment names cannot be used.

    """
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
    try:
        with (
            _client(timeout) as client,
            _deadline(patience) as (trace, lift),
            client.stream("GET", address, headers=headers, extensions={"trace": trace}) as response,
        ):
            lift()
            yield _answer(response, start)
    except httpx.TooManyRedirects as error:
        raise RefusedError("it redirects in a circle") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
        raise RefusedError(f"no address: {error}") from error
    except (httpx.RequestError, httpx.StreamError) as error:
        raise TransientError(f"{type(error).__name__}: {error}".rstrip(": ")) from error


@contextmanager
def _deadline(seconds: float) -> Iterator[tuple[Callable[[str, dict[str, Any]], None], Callable[[], None]]]:
    """Shut down the connections of a request after some seconds.

    Yields:
        The trace function by which httpx reports the connections, and the function that lifts the deadline.

    """
    sockets: list[socket.socket] = []

    def shut_down() -> None:
        for one in sockets:
            with suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # not TLS's own, which another thread may be using

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            sockets.append(info["return_value"].get_extra_info("socket"))

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield trace, timer.cancel
    finally:
        timer.cancel()


def _answer(response: httpx.Response, start: int) -> Response:
    """Check status and range; `start` is 0 if no range was asked for."""
    status, headers = response.status_code, response.headers
    # Raw: a server that calls a .tgz a compressed encoding of something means the same bytes. As they come: what a
    # chunk size holds back would be lost when the connection breaks.
    blocks, length = response.iter_raw(), headers.get("Content-Length", "")
    if status == 200:
        return Response(0, int(length) if length.isdigit() else None, _version(headers), blocks)
    if status in (206, 416) and start:
        declared = headers.get("Content-Range", "").strip()
        found = _CONTENT_RANGE.fullmatch(declared)
        first, last, total = (int(group or -1) for group in (found.groups() if found else (None, None, None)))
        complete = status == 416 and total == start
        fits = first == start <= last and (last < total or total < 0) and length in ("", f"{last - start + 1}")
        if complete or (status == 206 and fits):
            rest = iter(()) if complete else blocks
            return Response(start, total if total >= 0 else None, _version(headers), rest)
        raise RangeError(f"it answers with another range ({declared[:60]!r}) than bytes {start:,} and following", 0.0)
    if status in (408, 425, 429) or status >= 500:
        raise TransientError(f"HTTP status {status}", _retry_after(headers.get("Retry-After", "")))
    raise RefusedError(f"HTTP status {status}")


def _version(headers: httpx.Headers) -> str:
    """Return the validator that If-Range may name (RFC 9110, 8.8 and 13.1.5); empty without a strong one."""
    tag = headers.get("ETag", "").strip()
    if tag:
        return tag if _STRONG_TAG.fullmatch(tag) else ""
    modified: str = headers.get("Last-Modified", "")
    try:
        age = parsedate_to_datetime(headers.get("Date", "")) - parsedate_to_datetime(modified)
    except (ValueError, TypeError, OverflowError):
        return ""
    return modified if age >= _CLOCKS else ""


def _retry_after(value: str) -> float | None:
    """Return the seconds, given as such or as a date."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _client(timeout: float) -> httpx.Client:
    """Return a client with the certificates and the proxy that the environment names."""
    try:
        hooks = {"response": [_refuse_downgrade]}
        return httpx.Client(follow_redirects=True, timeout=timeout, verify=certificates(), event_hooks=hooks)
    except (ImportError, OSError, ValueError) as error:
        given = [name for name in _VARIABLES if os.environ.get(name) or os.environ.get(name.lower())]
        raise NetworkError(
            "the connection that the environment asks for cannot be made",
            why=f"{str(error).splitlines()[0]}" + (f" (set: {', '.join(given)})" if given else ""),
            todo="correct or unset the variable; or give the archives: --from FOLDER",
        ) from error


@cache
def certificates() -> ssl.SSLContext:
    """Read the certificates once a process."""
    return httpx.create_ssl_context()


def _refuse_downgrade(response: httpx.Response) -> None:
    following = response.next_request
    if following is not None and response.url.scheme == "https" and following.url.scheme != "https":
        raise RefusedError(f"it redirects from https to {following.url.scheme}")
