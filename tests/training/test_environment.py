"""What a run says of the code, the machine and the arithmetic it was made with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from svipctl.training.environment import commit_of, describe_environment, source_sha256


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of two files, in no repository."""
    made = tmp_path / "repository" / "package"
    made.mkdir(parents=True)
    (made / "__init__.py").write_text("")
    (made / "code.py").write_text("ANSWER = 42\n")
    return made


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_code_and_not_of_the_folder_one_stands_in(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, package.parent):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "-q")
    git(elsewhere, "commit", "-q", "--allow-empty", "-m", "somebody's own work")
    monkeypatch.chdir(elsewhere)
    assert commit_of(package) is None  # not tracked: a copy that is installed inside a repository
    git(package, "add", ".")
    git(package, "commit", "-q", "-m", "the code")
    commit = git(package, "rev-parse", "HEAD")
    assert commit_of(package) == commit
    (package.parent / "notes.txt").write_text("beside the code")
    assert commit_of(package) == commit
    (package / "code.py").write_text("ANSWER = 43\n")
    assert commit_of(package) == f"{commit}-dirty"


def test_code_outside_git_is_named_by_its_contents(package: Path, tmp_path: Path) -> None:
    assert commit_of(package) is None
    named = source_sha256(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "code.pyc").write_bytes(b"compiled")
    assert source_sha256(package) == named == source_sha256(Path(shutil.copytree(package, tmp_path / "copy")))
    (package / "code.py").rename(package / "codes.py")
    assert source_sha256(package) != named


def test_the_arithmetic_and_the_weights_are_told() -> None:
    weights = {"source": "somewhere", "sha256": "abc"}
    found = describe_environment(torch.device("cpu"), torch.bfloat16, weights)
    assert (found["device"], found["precision"], found["weights"]) == ("cpu", "bfloat16", weights)
    assert len(found["source_sha256"]) == 64
