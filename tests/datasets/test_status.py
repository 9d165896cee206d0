"""Test the report of `data status` on a data folder, with CUB's real metadata and photographs of fifty classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svipctl.datasets.fetch.assets import assets_of, built_in
from svipctl.datasets.fetch.steps import stamp_path
from svipctl.datasets.official import open_official
from svipctl.datasets.status import DatasetStatus, status_of
from svipctl.errors import DataError
from tests.datasets.official_archives import images_of, tiny_image
from tests.datasets.official_layout import lay_out, needs_metadata

pytestmark = needs_metadata


@pytest.fixture(scope="module")
def shared_cub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the metadata, and one tiny image under the name of every photograph."""
    data_dir = tmp_path_factory.mktemp("data")
    root = lay_out("cub", data_dir)
    picture = root / "picture.jpg"
    picture.write_bytes(tiny_image())
    files = [root / file for file in images_of("cub")]
    for folder in {file.parent for file in files}:
        folder.mkdir(parents=True)
    for file in files:
        file.hardlink_to(picture)
    return data_dir


@pytest.fixture
def cub(shared_cub: Path, tmp_path: Path) -> Path:
    """Return the same folder without stamps; the folders that tests change are copies."""
    root = tmp_path / "cub"
    root.mkdir()
    for item in (shared_cub / "cub").iterdir():
        if item.name != "CUB_200_2011":
            (root / item.name).symlink_to(item)
    (root / "CUB_200_2011" / "images").mkdir(parents=True)
    for item in (shared_cub / "cub" / "CUB_200_2011").iterdir():
        if item.name != "images":
            (root / "CUB_200_2011" / item.name).symlink_to(item)
    for item in (shared_cub / "cub" / "CUB_200_2011" / "images").iterdir():
        (root / "CUB_200_2011" / "images" / item.name).symlink_to(item)
    return tmp_path


def stamp_all(data_dir: Path, **sizes: int) -> None:
    for asset in assets_of("cub", built_in()):
        path = stamp_path(data_dir, "cub", asset)
        path.parent.mkdir(exist_ok=True)
        files = sizes if asset.name == "cub-images" else {}
        path.write_text(json.dumps({"from": "http://a", "files": files}))


def assert_repaired_by(status: DatasetStatus, command: str) -> None:
    allowed = ", or use the existing images: --allow-partial" if status.state == "partial" else ""
    assert status.todo == command + allowed
    assert status.document()["state"] == status.state
    assert status.problem


def remove_a_class(data_dir: Path) -> Path:
    folder = min((data_dir / "cub" / "CUB_200_2011" / "images").iterdir())
    folder.unlink()
    return folder


def test_an_empty_folder_is_absent(tmp_path: Path) -> None:
    status = status_of("sun", tmp_path / "data")
    assert (status.state, status.todo) == ("absent", "svipctl data fetch sun")
    assert {asset.state for asset in status.assets} == {"absent"}
    assert not (tmp_path / "data").exists(), "looking changes nothing"


def test_manually_copied_files_are_complete(cub: Path) -> None:
    status = status_of("cub", cub)
    assert (status.state, status.images, status.images_in_all, status.todo) == ("complete", 11_788, 11_788, "")
    assert not status.word_vectors
    (cub / "cub" / "word_vectors.npz").touch()
    assert status_of("cub", cub).word_vectors


def test_missing_images_are_counted_and_the_command_repairs_them(cub: Path) -> None:
    remove_a_class(cub)
    status = status_of("cub", cub)
    assert status.state == "partial"
    assert 11_700 < status.images < 11_788
    assert_repaired_by(status, "svipctl data fetch cub")


def test_missing_images_of_an_installed_benchmark_need_a_new_fetch(cub: Path) -> None:
    stamp_all(cub)
    assert status_of("cub", cub).state == "complete"
    remove_a_class(cub)
    assert_repaired_by(status_of("cub", cub), "svipctl data fetch cub --force")


@pytest.mark.parametrize("file", ["CUB_200_2011/bounding_boxes.txt", "attributes.txt"])
def test_a_damaged_list_is_reported_as_damaged(cub: Path, file: str) -> None:
    (cub / "cub" / file).unlink()
    (cub / "cub" / file).write_text("1 nothing\n")
    status = status_of("cub", cub)
    assert status.state == "damaged"
    assert_repaired_by(status, "svipctl data fetch cub")


def test_an_interrupted_fetch_is_resumed_and_not_restarted(cub: Path) -> None:
    stamp_all(cub)
    stamp_path(cub, "cub", built_in()["cub-images"]).unlink()
    remove_a_class(cub)
    assert_repaired_by(status_of("cub", cub), "svipctl data fetch cub")


@pytest.mark.slow
def test_verify_counts_test_images_with_the_content_of_a_training_image(cub: Path) -> None:
    assert not status_of("cub", cub).warnings
    (warning,) = status_of("cub", cub, verify=True).warnings  # every photograph here is the same file
    assert "4,731 test images are identical to a training image" in warning


@pytest.mark.slow
def test_verify_compares_sizes_with_those_at_unpacking(cub: Path) -> None:
    size = (cub / "cub" / "attributes.txt").stat().st_size
    stamp_all(cub, **{"attributes.txt": size + 1})
    assert status_of("cub", cub).state == "complete"
    (asset,) = [one for one in status_of("cub", cub, verify=True).assets if one.name == "cub-images"]
    assert asset.state == "damaged"
    assert "attributes.txt has changed its size" in asset.problem
    stamp_all(cub, nothing=1)
    status = status_of("cub", cub, verify=True)
    assert status.problem == "nothing is missing"
    assert_repaired_by(status, "svipctl data fetch cub --force")


@pytest.mark.slow
def test_verify_opens_every_image(cub: Path) -> None:
    folder = remove_a_class(cub)
    folder.mkdir()
    names = [Path(file).name for file in images_of("cub") if f"/{folder.name}/" in file]
    for name in names:
        (folder / name).write_bytes(tiny_image())
    assert status_of("cub", cub, verify=True).state == "complete"
    (folder / names[0]).write_bytes(tiny_image()[:300])
    assert status_of("cub", cub).state == "complete", "without --verify no image is opened"
    status = status_of("cub", cub, verify=True)
    assert names[0] in status.problem
    assert_repaired_by(status, "svipctl data fetch cub")


@pytest.mark.parametrize("content", ["", "[]", '{"from": 1, "files": 3}'])
def test_a_damaged_stamp_is_reported_without_a_traceback(cub: Path, content: str) -> None:
    stamp_all(cub)
    stamp_path(cub, "cub", built_in()["cub-images"]).write_text(content)
    assert_repaired_by(status_of("cub", cub), "svipctl data fetch cub --force")


def test_missing_data_is_reported_with_the_command_of_the_status(cub: Path) -> None:
    stamp_all(cub)
    remove_a_class(cub)
    with pytest.raises(DataError) as caught:
        open_official("cub", cub)
    assert caught.value.todo.startswith("svipctl data fetch cub --force")
    next((cub / "cub" / ".assets").glob("*.json")).unlink()
    with pytest.raises(DataError) as caught:
        open_official("cub", cub)
    assert caught.value.todo.startswith("svipctl data fetch cub,")
