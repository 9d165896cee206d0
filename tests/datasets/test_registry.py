"""Test opening a benchmark by its name on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svipctl.datasets.names import OFFICIAL, dataset_name
from svipctl.datasets.registry import open_benchmark
from svipctl.datasets.status import status_of
from svipctl.datasets.toybirds.generate import ToybirdsPlan
from svipctl.errors import ConfigError, DataError


def test_a_folder_is_opened_under_its_own_name(shared_folder: Path, tmp_path: Path) -> None:
    assert open_benchmark(str(shared_folder), tmp_path).name == "small"


@pytest.mark.parametrize(("name", "nearest"), [("cup", "cub"), ("awa", "awa2"), ("toy_birds", "toybirds")])
def test_an_unknown_name_suggests_the_nearest(name: str, nearest: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_benchmark(name, tmp_path)
    assert repr(nearest) in caught.value.why


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_missing_official_benchmark_is_missing_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=name):
        open_benchmark(name, tmp_path)


def test_damaged_toybirds_are_generated_again_after_they_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "toybirds").mkdir()
    (tmp_path / "toybirds" / "toybirds.json").write_text(json.dumps(ToybirdsPlan().stamp))  # the images are gone
    with pytest.raises(DataError) as caught:
        open_benchmark("toybirds", tmp_path)
    assert f"rm -r {tmp_path}/toybirds" in caught.value.todo == status_of("toybirds", tmp_path).todo


def test_runs_are_stored_under_the_name_or_the_last_part_of_the_path() -> None:
    assert dataset_name("cub") == "cub"
    assert dataset_name("/a/b/mine/") == "mine"
