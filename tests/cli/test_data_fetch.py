"""Test the three benchmarks from a server to an evaluated run, in real processes."""

from __future__ import annotations

import functools
import http.server
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_schemas import follows
from tests.conftest import Command
from tests.datasets.official_archives import build_archives, write_manifest
from tests.datasets.official_layout import needs_metadata
from tests.faults import kill_at
from tests.processes import files_under

pytestmark = [pytest.mark.slow, needs_metadata]
IMAGES = {"cub": 11_788, "awa2": 37_322, "sun": 14_340}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Handler that serves files, without ranges, and logs nothing."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def address(archives: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archives)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def manifest(archives: Path, tmp_path: Path) -> str:
    return str(write_manifest(archives, tmp_path / "mirror.toml"))


@pytest.mark.parametrize("name", ["cub", "awa2", "sun"])
def test_a_fetched_benchmark_is_checked_trained_on_and_evaluated(
    command: Command, tmp_path: Path, address: str, manifest: str, tiny: tuple[str, ...], name: str
) -> None:
    fetched = command("data", "fetch", name, "--mirror", address, "--manifest", manifest, "--json")
    assert fetched.code == 0, fetched.stderr
    assert follows("data-fetch", fetched.document)
    assert fetched.document["datasets"][0] | {"folder": ""} == {
        "dataset": name,
        "images": IMAGES[name],
        "missing": 0,
        "folder": "",
    }
    root = tmp_path / "data" / name
    assert not (tmp_path / "data" / ".archives").exists()
    assert not (root / ".unpacking").exists()
    assert not (root / "xlsa17" / "code").exists(), "of xlsa17 only what is needed"

    status = command("data", "status", name, "--json")
    assert status.code == 0, status.stderr
    assert status.document["datasets"][0]["state"] == "complete"
    assert {asset["state"] for asset in status.document["datasets"][0]["assets"]} == {"complete"}

    trained = command("train", name, *tiny, "--batch-size", "256", "--set", "data.augment=none", "--precision", "fp32")
    assert trained.code == 0, trained.stderr
    scored = command("eval", name, "--json", "--gpu", "cpu", "--set", "data.workers=0", "--set", "eval.bootstrap=0")
    assert scored.code == 0, scored.stderr
    assert sum(scored.document["images"].values()) == {"cub": 4731, "awa2": 13_795, "sun": 4020}[name]

    again = command("data", "fetch", name, "--offline")
    assert again.code == 0, "existing files are not fetched again"
    next(root.rglob("*.jpg")).write_bytes(b"")
    verified = command("data", "status", name, "--verify")
    assert verified.code == 3
    assert f"svipctl data fetch {name} --force" in verified.stderr


def test_a_fetch_killed_at_20_moments_ends_byte_identical(
    command: Command, tmp_path: Path, archives: Path, manifest: str
) -> None:
    """On the small assets and SUN's images, with `--from`: each file creation or move is a moment to be killed at."""
    arguments = ("data", "fetch", "sun", "--from", str(archives), "--manifest", manifest)
    whole = command(*arguments, "--data-dir", "whole")
    assert whole.code == 0, whole.stderr
    expected = files_under(tmp_path / "whole" / "sun")
    for number in [1, 2, 3, 4, 5, 7, 9, 11, 13, 15, 17, 19, 21, 25, 30, 35, 99, 9999, 20_000, 30_000]:
        done = command(*arguments, first=functools.partial(kill_at, number, "data/sun"))
        assert done.code == -signal.SIGKILL, done.stderr
        assert command("data", "status", "sun").code == 3, "nothing half-done looks done"
    finished = command(*arguments)
    assert finished.code == 0, finished.stderr
    found = files_under(tmp_path / "data" / "sun")
    assert {k: v for k, v in found.items() if ".assets" not in k} == {
        k: v for k, v in expected.items() if ".assets" not in k
    }


@pytest.mark.fast
def test_archives_of_another_kind_or_checksum_are_refused_and_nothing_is_installed(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "AwA2-base.zip").write_bytes(b"<!doctype html><p>moved</p>")
    refused = command("data", "fetch", "awa2", "--from", "mine/AwA2-base.zip", "--offline")
    assert refused.code == 4, "downloading the other archives is disabled"
    (tmp_path / "mine" / "AwA2-data.zip").write_bytes(b"PK, but something else")
    (tmp_path / "mine" / "xlsa17.zip").write_bytes(b"<html>")
    refused = command("data", "fetch", "awa2", "--from", "mine")
    assert refused.code == 3
    assert "it starts with b'<!doctype html>'" in refused.stderr.lower()
    assert not (tmp_path / "data" / "awa2" / ".assets").exists()


@pytest.mark.fast
def test_offline_and_unknown_names_are_refused_and_a_plan_does_nothing(command: Command, tmp_path: Path) -> None:
    assert command("data", "fetch", "cub", "--offline").code == 4
    assert command("data", "fetch", "cubs").code == 2
    assert command("data", "status", "cubs").code == 2
    plan = command("data", "fetch", "all", "--dry-run", "--json")
    assert plan.code == 0
    assert {step["state"] for step in plan.document["steps"]} == {"download"}
    assert plan.document["bytes"] > 15e9
    assert not (tmp_path / "data").exists()
