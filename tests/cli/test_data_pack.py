"""Test `svipctl data pack`: what it writes, prints and refuses, and that training and evaluation use the pack."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_schemas import follows
from tests.conftest import NETWORK, TESTED, TRAINED, Command
from tests.faults import limit_files
from tests.processes import files_under

pytestmark = pytest.mark.slow

PACK = ("--backbone", "vit_tiny_patch16_224", "--set", NETWORK, "--workers", "1")
IMAGES = 6 * (TRAINED + TESTED) + 2 * 2 * TESTED
PIXELS = "packed/shorter-side-32/rows.npy"


@pytest.fixture
def packed_folder(small_folder: Path, command: Command) -> Path:
    done = command("data", "pack", str(small_folder), *PACK)
    assert done.code == 0, done.stderr
    return small_folder


def test_a_data_folder_is_packed_once(small_folder: Path, command: Command) -> None:
    first = command("data", "pack", str(small_folder), *PACK, "--json")
    assert first.code == 0, first.stderr
    (pack,) = first.document["packs"]
    assert first.document["dataset"] == "small"
    assert (pack["transform"], pack["state"], pack["images"]) == ("shorter-side-32", "packed", IMAGES)
    assert np.load(small_folder / PIXELS).nbytes == pack["bytes"] == IMAGES * 3 * 32 * 32
    again = command("data", "pack", str(small_folder), *PACK)
    assert again.code == 0
    assert "up to date" in again.stdout
    (small_folder / PIXELS).write_bytes(b"")
    assert command("data", "pack", str(small_folder), *PACK, "--json").document["packs"][0]["state"] == "packed"


def test_a_dry_run_reports_the_size_and_writes_nothing(small_folder: Path, command: Command) -> None:
    settings = ("--set", "data.augment=crop-and-flip")
    done = command("data", "pack", str(small_folder), *PACK, *settings, "--dry-run", "--json")
    assert done.code == 0, done.stderr
    assert done.document["dry_run"]
    training, evaluation = done.document["packs"]
    assert (training["transform"], training["images"]) == ("decoded", 6 * TRAINED)
    assert (evaluation["transform"], evaluation["bytes_needed"]) == ("shorter-side-32", IMAGES * 3 * 32 * 32)
    assert evaluation["bytes_free"] > 0
    assert not (small_folder / "packed").exists()
    said = command("data", "pack", str(small_folder), *PACK, "--dry-run")
    assert f"{IMAGES} images" in said.stdout


def test_a_dry_run_does_not_draw_toybirds(tmp_path: Path, command: Command) -> None:
    done = command("data", "pack", "toybirds", "--dry-run", "--json")
    assert (done.code, done.document["packs"]) == (0, [])
    assert done.document["pictures_to_draw"] > 1000
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("flag", ["--verify", "--verify-all"])
@pytest.mark.fast
def test_the_check_finds_a_changed_byte_and_ends_with_1(flag: str, packed_folder: Path, command: Command) -> None:
    good = command("data", "pack", str(packed_folder), *PACK, flag, "--json")
    assert (good.code, good.document["packs"][0]["images_compared"]) == (0, IMAGES)
    content = bytearray((packed_folder / PIXELS).read_bytes())
    content[200] ^= 255  # of the first image: the header of the file is shorter
    (packed_folder / PIXELS).write_bytes(content)
    bad = command("data", "pack", str(packed_folder), *PACK, flag)
    assert bad.code == 1
    assert "images/seen_a/0.png" in bad.stderr
    assert "--force" in bad.stderr
    document = command("data", "pack", str(packed_folder), *PACK, flag, "--json").document
    assert follows("data-pack", document)
    assert [one["state"] for one in document["packs"]] == ["damaged"]
    assert "differ from the images" in document["error"]["what"]
    assert command("data", "pack", str(packed_folder), *PACK, "--force", "--quiet").code == 0
    assert command("data", "pack", str(packed_folder), *PACK, flag).code == 0


def test_checking_an_unpacked_data_set_ends_with_3(small_folder: Path, command: Command) -> None:
    done = command("data", "pack", str(small_folder), *PACK, "--verify")
    assert done.code == 3
    assert "no packed pixels" in done.stderr


@pytest.mark.fast
def test_a_file_size_limit_ends_with_5_and_leaves_no_finished_pack(small_folder: Path, command: Command) -> None:
    done = command("data", "pack", str(small_folder), *PACK, first=functools.partial(limit_files, 20_000))
    assert done.code == 5, done.stderr
    assert "no space left" in done.stderr
    assert not (small_folder / PIXELS).exists()
    assert command("data", "pack", str(small_folder), *PACK).code == 0


def test_an_unreadable_image_ends_with_3(small_folder: Path, command: Command) -> None:
    (small_folder / "images" / "seen_a" / "2.png").write_bytes(b"no picture")
    done = command("data", "pack", str(small_folder), *PACK, "--json")
    assert done.code == 3
    assert "seen_a/2.png" in done.document["error"]["what"]
    assert not (small_folder / PIXELS).exists()


@pytest.mark.fast
def test_training_and_evaluation_give_the_same_with_and_without_a_pack(
    packed_folder: Path, shared_folder: Path, tiny: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    for folder, runs in ((packed_folder, "with"), (shared_folder, "without")):
        trained = command("train", str(folder), *tiny, "--name", "one", "--runs-dir", runs)
        assert trained.code == 0, trained.stderr
        scored = command("eval", str(folder), "--run", "one", "--runs-dir", runs, "--gpu", "cpu")
        assert scored.code == 0, scored.stderr
        assert "packed pixels" not in trained.stderr + scored.stderr
    one, other = (files_under(tmp_path / runs / "small" / "one") for runs in ("with", "without"))
    for file in ("checkpoints/last/model.safetensors", "eval/metrics.json"):
        assert one[file] == other[file]
