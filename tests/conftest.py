"""Fixtures shared by all tests: a tiny data folder, and arguments that make training short."""

from __future__ import annotations

import csv
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from tests.processes import Finished, forked, fresh

SEEN = tuple(f"seen_{letter}" for letter in "abcdef")
UNSEEN = ("unseen_x", "unseen_y")
ATTRIBUTES = tuple(f"has_{part}_color::{color}" for part in ("bill", "wing") for color in ("red", "green", "blue"))
TRAINED, TESTED = 6, 2
NETWORK = "model.backbone_args={img_size=32,patch_size=8,embed_dim=16,depth=1,num_heads=2}"

Command = Callable[..., Finished]

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # of a test suite in the background, and of every command it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


settings.register_profile("svipctl", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("svipctl")


def write_rows(path: Path, rows: list[list[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_small_folder(root: Path) -> Path:
    """Write 6 seen and 2 unseen classes of 32 x 32 images whose halves show two colours, the attributes."""
    rng = np.random.default_rng(7)
    split: list[list[object]] = [["image", "split"]]
    table: list[list[object]] = [["class", *ATTRIBUTES], ["group", *(name.partition("::")[0] for name in ATTRIBUTES)]]
    for number, name in enumerate((*SEEN, *UNSEEN)):
        bill, wing = number % 3, number // 3
        values = np.zeros(6, dtype=int)
        values[[bill, 3 + wing]] = 1
        table.append([name, *values])
        (root / "images" / name).mkdir(parents=True)
        parts = ["trainval"] * TRAINED + ["test_seen"] * TESTED if name in SEEN else ["test_unseen"] * 2 * TESTED
        for index, part in enumerate(parts):
            pixels = rng.integers(0, 90, (32, 32, 3), dtype=np.uint8)
            pixels[:16, :, bill] += 160
            pixels[16:, :, wing] += 160
            Image.fromarray(pixels).save(root / "images" / name / f"{index}.png")
            split.append([f"{name}/{index}.png", part])
    write_rows(root / "attributes.csv", table)
    write_rows(root / "split.csv", split)
    return root


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the tiny data folder, for reading only, because all tests share it."""
    folder = write_small_folder(tmp_path_factory.mktemp("data") / "small")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    yield folder
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert after == before, "one of this session's tests has written there"


@pytest.fixture(scope="session")
def masked_folder(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny data folder with a mask for each image: a blob in one of the windows."""
    folder = Path(shutil.copytree(shared_folder, tmp_path_factory.mktemp("masked") / "small"))
    rng = np.random.default_rng(0)
    for picture in sorted((folder / "images").rglob("*.png")):
        mask = np.zeros((32, 32), dtype=np.uint8)
        top, left = rng.choice([1, 17], 2) + rng.integers(0, 6, 2)
        mask[top : top + 9, left : left + 9] = 255
        path = folder / "masks" / picture.relative_to(folder / "images")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return folder


@pytest.fixture
def small_folder(shared_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny data folder that a test may change."""
    return Path(shutil.copytree(shared_folder, tmp_path / "small"))


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Return arguments with which training takes a second."""
    return (
        *("--recipe", "svipctl", "--backbone", "vit_tiny_patch16_224", "--weights", "none"),
        *("--epochs", "1", "--batch-size", "4"),
        *("--set", NETWORK, "--set", "method.context=free", "--gpu", "cpu", "--set", "data.workers=0"),
        *("--set", "optim.warmup_epochs=0"),
    )


def of_every_recipe(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments without the leading recipe, for tables."""
    assert arguments[0] == "--recipe"
    return arguments[2:]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Return a function that runs svipctl in a forked process, in the test's own folder."""

    def run(*arguments: str, **options: object) -> Finished:
        return forked(*arguments, cwd=tmp_path, streams=tmp_path / ".streams", **options)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def trained(shared_folder: Path, tiny: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of `svipctl train` on the tiny data folder, a new process; for reading only."""
    folder = tmp_path_factory.mktemp("trained")
    done = fresh("train", str(shared_folder), *tiny, "--name", "first", cwd=folder)
    assert done.code == 0, done.stderr
    return folder / "runs" / "small" / "first"


@pytest.fixture
def trained_copy(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of that run, in the test's own folder of runs."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "small" / "first", ignore=shutil.ignore_patterns("eval")))
