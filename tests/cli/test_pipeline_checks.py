"""Test the checks of docs/pipeline.sh and their messages, with a `svipctl` that prints prepared documents."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import ROOT
from tests.processes import clean_environment

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")]


def run(folder: Path, dataset: str, **documents: Any) -> subprocess.CompletedProcess[str]:
    """Run the script with a program that prints each command's document; documents that are not given are valid."""
    good = {
        "w2v": {"dataset": dataset, "zero_rows": []},
        "train": {"run": "runs/one"},
        "eval": {"protocols": {"zsl": {"T1": 50.0}}},
        "export": {"passed": True, "path": "one.onnx"},
        "predict": {"failed": 0, "images": [], "named": 8},
    }
    programs = folder / "programs"
    programs.mkdir()
    for name, document in {**good, **documents}.items():
        (programs / f"{name}.json").write_text(json.dumps(document))
    (programs / "svipctl").write_text(f'#!/bin/sh\nexec cat "{programs}/$1.json"\n')
    (programs / "svipctl").chmod(0o755)
    (folder / "data" / dataset).mkdir(parents=True)
    environment = clean_environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    return subprocess.run(
        [ROOT / "docs" / "pipeline.sh", dataset], cwd=folder, capture_output=True, text=True, timeout=60,
        env=environment,
    )  # fmt: skip


@pytest.mark.parametrize(("dataset", "zero"), [("cub", []), ("sun", ["man-made"]), ("sun", [])])
def test_published_zero_rows_are_accepted(dataset: str, zero: list[str], tmp_path: Path) -> None:
    done = run(tmp_path, dataset, w2v={"dataset": dataset, "zero_rows": zero})
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"run": "runs/one", "T1": 50.0, "file": "one.onnx", "named": 8}


@pytest.mark.parametrize(
    ("dataset", "documents", "check"),
    [
        ("sun", {"w2v": {"dataset": "sun", "zero_rows": ["man-made", "grass"]}}, ".zero_rows"),
        ("cub", {"w2v": {"dataset": "cub", "zero_rows": ["man-made"]}}, ".zero_rows"),
        ("cub", {"train": {}}, ".run"),
        ("cub", {"eval": {"protocols": {"zsl": {"T1": None}}}}, ".protocols.zsl.T1"),
        ("cub", {"export": {"passed": False, "path": "one.onnx"}}, "select(.passed)"),
        ("cub", {"predict": {"failed": 1, "images": [], "named": 7}}, "select(.failed == 0"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, dict) else None,
)
def test_a_failed_check_is_named_on_stderr(dataset: str, documents: dict[str, Any], check: str, tmp_path: Path) -> None:
    done = run(tmp_path, dataset, **documents)
    (name,) = documents
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: `svipctl {name} ")
    assert f"fails the check: {check}" in line
