"""Test what a run records of its data folder, and when another folder counts as the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from svipctl.datasets.identity import identity_of, is_same


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a" / "birds").mkdir(parents=True)
    (tmp_path / "a" / "birds" / "attributes.csv").write_text("class,big\njay,1\n")
    return tmp_path / "a" / "birds"


def test_a_benchmark_is_identified_by_its_name() -> None:
    assert identity_of("cub") == identity_of("toybirds") == {}
    assert is_same({}, "cub")


def test_a_folder_is_the_same_under_every_spelling_of_its_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = identity_of(str(folder))
    monkeypatch.chdir(folder.parent)
    (folder.parent / "link").symlink_to(folder)
    assert all(is_same(noted, one) for one in ("birds", "./birds/", "link", os.path.relpath(folder)))
    (folder / "attributes.csv").write_text("class,big\njay,0.5\n")
    assert is_same(noted, "birds"), "a table changed in place is detected when the run is used"


def test_another_folder_is_different_unless_its_table_is_the_same(folder: Path, tmp_path: Path) -> None:
    noted = identity_of(str(folder))
    other = tmp_path / "b" / "birds"
    other.mkdir(parents=True)
    assert not is_same(noted, str(other))
    (other / "attributes.csv").write_text("class,big\njay,0.5\n")
    assert not is_same(noted, str(other))
    (other / "attributes.csv").write_text((folder / "attributes.csv").read_text())
    assert is_same(noted, str(other))
    (folder / "attributes.csv").unlink()
    (other / "attributes.csv").unlink()
    assert not is_same(identity_of(str(folder)), str(other)), "two folders without a table are different"


def test_a_moved_folder_and_a_run_without_a_record_count_as_the_same(folder: Path, tmp_path: Path) -> None:
    noted = identity_of(str(folder))
    assert is_same({}, str(folder))
    folder.rename(tmp_path / "moved")
    assert is_same(noted, str(tmp_path / "moved"))
