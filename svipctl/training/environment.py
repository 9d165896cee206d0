"""Describe everything that a run depends on except its configuration: versions, code, hardware, weights."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("svipctl", "torch", "torchvision", "timm", "numpy", "scipy", "gensim", "pillow", "safetensors")
_PACKAGE = Path(__file__).resolve().parents[1]


def describe_environment(
    device: torch.device, dtype: torch.dtype, weights: dict[str, str], processes: int = 1
) -> dict[str, Any]:
    """Return the content of environment.json: versions, code, hardware, arithmetic and pretrained weights."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": commit_of(_PACKAGE),
        "source_sha256": source_sha256(_PACKAGE),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
        "processes": processes,
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "weights": weights,
    }


def commit_of(package: Path) -> str | None:
    """Return the git commit of the checkout that a package's files belong to, independent of the working folder.

    It ends in `-dirty` if files were changed. None for an installed copy, even inside another repository, whose
    commit is unrelated.
    """
    checkout = _git(package, "rev-parse", "--show-toplevel")
    if not checkout or Path(checkout).resolve() != package.parent.resolve():
        return None
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit, changed = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".")
    return commit + "-dirty" if commit and changed else commit


def source_sha256(package: Path) -> str:
    """Return the SHA-256 over names and contents of a package's files: equal code has an equal hash, with or without
    git.
    """
    whole = sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            whole.update(f"{path.relative_to(package).as_posix()}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's description of the repository that contains a folder; None if there is none."""
    # A hook of the user's repository sets these variables, with which git would use that repository for any folder.
    elsewhere = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    command = ("git", "-C", str(folder), *arguments)
    try:
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str | None:
    """Return the name of the processor, if the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or None)
