"""Test the record of the code and the arithmetic of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from svipctl.training.environment import commit_of, describe_environment, source_sha256


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ("git", *identity, *arguments)
    return subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=True).stdout.strip()


def repository(folder: Path, *files: str) -> Path:
    """Return a repository with these files committed."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"of {folder.name}")
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", folder.name)
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return repository(tmp_path / "checkout", "package/__init__.py")


@pytest.fixture
def of_the_user(tmp_path: Path) -> Path:
    return repository(tmp_path / "user", "work.txt")


def test_the_commit_is_the_programs_in_every_working_folder(
    checkout: Path, of_the_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = git(checkout, "rev-parse", "HEAD")
    assert own != git(of_the_user, "rev-parse", "HEAD")
    monkeypatch.chdir(of_the_user)
    assert commit_of(checkout / "package") == own
    monkeypatch.setenv("GIT_DIR", str(of_the_user / ".git"))  # as in a hook
    monkeypatch.setenv("GIT_WORK_TREE", str(of_the_user))
    assert commit_of(checkout / "package") == own


def test_a_linked_worktree_has_its_own_commit(checkout: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git(checkout, "worktree", "add", "-q", "-b", "other", str(linked))
    (linked / "package" / "code.py").write_text("")
    git(linked, "add", ".")
    git(linked, "commit", "-q", "-m", "more")
    commits = [git(folder, "rev-parse", "HEAD") for folder in (checkout, linked)]
    assert commits[0] != commits[1]
    assert [commit_of(folder / "package") for folder in (checkout, linked)] == commits


@pytest.mark.parametrize(
    ("place", "is_tracked"), [(".venv/lib/site-packages", False), (".venv/lib/site-packages", True), (".", False)]
)
def test_a_copy_installed_inside_another_repository_has_no_commit(
    place: str, is_tracked: bool, of_the_user: Path
) -> None:
    package = of_the_user / place / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if is_tracked:
        git(of_the_user, "add", "--force", ".")
        git(of_the_user, "commit", "-q", "-m", "with everything")
    assert commit_of(package) is None


def test_changed_code_is_marked_as_dirty(checkout: Path) -> None:
    own = git(checkout, "rev-parse", "HEAD")
    (checkout / "notes.txt").write_text("beside the code")
    assert commit_of(checkout / "package") == own
    (checkout / "package" / "__init__.py").write_text("changed")
    assert commit_of(checkout / "package") == f"{own}-dirty"


def test_code_is_identified_by_its_contents_in_any_folder(checkout: Path, tmp_path: Path) -> None:
    package = checkout / "package"
    (package / "code.py").write_text("ANSWER = 42\n")
    named = source_sha256(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "code.pyc").write_bytes(b"compiled")
    assert source_sha256(package) == named == source_sha256(Path(shutil.copytree(package, tmp_path / "copy")))
    (package / "code.py").rename(package / "codes.py")
    assert source_sha256(package) != named


def test_outside_of_any_repository_and_without_git_there_is_no_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "installed").mkdir()
    assert commit_of(tmp_path / "installed") is None
    assert commit_of(tmp_path / "nowhere") is None
    monkeypatch.setenv("PATH", "")
    assert commit_of(checkout / "package") is None


def test_a_run_in_the_users_repository_does_not_record_its_commit_as_the_programs(
    of_the_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(of_the_user)
    found = describe_environment(torch.device("cpu"), torch.bfloat16, {})
    assert found["git_commit"] != git(of_the_user, "rev-parse", "HEAD")
    assert found["precision"] == "bfloat16"
    assert len(found["source_sha256"]) == 64
