"""Serve bytes over local HTTP with the faults that real mirrors have, one after the other."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<!DOCTYPE html><html><body>We have moved</body></html>"


@dataclass(frozen=True)
class Answer:
    """Answer to one request; by default that of a correct server."""

    status: int = 200
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Headers that replace the correct ones; None removes a header."""
    content: bytes | None = None
    """Content that replaces the file."""
    cut: int | None = None
    """Number of bytes of the body after which the connection is closed."""
    ranges: bool = True
    """True to answer a range with 206."""
    if_range: bool = True
    """True to compare If-Range; otherwise a range is sent for any value."""
    offset: int = 0
    """Number of bytes by which a range starts later than requested."""
    chunked: bool = False
    """True to send the body in chunks, without a length."""
    endless: bool = False
    """True to repeat the body until the client disconnects."""
    raw: bytes = b""
    """Bytes to send instead of an answer, before waiting until the client disconnects."""
    at_cut: Callable[[], None] | None = None
    """Function to call when the bytes before the cut are sent."""


@dataclass(frozen=True)
class Request:
    """Request of a client."""

    path: str
    range: str | None
    if_range: str | None


@dataclass
class FaultyServer:
    """Files and prepared answers by path, and the requests so far; after the prepared answers come correct ones."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[Answer]] = field(default_factory=dict)
    always: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """Return the next answer for a path."""
        waiting = self.script.get(path)
        return waiting.pop(0) if waiting else self.always.get(path, Answer())

    def requested_ranges(self, path: str) -> list[str | None]:
        """Return the Range header of each request for a path."""
        return [request.range for request in self.requests if request.path == path]


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    """Serve on a free port of this machine."""

    class Handler(_Handler):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    Handler.served = FaultyServer(f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Handler.served
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FaultyServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.served.requests.append(Request(self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        answer = self.served.answer(self.path)
        self.close_connection = True
        if answer.raw:
            self.wfile.write(answer.raw)
            self.wfile.flush()
            with suppress(OSError):
                self.rfile.read(1)
            return
        content = answer.content if answer.content is not None else self.served.files.get(self.path)
        status = 404 if content is None and answer.status == 200 else answer.status
        content = content if content is not None and status == 200 else HTML if status >= 400 else b""
        headers: dict[str, str | None] = {"Date": self.date_time_string(), "Connection": "close"}
        if status == 200:
            headers |= {"ETag": f'"{hashlib.md5(content).hexdigest()}"'} | dict(answer.headers)
            status, content = self._ranged(answer, content, headers)
        headers["Transfer-Encoding" if answer.chunked else "Content-Length"] = (
            "chunked" if answer.chunked else str(len(content))
        )
        self.send_response_only(status)
        for name, value in (headers | dict(answer.headers)).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        try:
            self._send(content if answer.cut is None else content[: answer.cut], answer)
        except OSError:  # the client has disconnected, as a killed one does
            return
        if answer.at_cut:
            answer.at_cut()

    def _ranged(self, answer: Answer, content: bytes, headers: dict[str, str | None]) -> tuple[int, bytes]:
        """Return status and body for a request, and add the range to the headers."""
        wanted, version = self.headers.get("Range"), self.headers.get("If-Range")
        same = not answer.if_range or version in (None, headers["ETag"], headers.get("Last-Modified"))
        if not (wanted and answer.ranges and same):
            return 200, content
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) + answer.offset
        if first >= len(content):
            headers["Content-Range"] = f"bytes */{len(content)}"
            return 416, b""
        headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        return 206, content[first:]

    def _send(self, content: bytes, answer: Answer) -> None:
        while True:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content) if answer.chunked else content)
            self.wfile.flush()
            if not answer.endless:
                break
        if answer.chunked and answer.cut is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        pass
