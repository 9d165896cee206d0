"""A local HTTP server that serves bytes with the faults that real mirrors have, one after the other."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HTML = b"<!DOCTYPE html><html><body>We have moved</body></html>"


@dataclass(frozen=True)
class Answer:
    """How one request is answered; as a good server would, where nothing is said."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    """In place of the file."""
    cut: int | None = None
    """Close the connection after so many bytes of the body."""
    ranges: bool = True
    claimed: int | None = None
    """Another Content-Length than the body has."""
    etag: bool = True
    at_cut: Callable[[], None] | None = None
    """Called when the bytes before the cut are sent."""


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    range: str | None
    if_range: str | None


@dataclass
class FaultyServer:
    """Files by path, answers waiting by path, and what was asked. After the waiting answers, good ones."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    script: dict[str, list[Answer]] = field(default_factory=dict)
    always: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """The next one."""
        waiting = self.script.get(path)
        return waiting.pop(0) if waiting else self.always.get(path, Answer())

    def asked(self, path: str) -> list[str | None]:
        """The Range header of each request for a path."""
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

    def do_GET(self) -> None:
        wanted, version = self.headers.get("Range"), self.headers.get("If-Range")
        self.served.requests.append(Request(self.path, wanted, version))
        answer = self.served.answer(self.path)
        self.close_connection = True
        content = answer.content if answer.content is not None else self.served.files.get(self.path)
        status, headers = answer.status, dict(answer.headers)
        if content is None and status == 200:
            status = 404
        content = content if content is not None and status == 200 else HTML if status >= 400 else b""
        if status == 200:
            etag = f'"{hashlib.md5(content).hexdigest()}"'
            if answer.etag:
                headers.setdefault("ETag", etag)
            if wanted and answer.ranges and version in (None, etag):
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                status = 206 if first < len(content) else 416
                headers["Content-Range"] = (
                    f"bytes {first}-{len(content) - 1}/{len(content)}" if status == 206 else f"bytes */{len(content)}"
                )
                content = content[first:]
        headers.setdefault("Content-Length", str(answer.claimed if answer.claimed is not None else len(content)))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content if answer.cut is None else content[: answer.cut])
            self.wfile.flush()
        except OSError:  # the client has gone, as killed ones do
            return
        if answer.at_cut:
            answer.at_cut()

    def log_message(self, *arguments: object) -> None:
        pass
