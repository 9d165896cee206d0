"""Test the drawn benchmark: the same bytes from the same seed, exact masks, and classes as designed."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svipctl.datasets.folder import open_folder
from svipctl.datasets.toybirds.drawing import draw_bird
from svipctl.datasets.toybirds.generate import ToybirdsPlan, draw_all, is_drawn
from svipctl.datasets.toybirds.species import ATTRIBUTES, GROUPS, SEEN, UNSEEN, draw_species
from tests.processes import files_under

PLAN = ToybirdsPlan(seed=3, size=32, train=2, test_seen=1, test_unseen=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toybirds") / "birds"
    draw_all(folder, PLAN)
    return folder


def test_the_same_plan_is_drawn_byte_identical_and_another_seed_is_not(drawn: Path, tmp_path: Path) -> None:
    draw_all(tmp_path / "again", PLAN)
    assert files_under(tmp_path / "again") == files_under(drawn)
    one, other = (np.array(draw_bird(draw_species(seed)[0], np.random.default_rng(seed))[0]) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_folder_is_a_benchmark_with_masks(drawn: Path) -> None:
    benchmark = open_folder(drawn, "toybirds")
    assert (len(benchmark.seen_classes), len(benchmark.unseen_classes)) == (SEEN, UNSEEN) == (40, 10)
    parts = [len(part) for part in (benchmark.trainval, benchmark.test_seen, benchmark.test_unseen)]
    assert parts == [80, 40, 10]
    assert len(benchmark.masks) == len(benchmark.images)
    assert [len(group) for group in benchmark.groups] == [len(values) for values in GROUPS.values()]
    assert sorted(label for fold in benchmark.folds for label in fold) == list(range(SEEN))


def test_sister_species_are_held_out_together(drawn: Path) -> None:
    for fold in open_folder(drawn).folds:
        assert all(label ^ 1 in fold for label in fold)


def test_every_mask_is_black_and_white_and_covers_part_of_the_image(drawn: Path) -> None:
    for path in (drawn / "masks").rglob("*.png"):
        with Image.open(path) as image:
            mask = np.array(image.convert("L"))
        assert mask.shape == (32, 32)
        assert set(np.unique(mask)) == {0, 255}
        assert 0.03 < (mask > 0).mean() < 0.6


def test_the_bird_is_inside_the_image_and_the_mask_covers_it() -> None:
    species = draw_species(0)
    for number in range(30):
        picture, mask = draw_bird(species[number], np.random.default_rng(number))
        inside = np.array(mask) > 0
        rows, columns = np.nonzero(inside)
        assert 8 < rows.mean() < 56
        assert 8 < columns.mean() < 56
        border = inside.sum() - inside[1:-1, 1:-1].sum()
        assert border < 0.05 * inside.sum()
        assert picture.size == mask.size == (64, 64)


def test_pixels_outside_the_mask_do_not_depend_on_the_species() -> None:
    """Draw the same background from the same seed: two species differ only under their masks."""
    one, other = draw_species(0)[:2]  # sisters: they differ in their bills only
    pictures = [draw_bird(species, np.random.default_rng(11)) for species in (one, other)]
    differs = np.any(np.array(pictures[0][0]) != np.array(pictures[1][0]), axis=2)
    covered = np.maximum(*(np.array(mask) for _, mask in pictures)) > 0
    grown = covered.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            grown |= np.roll(covered, shift, axis)
    assert differs.any()
    assert (differs & ~grown).sum() <= 0.2 * differs.sum()  # a tip thinner than half a pixel is in no mask


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_classes_are_distinct_and_only_sisters_are_similar(seed: int) -> None:
    species = draw_species(seed)
    values = [one.values for one in species]
    assert len(set(values)) == SEEN + UNSEEN == 50
    assert not set(values[:SEEN]).intersection(values[SEEN:])
    for (i, one), (j, other) in combinations(enumerate(values), 2):
        differing = sum(a != b for a, b in zip(one, other))
        are_sisters = j < SEEN and j == i + 1 and i % 2 == 0
        if are_sisters:
            assert differing == 1
        else:
            assert differing >= 2, (i, j)


def test_every_attribute_of_an_unseen_class_occurs_in_seen_ones() -> None:
    species = draw_species(0)
    counts = np.sum([one.attributes() for one in species[:SEEN]], axis=0)
    assert counts.shape == (len(ATTRIBUTES),)
    assert counts.min() >= 8  # nearly independent: each value of three about a third of 40
    groups = Counter(name.partition("::")[0] for name in ATTRIBUTES)
    assert all(one.attributes().sum() == len(groups) for one in species)


class Stop(Exception):
    """Error raised in the middle of drawing."""


def stop(done: int, total: int) -> None:
    raise Stop


def test_an_interrupted_drawing_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        draw_all(tmp_path / "birds", PLAN, stop)
    assert list(tmp_path.iterdir()) == []


def test_a_drawn_folder_is_recognised_by_its_plan(drawn: Path, tmp_path: Path) -> None:
    assert is_drawn(drawn, PLAN)
    assert not is_drawn(drawn, ToybirdsPlan())
    assert not is_drawn(tmp_path, PLAN)
    (tmp_path / "toybirds.json").write_text("{")
    assert not is_drawn(tmp_path, PLAN)
