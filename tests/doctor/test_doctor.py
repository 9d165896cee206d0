"""Test the diagnosis: required things that are wrong are found, with the command that repairs them."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from svipctl.doctor.imports import REQUIRED, check_imports
from svipctl.doctor.machine import check_folder
from svipctl.doctor.packages import check_python, check_requirements
from tests.cli.program import ROOT
from tests.conftest import Command
from tests.processes import fresh

pytestmark = pytest.mark.slow

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
def test_a_requirement_is_compared_with_its_range(requirement: str, state: str, todo: str) -> None:
    (finding,) = check_requirements([requirement], version_of)
    assert (finding.state, finding.todo) == (state, todo)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a module path with a torch whose libraries are missing, and a module that was made for another version."""
    folder = tmp_path / "broken"
    for name, content in {
        "torch": 'raise OSError("libcudart.so.12: cannot open shared object file")',
        "torchvision": 'raise RuntimeError("operator torchvision::nms does not exist")',
    }.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(content)
    return folder


def test_an_installed_package_that_fails_to_import_is_reported_with_all_other_findings(
    broken: Path, tmp_path: Path
) -> None:
    path = os.pathsep.join([str(broken), str(ROOT)])
    done = fresh("doctor", "--json", "--offline", cwd=tmp_path, environment={"PYTHONPATH": path})
    assert done.code == 1
    assert done.document["error"]["todo"] == "pip install --force-reinstall torch"
    found = {one["name"]: one for one in done.document["findings"]}
    assert [name for name, one in found.items() if one["state"] == "wrong"] == ["torch import"]
    assert found["torch import"]["todo"] == "pip install --force-reinstall torch"
    assert "runs disk" in found


@pytest.mark.parametrize(
    ("module", "package"),
    [("pydantic_settings", "pydantic-settings"), ("packaging", "packaging"), ("scipy", "scipy"), ("gensim", "gensim")],
)
def test_every_required_package_that_cannot_be_imported_is_found(module: str, package: str, tmp_path: Path) -> None:
    (tmp_path / "broken" / module).mkdir(parents=True)
    (tmp_path / "broken" / module / "__init__.py").write_text("raise ImportError('half of it is missing')")
    path = os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])
    done = fresh("doctor", "--offline", cwd=tmp_path, environment={"PYTHONPATH": path})
    assert done.code == 1
    assert f"wrong   {package} import: half of it is missing" in done.stdout
    assert done.stderr.endswith(f"next: pip install --force-reinstall {package}\n")


@pytest.mark.parametrize(
    ("broken", "todo"),
    [
        (
            "raise ModuleNotFoundError('no pydantic_core', name='pydantic_core._pydantic_core')",
            "pip install pydantic-core",
        ),
        ("raise ImportError('half of it is missing')", "pip install --force-reinstall svipctl"),
    ],
)
def test_the_doctor_reports_what_to_install_if_the_command_line_cannot_start(
    broken: str, todo: str, tmp_path: Path
) -> None:
    (tmp_path / "broken" / "pydantic").mkdir(parents=True)
    (tmp_path / "broken" / "pydantic" / "__init__.py").write_text(broken)
    path = os.pathsep.join([str(tmp_path / "broken"), str(ROOT)])
    done = fresh("doctor", "--offline", cwd=tmp_path, environment={"PYTHONPATH": path})
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.endswith(f"next: {todo}\n")


def test_every_declared_requirement_is_tested() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(REQUIRED) == {Requirement(line).name for line in declared}


def test_a_package_with_two_extras_is_reported_once() -> None:
    lines = [f"onnx>=1.16; extra == '{extra}'" for extra in ("export", "onnx")]
    (finding,) = check_requirements(lines, version_of)
    assert finding.todo == "pip install 'svipctl[export]'"


def test_any_exception_of_a_library_is_a_finding(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(broken)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    names = ["json", "torchvision", "not-there-at-all"]
    (finding,) = check_imports(names)
    assert (finding.name, finding.state) == ("torchvision import", "wrong")
    assert finding.found == "operator torchvision::nms does not exist"
    assert finding.todo == "pip install --force-reinstall torch torchvision"
    assert list(check_imports(names[:1])) == []


def test_every_wrong_finding_has_a_repairing_command(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "data" / "cub" / "CUB_200_2011").mkdir(parents=True)
    findings = command("doctor", "--runs-dir", "file", "--json").document["findings"]
    wrong = {one["name"]: one["todo"] for one in findings if one["state"] == "wrong"}
    assert set(wrong) == {"runs write access", "cub"}
    assert all(wrong.values())


def test_requirements_for_development_and_other_systems_are_ignored() -> None:
    lines = ["pytest>=8; extra == 'dev'", "pywin32; sys_platform == 'nowhere'"]
    assert list(check_requirements(lines, version_of)) == []


def test_an_old_python_is_wrong() -> None:
    assert check_python("3.8.1").state == "wrong"
    assert check_python().state == "ok"


def test_a_folder_that_cannot_be_created_is_wrong_and_a_creatable_one_is_not_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (finding,) = check_folder("runs", tmp_path / "file" / "runs", "--runs-dir")
    assert finding.state == "wrong"
    assert "--runs-dir" in finding.todo
    assert [one.state for one in check_folder("runs", tmp_path / "new" / "runs", "--runs-dir")] == ["ok", "ok"]
    assert not (tmp_path / "new").exists()


def test_a_healthy_machine_without_data_passes_with_the_commands_that_fetch_it(
    command: Command, tmp_path: Path
) -> None:
    done = command("doctor", "--json", "--offline")
    assert done.code == 0, done.stderr
    found = {one["name"]: one for one in done.document["findings"]}
    assert found["cub"]["todo"] == "svipctl data fetch cub"
    assert {"python", "torch", "CUDA", "memory", "runs disk", "pretrained deit_base", "pretrained vit_base"} <= set(
        found
    )
    assert not (tmp_path / "data").exists()


def test_a_wrong_finding_ends_with_code_1_and_the_repairing_command(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("doctor", "--runs-dir", "file/runs")
    assert done.code == 1
    assert "wrong   runs write access" in done.stdout
    assert "next: choose another folder with --runs-dir FOLDER" in done.stderr
    assert command("doctor", "--runs-dir", "file/runs", "--json").document["healthy"] is False


def test_passed_checks_take_one_line_without_the_flag_all(command: Command) -> None:
    short = command("doctor", "--offline").stdout.splitlines()
    assert len(short) == 1
    assert "checks passed; absent: " in short[0]
    assert "cub, awa2, sun" in short[0]
    assert len(command("doctor", "--offline", "--all").stdout.splitlines()) > 20
