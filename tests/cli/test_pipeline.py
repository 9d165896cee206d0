"""Test docs/pipeline.sh, the complete workflow in a script, by exit codes and jq."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import ROOT
from tests.cli.test_data_fetch import Quiet
from tests.conftest import ATTRIBUTES, NETWORK
from tests.datasets.official_archives import build_archives, write_manifest
from tests.datasets.official_layout import METADATA, needs_metadata
from tests.processes import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")]
VECTORS = METADATA / "w2v" / "derived_googlenews_subset.txt"
TINY = {
    "SVIPCTL_GPU": "cpu",
    "SVIPCTL_TRAIN__EPOCHS": "1",
    "SVIPCTL_OPTIM__WARMUP_EPOCHS": "0",
    "SVIPCTL_MODEL__BACKBONE": "vit_tiny_patch16_224",
    "SVIPCTL_MODEL__BACKBONE_ARGS": NETWORK.partition("=")[2],
    "SVIPCTL_MODEL__WEIGHTS": "none",
    "SVIPCTL_DATA__WORKERS": "0",
    "SVIPCTL_DATA__AUGMENT": "none",
    "SVIPCTL_EVAL__BOOTSTRAP": "0",
}


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script with this `svipctl` on the path."""
    programs = folder / "programs"
    programs.mkdir()
    (programs / "svipctl").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m svipctl "$@"\n')
    (programs / "svipctl").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [ROOT / "docs" / "pipeline.sh", *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env=clean_environment(PATH=path, **TINY, **environment),
    )  # fmt: skip


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return a server of the official archives with tiny images, and its manifest."""
    archives = build_archives(tmp_path_factory.mktemp("archives"), only="cub")
    manifest = write_manifest(archives, archives / "mirror.toml")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(archives)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", manifest
    server.shutdown()


@needs_metadata
def test_the_script_runs_from_a_server_to_classified_images(tmp_path: Path, mirror: tuple[str, Path]) -> None:
    address, manifest = mirror
    done = run(
        tmp_path, "cub", "--batch-size", "256", MIRROR=address, MANIFEST=str(manifest), VECTORS=str(VECTORS)
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "--quiet means it"
    told = json.loads(done.stdout)
    assert told["named"] == 8
    assert (tmp_path / told["file"]).stat().st_size > 0
    assert (tmp_path / told["run"] / "eval" / "metrics.json").exists()


def write_vectors(path: Path) -> None:
    """Write a word2vec text file with the words of the tiny folder's attributes."""
    words = sorted({word for name in ATTRIBUTES for word in name.replace("::", "_").split("_")})
    lines = [f"{len(words)} 4", *(f"{word} {number} 1 0 {-number}" for number, word in enumerate(words, 1))]
    path.write_text("\n".join(lines) + "\n")


def test_the_script_runs_on_a_data_folder(tmp_path: Path, small_folder: Path) -> None:
    write_vectors(tmp_path / "vectors.txt")
    done = run(tmp_path, "small", "--batch-size", "4", VECTORS="vectors.txt", SVIPCTL_METHOD__CONTEXT="words")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["named"] == 8


@pytest.mark.parametrize(
    ("arguments", "environment", "code"),
    [
        (("small", "--batch-size", "4"), {}, 2),
        (("small", "--batch-size", "4"), {"VECTORS": "nowhere.txt"}, 3),
        (("cub",), {"MIRROR": "http://127.0.0.1:9", "SVIPCTL_OFFLINE": "1"}, 4),
    ],
    ids=["no vectors named", "no such file", "offline"],
)
def test_the_first_step_that_fails_ends_the_script_with_its_exit_code(
    tmp_path: Path, small_folder: Path, arguments: tuple[str, ...], environment: dict[str, str], code: int
) -> None:
    done = run(tmp_path, *arguments, **environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "runs").exists()
