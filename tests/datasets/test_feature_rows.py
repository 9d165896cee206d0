"""Test the order of features from a file, and which files must not be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.feature_file import FeatureFile
from svipctl.datasets.feature_rows import match_features
from svipctl.datasets.folder import open_folder
from svipctl.errors import DataError
from tests.conftest import write_rows


@pytest.fixture
def benchmark(shared_folder: Path) -> Benchmark:
    return open_folder(shared_folder)


def shuffled(benchmark: Benchmark, *, prefix: str = "/home/x/small/") -> FeatureFile:
    """Return a file with shuffled images, and the index of each image as its only feature."""
    order = np.random.default_rng(0).permutation(len(benchmark.images))
    row_of = np.argsort(order)
    trainval = np.random.default_rng(1).permutation(row_of[benchmark.trainval])
    return FeatureFile(
        images=tuple(prefix + benchmark.images[index] for index in order),
        features=order[:, None].astype(np.float32),
        labels=benchmark.labels[order],
        parts={"trainval": trainval},
        mirrored=-order[trainval, None].astype(np.float32),
        path=Path("some.npz"),
    )


def test_each_image_has_its_own_row_in_any_order(benchmark: Benchmark) -> None:
    found = match_features(shuffled(benchmark), benchmark)
    np.testing.assert_array_equal(found.plain[:, 0], np.arange(len(benchmark.images)))
    assert found.mirrored is not None
    np.testing.assert_array_equal(-found.mirrored[:, 0], np.sort(benchmark.trainval))


def test_images_that_are_not_in_the_data_set_are_dropped(benchmark: Benchmark) -> None:
    file = shuffled(benchmark)
    more = replace(
        file,
        images=("images/other/0.png", *file.images),
        features=np.concatenate([[[7]], file.features]).astype(np.float32),
        labels=np.concatenate([[0], file.labels if file.labels is not None else []]).astype(np.int64),
        parts={},
        mirrored=None,
    )
    found = match_features(more, benchmark)
    np.testing.assert_array_equal(found.plain[:, 0], np.arange(len(benchmark.images)))
    assert found.mirrored is None


def test_missing_images_are_counted_and_named(benchmark: Benchmark) -> None:
    file = shuffled(benchmark, prefix="")
    kept = [row for row, name in enumerate(file.images) if "seen_b/" not in name and not name.endswith("x/1.png")]
    short = replace(
        file,
        images=tuple(file.images[row] for row in kept),
        features=file.features[kept],
        labels=None,
        parts={},
        mirrored=None,
    )
    with pytest.raises(DataError) as refused:
        match_features(short, benchmark)
    assert refused.value.what == "some.npz lacks features of 9 of the 56 images of small"
    assert "seen_b (8), unseen_x (1)" in refused.value.why
    assert "images/seen_b/0.png" in refused.value.why
    assert "svipctl embed" in refused.value.todo


def test_missing_images_outside_the_split_do_not_matter(small_folder: Path) -> None:
    rows = [line.split(",") for line in (small_folder / "split.csv").read_text().split()]
    unused = [[name, "unused" if name == "seen_a/0.png" else split] for name, split in rows]
    write_rows(small_folder / "split.csv", unused)  # type: ignore[arg-type]
    benchmark = open_folder(small_folder)
    kept = [index for index, name in enumerate(benchmark.images) if name != "images/seen_a/0.png"]
    names = tuple(benchmark.images[index] for index in kept)
    found = match_features(FeatureFile(names, np.array(kept, dtype=np.float32)[:, None]), benchmark)
    np.testing.assert_array_equal(found.plain[kept, 0], kept)
    assert np.isnan(found.plain[benchmark.images.index("images/seen_a/0.png")]).all()


def test_labels_refer_to_the_class_names_of_the_file_if_it_has_any(benchmark: Benchmark) -> None:
    file = shuffled(benchmark)
    assert file.labels is not None
    backwards = replace(file, labels=7 - file.labels, classes=benchmark.classes[::-1])
    match_features(backwards, benchmark)
    with pytest.raises(
        DataError, match=r"gives 56 of 56 images another class than small[\s\S]*'seen_a', and 'unseen_y'"
    ):
        match_features(replace(backwards, classes=()), benchmark)
    wrong = file.labels.copy()
    wrong[3] = 99
    with pytest.raises(DataError, match=r"gives 1 of 56 images another class[\s\S]*'number 99' in the file"):
        match_features(replace(file, labels=wrong), benchmark)


def test_mirror_images_must_be_those_of_trainval(benchmark: Benchmark) -> None:
    file = shuffled(benchmark)
    assert file.mirrored is not None
    short = replace(file, parts={"trainval": file.parts["trainval"][2:]}, mirrored=file.mirrored[2:])
    with pytest.raises(DataError, match="lacks features of the mirror images of 2 of the 36 images of small"):
        match_features(short, benchmark)
