"""The examination: what is needed and wrong is found, with the command that mends it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from svipctl.doctor.machine import check_folder
from svipctl.doctor.packages import check_python, check_requirements
from tests.conftest import Command

VERSIONS = {"numpy": "2.1.0", "rich": "12.0"}


def version_of(name: str) -> str:
    try:
        return VERSIONS[name]
    except KeyError as error:
        raise metadata.PackageNotFoundError(name) from error


@pytest.mark.parametrize(
    ("requirement", "state", "todo"),
    [
        ("numpy>=2.0", "ok", ""),
        ("rich>=13.7", "wrong", "pip install 'rich>=13.7'"),
        ("scipy>=1.12", "wrong", "pip install 'scipy>=1.12'"),
        ("onnx>=1.16; extra == 'export'", "absent", "pip install 'svipctl[export]'"),
    ],
)
def test_a_requirement_is_held_against_its_range(requirement: str, state: str, todo: str) -> None:
    (finding,) = check_requirements([requirement], version_of)
    assert (finding.state, finding.todo) == (state, todo)


def test_requirements_for_development_and_other_systems_are_no_concern() -> None:
    lines = ["pytest>=8; extra == 'dev'", "pywin32; sys_platform == 'nowhere'"]
    assert list(check_requirements(lines, version_of)) == []


def test_an_old_python_is_wrong() -> None:
    assert check_python("3.8.1").state == "wrong"
    assert check_python().state == "ok"


def test_a_folder_that_cannot_be_made_is_wrong_and_one_that_can_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = check_folder("runs", tmp_path / "file" / "runs", "--runs-dir")
    assert finding.state == "wrong"
    assert "--runs-dir" in finding.todo
    assert [one.state for one in check_folder("runs", tmp_path / "new" / "runs", "--runs-dir")] == ["ok", "ok"]
    assert not (tmp_path / "new").exists()


def test_a_healthy_machine_without_data_passes_and_is_told_what_to_fetch(command: Command, tmp_path: Path) -> None:
    done = command("doctor", "--json", "--offline")
    assert done.code == 0, done.stderr
    found = {one["name"]: one for one in done.document["findings"]}
    assert found["cub"]["todo"] == "svipctl data fetch cub"
    assert {"python", "torch", "CUDA", "memory", "runs disk", "pretrained weights"} <= set(found)
    assert not (tmp_path / "data").exists()


def test_what_is_wrong_ends_with_code_1_and_what_mends_it(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("doctor", "--runs-dir", "file/runs")
    assert done.code == 1
    assert "wrong   runs write access" in done.stdout
    assert "next: choose another folder with --runs-dir FOLDER" in done.stderr
    assert command("doctor", "--runs-dir", "file/runs", "--json").document["healthy"] is False
