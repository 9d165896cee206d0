"""A server for the requests of the Hugging Face Hub that publish and load a small repository."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class FakeHub(ThreadingHTTPServer):
    """Repositories in memory: name -> commits, oldest first, each with its files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit_of(self, name: str, number: int = -1) -> str:
        """Return the identifier of a commit: it depends on its content and its place."""
        commits = self.repositories[name]
        number %= len(commits)
        content = b"".join(key.encode() + value for key, value in sorted(commits[number].items()))
        return hashlib.sha1(str(number).encode() + content).hexdigest()

    def files_of(self, name: str, revision: str) -> dict[str, bytes] | None:
        """Return the files at a revision, `main` or a commit; None if it does not exist."""
        known = {self.commit_of(name, number): files for number, files in enumerate(self.repositories.get(name, []))}
        return list(known.values())[-1] if known and revision == "main" else known.get(revision)


@contextmanager
def served() -> Iterator[FakeHub]:
    """Serve until the end of the block."""
    with FakeHub() as hub:
        Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self._parts()
        if not self.headers.get("Authorization"):
            self._answer({"error": "log in"}, 401)
        elif parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, [])
            self.server.private |= {name} if asked.get("private") or asked.get("visibility") == "private" else set()
            self._answer({"url": f"{self.server.address}/{name}"})
        elif parts == ["api", "validate-yaml"]:
            self._answer({"warnings": [], "errors": []})
        elif parts[4] == "preupload":
            files = [{**one, "uploadMode": "regular", "shouldIgnore": False} for one in json.loads(body)["files"]]
            self._answer({"files": files})
        else:
            name = "/".join(parts[2:4])
            lines = [json.loads(line) for line in body.splitlines()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            self.server.repositories[name].append(files)
            oid = self.server.commit_of(name)
            self._answer({"commitUrl": f"{self.server.address}/{name}/commit/{oid}", "commitOid": oid})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self._parts()
        if parts == ["api", "whoami-v2"]:
            known = bool(self.headers.get("Authorization"))
            self._answer({"name": "someone"} if known else {"error": "log in"}, 200 if known else 401)
            return
        is_file = parts[0] != "api"
        name = "/".join(parts[:2] if is_file else parts[2:4])
        revision = "".join(parts[3:4] if is_file else parts[5:6]) or "main"
        files = self.server.files_of(name, revision)
        if files is None:
            code = "RevisionNotFound" if name in self.server.repositories else "RepoNotFound"
            self._answer({"error": "not found"}, 404, {"X-Error-Code": code})
            return
        newest = [
            self.server.commit_of(name, n) for n, one in enumerate(self.server.repositories[name]) if one is files
        ]
        if is_file:
            content = files["/".join(parts[4:])]
            headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": newest[-1]}
            self._send(content, 200, headers)
        elif parts[4:5] == ["tree"]:
            self._answer([{"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                          for path, content in files.items()])  # fmt: skip
        else:
            self._answer({"id": name, "sha": newest[-1], "siblings": [{"rfilename": path} for path in files]})

    def _parts(self) -> list[str]:
        self.server.requests.append(f"{self.command} {self.path}")
        return self.path.partition("?")[0].strip("/").split("/")

    def _answer(self, document: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(document).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
