"""Test packs: equal to decoding bit for bit, never used if outdated, and complete or not used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry, Transform, decode
from svipctl.datasets.loader import Batch, ImageLoader, in_batches
from svipctl.datasets.packed_pixels import (
    PackedImages,
    check_pack,
    find_pack,
    geometries,
    images_packed,
    pack,
    plan_pack,
)
from svipctl.errors import CheckFailed, ConfigError, DataError, ResourceError
from tests.datasets.packs import (
    SMALL_BLOCK,
    in_process,
    of_files,
    of_images,
    of_odd_images,
    pack_until,
    packed,
    picture,
)
from tests.faults import disk_fault, full_from, killed_at
from tests.processes import clean_environment, files_under
from tests.training.test_trainer import trained_here

EVALUATION = Geometry("shorter-side", 32)
TRANSFORMS = [
    Transform(32, "shorter-side", "flip"),
    Transform(32, "square", "none"),
    Transform(32, "shorter-side", "crop-and-flip"),
]


def read(benchmark: Benchmark, transform: Transform, *, training: bool, from_pack: bool, workers: int = 0) -> Batch:
    """Return all images of a part in batches of 4, as training or evaluation reads them."""
    geometry = transform.training_geometry if training else EVALUATION
    pack_there, note = find_pack(benchmark, geometry)
    assert pack_there is not None, note
    indices = benchmark.trainval[::-1] if training else np.arange(len(benchmark.images))[::-1]
    images = ImageLoader(
        benchmark,
        transform if training else transform.for_evaluation,
        seed=3 if training else None,
        packed=pack_there if from_pack else None,
    )
    parts = list(images.batches(in_batches(indices, 4), workers=workers))
    assert [len(part.indices) for part in parts[:-1]] == [4] * (len(parts) - 1)
    return Batch(*(torch.cat(column) for column in zip(*parts)))


def assert_equal(benchmark: Benchmark, transform: Transform, **options: Any) -> None:
    for training in (True, False):
        one = read(benchmark, transform, training=training, from_pack=True, **options)
        other = read(benchmark, transform, training=training, from_pack=False)
        assert all(torch.equal(a, b) for a, b in zip(one, other))


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: f"{transform.resize}-{transform.augment}")
def test_packed_pixels_equal_decoded_ones_for_every_kind_of_image(transform: Transform, tmp_path: Path) -> None:
    benchmark = of_odd_images(tmp_path)
    for geometry in geometries(transform):
        packed(benchmark, geometry)
    assert_equal(benchmark, transform)


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=4, max_size=7), st.sampled_from(TRANSFORMS))
@settings(max_examples=25)
def test_packed_pixels_equal_decoded_ones_for_every_size(sizes: list[tuple[int, int]], transform: Transform) -> None:
    with tempfile.TemporaryDirectory() as folder:
        benchmark = of_images(Path(folder), sizes)
        for geometry in geometries(transform):
            packed(benchmark, geometry)
        assert_equal(benchmark, transform)


def test_worker_processes_crop_from_the_same_pack(tmp_path: Path) -> None:
    benchmark = of_images(tmp_path, [(40 + number, 60 - number) for number in range(20)])
    for geometry in geometries(TRANSFORMS[2]):
        packed(benchmark, geometry)
    assert_equal(benchmark, TRANSFORMS[2], workers=2)


def test_a_pack_has_all_images_for_evaluation_and_only_the_trainable_ones_otherwise(tmp_path: Path) -> None:
    benchmark = of_images(tmp_path, [(32, 32)] * 6)
    assert images_packed(benchmark, EVALUATION) == benchmark.images
    assert images_packed(benchmark, Geometry("square", 32)) == benchmark.images
    assert images_packed(benchmark, Geometry("none")) == benchmark.images[:2]
    assert [len(geometries(transform)) for transform in TRANSFORMS] == [1, 2, 2]


@pytest.mark.parametrize("augment", ["flip", "crop-and-flip"])
def test_training_with_a_pack_ends_with_the_same_weights_and_decodes_nothing(
    augment: str, small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = f"data.augment={augment}"
    without, _ = trained_here(small_folder, tmp_path / "without", choice)
    benchmark = open_folder(small_folder)
    for geometry in geometries(Transform(32, augment=augment)):  # type: ignore[arg-type]
        packed(benchmark, geometry)
    monkeypatch.setattr("svipctl.datasets.loader.decode", lambda path: pytest.fail(f"{path} was decoded"))
    within, _ = trained_here(small_folder, tmp_path / "with", choice)
    assert within == without
    weights = "checkpoints/last/model.safetensors"
    assert (tmp_path / "with" / weights).read_bytes() == (tmp_path / "without" / weights).read_bytes()


def touch(root: Path) -> None:
    status = (root / "images" / "seen_a" / "1.png").stat()
    os.utime(root / "images" / "seen_a" / "1.png", ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def replace(root: Path) -> None:
    picture(30, 30).save(root / "images" / "unseen_x" / "0.png")


def remove(root: Path) -> None:
    (root / "images" / "seen_b" / "2.png").unlink()
    drop_from_split(root, "seen_b/2.png")


def add(root: Path) -> None:
    picture(32, 32).save(root / "images" / "seen_b" / "new.png")
    with (root / "split.csv").open("a") as file:
        file.write("seen_b/new.png,trainval\n")


def drop_from_split(root: Path, image: str) -> None:
    lines = (root / "split.csv").read_text().splitlines(keepends=True)
    (root / "split.csv").write_text("".join(line for line in lines if not line.startswith(image)))


@pytest.mark.parametrize("change", [touch, replace, remove, add])
def test_a_pack_of_other_images_is_not_used_and_packing_replaces_it(
    change: Callable[[Path], None], small_folder: Path
) -> None:
    plan = packed(open_folder(small_folder), EVALUATION)
    assert pack(plan) == "fresh"
    change(small_folder)
    benchmark = open_folder(small_folder)
    found, note = find_pack(benchmark, EVALUATION)
    assert found is None
    assert "images were changed, added or removed" in note
    packed(benchmark, EVALUATION)
    assert_equal(benchmark, TRANSFORMS[0])


def test_a_pack_of_another_transform_is_not_used(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    assert find_pack(benchmark, EVALUATION) == (None, "")
    packed(benchmark, Geometry("square", 32))
    found, note = find_pack(benchmark, EVALUATION)
    assert found is None
    assert "only for square-32" in note
    assert find_pack(benchmark, Geometry("shorter-side", 48))[0] is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("format", 1, "another version of svipctl"),
        ("software", {"pillow": "0"}, "image libraries have changed"),
        ("source", "0", "images were changed, added or removed"),
        ("files", ["images/seen_a/0.png"], "damaged"),
    ],
)
def test_a_pack_from_other_software_or_other_images_is_not_used(
    name: str, value: object, reason: str, small_folder: Path
) -> None:
    benchmark = open_folder(small_folder)
    path = packed(benchmark, EVALUATION).store.folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    found, note = find_pack(benchmark, EVALUATION)
    assert found is None
    assert reason in note


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2, "files": 3, "shapes": 1}', "null"])
def test_a_damaged_index_is_not_used(content: str, small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    plan = packed(benchmark, EVALUATION)
    (plan.store.folder / "index.json").write_text(content)
    found, note = find_pack(benchmark, EVALUATION)
    assert found is None
    assert "damaged" in note


def test_a_pack_of_an_earlier_release_is_not_used_but_replaced(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    folder = small_folder / "packed" / EVALUATION.key
    folder.mkdir(parents=True)
    (folder / "pixels.bin").write_bytes(bytes(3 * 32 * 32 * len(benchmark.images)))
    sides = [32] * len(benchmark.images)
    index = {
        "format": 1,
        "geometry": EVALUATION.key,
        "files": list(benchmark.images),
        "heights": sides,
        "widths": sides,
    }
    (folder / "index.json").write_text(json.dumps(index))
    found, note = find_pack(benchmark, EVALUATION)
    assert found is None
    assert "another version of svipctl" in note
    assert "data pack" in note
    packed(benchmark, EVALUATION)
    assert not (folder / "pixels.bin").exists()
    assert_equal(benchmark, TRANSFORMS[0])


def test_truncated_pixels_are_not_used_and_the_check_finds_flipped_bits(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    plan = packed(benchmark, EVALUATION)
    assert check_pack(benchmark, EVALUATION, images=5) == 5
    assert check_pack(benchmark, EVALUATION, images=None) == len(benchmark.images)
    pixels = plan.store.folder / "rows.npy"
    content = bytearray(pixels.read_bytes())
    content[len(content) - plan.store.bytes + 3 * 32 * 32 + 5] ^= 1
    pixels.write_bytes(content)
    with pytest.raises(CheckFailed) as failure:
        check_pack(benchmark, EVALUATION, images=None)
    assert benchmark.images[1] in failure.value.why
    assert len(failure.value.why.splitlines()) == 1
    pack, _ = find_pack(benchmark, EVALUATION)
    assert pack is not None
    assert pack.pixels(benchmark.images[0]).any()
    with pytest.raises(DataError, match="does not match its checksum"):
        pack.pixels(benchmark.images[1])
    pixels.write_bytes(content[:-1])
    assert "damaged" in find_pack(benchmark, EVALUATION)[1]
    with pytest.raises(DataError, match="no packed pixels"):
        check_pack(benchmark, EVALUATION, images=None)


def test_after_a_kill_at_any_moment_the_next_call_ends_with_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    benchmark = of_images(tmp_path / "data", [(30 + number, 40) for number in range(14)])
    geometry = Geometry("none")
    folder = tmp_path / "data" / "packed"
    assert in_process(pack_until, benchmark, geometry, 0, tmp_path / "calls") == 0
    expected, calls = files_under(folder), int((tmp_path / "calls").read_text())
    assert set(expected) == {f"decoded/{name}" for name in ("index.json", "rows.npy", "checksums.npy")}
    whole = []
    for moment in range(1, calls + 1):
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        assert in_process(pack_until, benchmark, geometry, moment) == -signal.SIGKILL
        whole.append(find_pack(benchmark, geometry)[0] is not None)
        if whole[-1]:
            assert files_under(folder) == expected
        packed(benchmark, geometry)
        assert files_under(folder) == expected
    assert whole.count(False) >= 15


def test_finished_blocks_are_not_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = of_images(tmp_path, [(32, 32)] * 10)

    def stop(done: int, total: int) -> None:
        assert total == 10
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(benchmark, EVALUATION, progress=stop)
    assert find_pack(benchmark, EVALUATION) == (None, "")
    plan = plan_pack(benchmark, EVALUATION)
    assert plan.store.bytes_to_write() == 4 * 3 * 32 * 32
    decoded: list[str] = []

    def counting_decoder(path: Path, *, upright: bool) -> Any:
        decoded.append(path.name)
        return decode(path)

    monkeypatch.setattr("svipctl.datasets.packed_pixels.decode", counting_decoder)
    assert pack(plan) == "resumed"
    assert decoded == [f"{number}.png" for number in range(6, 10)]
    assert_equal(benchmark, TRANSFORMS[0])
    assert pack(plan, force=True) == "packed"
    assert len(decoded) == 14


SCRIPT = """
import sys
from pathlib import Path
from svipctl.datasets.folder import open_folder
from svipctl.datasets.images import Geometry
from tests.faults import disk_fault, full_from, killed_at
from tests.datasets.packs import packed
def said(done, total):
    print(done, flush=True)
    sys.stdin.readline()
if __name__ == "__main__":
    packed(open_folder(Path(sys.argv[1])), Geometry("shorter-side", 32), workers=2, progress=said)
"""


@pytest.mark.parametrize("how", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGINT])
def test_worker_processes_end_with_their_parent_and_the_next_call_finishes(
    how: signal.Signals, small_folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    options: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": clean_environment(PYTHONPATH=str(Path(__file__).parents[2])),
    }
    with subprocess.Popen(
        [sys.executable, str(script), str(small_folder)], start_new_session=True, **options
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        if how == signal.SIGINT:
            os.killpg(process.pid, how)
        else:
            process.kill()
        _, errors = process.communicate(timeout=60)  # ends when the last process with these streams has ended
    assert process.returncode != 0
    assert errors.count("Traceback") == (1 if how == signal.SIGINT else 0), errors
    benchmark = open_folder(small_folder)
    assert find_pack(benchmark, EVALUATION) == (None, "")
    progress: list[int] = []
    plan = plan_pack(benchmark, EVALUATION)
    assert pack(plan, workers=2, progress=lambda done, total: progress.append(done)) == "resumed"
    assert len(progress) < len(benchmark.images) // 2, "the first blocks were kept"
    several = files_under(small_folder / "packed")
    packed(benchmark, EVALUATION, force=True)
    assert files_under(small_folder / "packed") == several


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    picture(224, 224).save(tmp_path / "0.png")
    names = ["0.png", *(f"{number}.png" for number in range(1, 400))]
    for name in names[1:]:
        (tmp_path / name).symlink_to("0.png")
    plan = plan_pack(of_files(tmp_path, names), Geometry("shorter-side", 224))
    assert plan.store.bytes > 55 * 2**20
    tracemalloc.start()
    try:
        pack(plan)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_a_full_disk_is_a_resource_error_and_finished_images_are_kept(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    with disk_fault(full_from(6), "pwrite"), pytest.raises(ResourceError, match="no space left"):
        packed(benchmark, EVALUATION)
    assert find_pack(benchmark, EVALUATION) == (None, "")
    plan = plan_pack(benchmark, EVALUATION)
    assert plan.store.bytes_to_write() == plan.store.bytes - 2 * SMALL_BLOCK
    assert pack(plan) == "resumed"
    assert_equal(benchmark, TRANSFORMS[0])


def test_a_full_disk_in_a_worker_is_the_same_error(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    with disk_fault(full_from(3), "pwrite"), pytest.raises(ResourceError, match="no space left"):
        packed(benchmark, EVALUATION, workers=2)  # forked with the fault
    assert find_pack(benchmark, EVALUATION) == (None, "")
    packed(benchmark, EVALUATION, workers=2)
    assert_equal(benchmark, TRANSFORMS[0])


def test_a_killed_worker_is_a_resource_error_and_finished_images_are_kept(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    with disk_fault(killed_at(7), "pwrite"), pytest.raises(ResourceError, match="was killed") as failure:
        packed(benchmark, EVALUATION, workers=2)
    assert "--workers 1" in failure.value.todo
    assert find_pack(benchmark, EVALUATION) == (None, "")
    assert pack(plan_pack(benchmark, EVALUATION)) == "resumed"
    assert_equal(benchmark, TRANSFORMS[0])


def test_too_little_disk_space_is_reported_before_anything_is_written(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_pack(open_folder(small_folder), EVALUATION)
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Free(plan.store.bytes - 1))
    with pytest.raises(ResourceError, match="more on the disk"):
        pack(plan)
    assert list((small_folder / "packed").iterdir()) == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: _Free(plan.store.bytes))
    assert pack(plan) == "packed"


class _Free:
    def __init__(self, free: int) -> None:
        self.free = free


@pytest.mark.parametrize("workers", [1, 2])
def test_an_undecodable_image_is_named_and_leaves_no_finished_pack(workers: int, small_folder: Path) -> None:
    path = small_folder / "images" / "seen_c" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    benchmark = open_folder(small_folder)
    with pytest.raises(DataError, match=r"seen_c/3.png does not decode") as failure:
        packed(benchmark, EVALUATION, workers=workers)
    assert failure.value.todo
    assert find_pack(benchmark, EVALUATION)[0] is None


def test_an_image_that_changes_during_packing_stops_it(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    with pytest.raises(DataError, match="changed while"):
        packed(benchmark, EVALUATION, progress=lambda done, total: touch(small_folder) if done == total else None)
    assert find_pack(benchmark, EVALUATION)[0] is None


def test_two_packs_at_the_same_time_are_refused(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)

    def again(done: int, total: int) -> None:
        if done == 2:
            with pytest.raises(ConfigError, match="another process"):
                packed(benchmark, EVALUATION)

    packed(benchmark, EVALUATION, progress=again)
    assert find_pack(benchmark, EVALUATION)[0] is not None


def test_the_index_describes_the_pack(small_folder: Path) -> None:
    benchmark = open_folder(small_folder)
    folder = packed(benchmark, EVALUATION).store.folder
    index = json.loads((folder / "index.json").read_text())
    assert (index["geometry"], tuple(index["files"])) == ("shorter-side-32", benchmark.images)
    assert PackedImages(folder).pixels(benchmark.images[3]).shape == (32, 32, 3)
