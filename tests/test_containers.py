"""Test the container recipes: the Dockerfile passes its linter, and both install the same from existing files."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKER, APPTAINER = (ROOT / "Dockerfile").read_text(), (ROOT / "apptainer.def").read_text()


def test_the_dockerfile_passes_hadolint() -> None:
    program = shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([program, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_both_recipes_copy_the_same_existing_files() -> None:
    in_docker = {name for line in re.findall(r"^COPY (.*) \S+$", DOCKER, re.M) for name in line.split()}
    in_apptainer = set(re.findall(r"^    (\S+) /src/", APPTAINER, re.M))
    allowed = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M))
    assert in_docker == in_apptainer == allowed
    assert [name for name in in_docker if not (ROOT / name).exists()] == []


def test_both_recipes_have_the_same_base_arguments_and_installation() -> None:
    assert re.findall(r"(?:FROM|From:) (\S+)", DOCKER) == re.findall(r"(?:FROM|From:) (\S+)", APPTAINER)
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKER, re.M))
    assert arguments == dict(re.findall(r"^    ([A-Z]+)=(\S+)$", APPTAINER, re.M))
    assert set(arguments) == {"TORCH", "EXTRAS"}

    def installed(text: str) -> set[str]:
        text = re.sub(r"\{\{ (\w+) \}\}", r"$\1", text)
        return {
            re.sub(r" --no-cache(?= |$)|&& ", "", line).strip(" \\") for line in re.findall(r".*uv pip install.*", text)
        }

    assert installed(DOCKER) == installed(APPTAINER) != set()
