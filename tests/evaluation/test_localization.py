"""Compare the localization of attribute maps, and its chance levels, with counting by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.images import Geometry, decode
from svipctl.datasets.part_locations import part_places
from svipctl.errors import DataError
from svipctl.evaluation.localization import PartGroups, localisation, part_groups
from svipctl.evaluation.truth import object_truth
from svipctl.inference.dataset_predictions import predict_dataset
from tests.evaluation.cases import benchmark
from tests.inference.models import trained_model

NAMES = (
    "has_bill_shape::cone",
    "has_bill_shape::dagger",
    "has_size::small",
    "has_wing_color::red",
    "has_wing_color::blue",
)
GEOMETRY, SHAPE = Geometry("shorter-side", 32), (2, 2)


@pytest.fixture
def data(tmp_path: Path) -> Benchmark:
    """Return twelve images of 32 x 32 with a random blob as mask, and five attributes in CUB's manner."""
    made = benchmark(tmp_path, masks=True)
    rng = np.random.default_rng(3)
    for mask in made.masks:
        pixels = np.zeros((32, 32), dtype=np.uint8)
        left, top = rng.integers(0, 20, 2)
        pixels[top : top + rng.integers(6, 20), left : left + rng.integers(6, 20)] = 255
        Image.fromarray(pixels).save(tmp_path / mask)
    return replace(made, attributes=NAMES)


def groups_of(data: Benchmark) -> PartGroups:
    groups = part_groups(data)
    assert groups is not None
    return groups


def test_groups_are_those_of_parts_and_each_class_has_its_largest_attributes(data: Benchmark) -> None:
    table = np.array([[0.2, 0.9, 5, 0, 0], [0.6, 0.3, 5, 0.1, 0], [0.5, 0.5, 5, 0, 0.7], [0, 0, 5, 1, 1]])
    groups = groups_of(replace(data, class_attributes=table))
    assert groups.names == ("has_bill_shape", "has_wing_color")
    assert groups.chosen.tolist() == [[1, -1], [0, 3], [0, 4], [-1, 3]]
    assert groups.parts == [("beak",), ("left wing", "right wing")]
    assert part_groups(replace(data, attributes=("furry", "big", "has_size::small", "has_tail", "fast"))) is None


@torch.no_grad()
def test_peaks_are_the_maxima_of_the_models_maps(data: Benchmark) -> None:
    groups = groups_of(data)
    model, indices = trained_model(), np.array([7, 0, 3, 4, 11, 2])
    found = predict_dataset(model, data, indices, batch_size=5, peaks_of=groups.chosen).peaks
    assert found is not None
    for row, index in enumerate(indices):
        pixels = np.asarray(Image.open(data.image_path(index))).transpose(2, 0, 1)[None]
        windows = model.network.predict((torch.tensor(pixels, dtype=torch.float32) / 255 - 0.5) / 0.5).windows[0]
        for number in range(2):
            column = groups.chosen[data.labels[index], number]
            assert found[row, number] == int(max(range(4), key=lambda window: windows[window, column]))
    assert predict_dataset(model, data, indices, batch_size=5).peaks is None


@pytest.mark.parametrize("seed", range(4))
def test_share_inside_the_mask_and_its_chance_levels_equal_counting(data: Benchmark, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.random((4, 5)) * (rng.random((4, 5)) < 0.6)
    table[:, 2] = 1
    asked = replace(data, class_attributes=table)
    groups, indices = groups_of(asked), rng.permutation(12)[:9]
    peaks = rng.integers(0, 4, (9, 2))
    found = localisation(asked, indices, peaks, groups, object_truth(asked, indices, GEOMETRY, SHAPE), GEOMETRY, SHAPE)[
        "object"
    ]
    places = [(8, 8), (8, 24), (24, 8), (24, 24)]  # row and column of the windows' centres
    masks = {index: np.asarray(decode(data.root / data.masks[index]))[..., 0] > 0 for index in indices}
    counted: dict[str, list[float]] = {"inside": [], "uniform": [], "centre": [], "shuffled": []}
    for row, index in enumerate(indices):
        for number in range(2):
            if groups.chosen[data.labels[index], number] < 0:
                continue
            others = [r for r, i in enumerate(indices) if groups.chosen[data.labels[i], number] >= 0]
            counted["inside"].append(masks[index][places[peaks[row, number]]])
            counted["uniform"].append(np.mean([masks[index][place] for place in places]))
            counted["centre"].append(masks[index][16, 16])
            counted["shuffled"].append(np.mean([masks[index][places[peaks[other, number]]] for other in others]))
    assert found["peaks"] == len(counted["inside"])
    assert {key: found[key] for key in counted} == pytest.approx(
        {key: 100 * np.mean(values) for key, values in counted.items()}
    )
    assert sum(group["peaks"] for group in found["groups"].values()) == found["peaks"]


def test_a_perfect_map_is_inside_and_a_random_one_gives_the_uniform_chance(data: Benchmark) -> None:
    indices, groups = np.arange(12), groups_of(data)
    truth = object_truth(data, indices, GEOMETRY, SHAPE)
    assert truth is not None
    inside = truth.inside[:, :-1]
    has = np.flatnonzero(inside.any(axis=1) & ~inside.all(axis=1))
    truth, indices = object_truth(data, has, GEOMETRY, SHAPE), has
    assert truth is not None
    perfect = np.repeat(inside[has].argmax(axis=1)[:, None], 2, axis=1)
    assert localisation(data, indices, perfect, groups, truth, GEOMETRY, SHAPE)["object"]["inside"] == 100
    rng = np.random.default_rng(0)
    draws = [
        localisation(data, indices, rng.integers(0, 4, perfect.shape), groups, truth, GEOMETRY, SHAPE)["object"]
        for _ in range(400)
    ]
    assert np.mean([one["inside"] for one in draws]) == pytest.approx(draws[0]["uniform"], abs=2.5)
    assert np.mean([one["shuffled"] for one in draws]) == pytest.approx(draws[0]["uniform"], abs=2.5)


def as_cub(data: Benchmark, points: np.ndarray, visible: np.ndarray, size: tuple[int, int]) -> Benchmark:
    """Return the images as CUB's, of that size, with boxes and with the locations of three parts on disk."""
    folder = data.root / "CUB_200_2011"
    (folder / "parts").mkdir(parents=True)
    (folder / "images").mkdir()
    files = [f"CUB_200_2011/images/{number}.png" for number in range(len(data.images))]
    for file in files:
        Image.new("RGB", size).save(data.root / file)
    (folder / "images.txt").write_text("".join(f"{n + 101} {file.split('/')[-1]}\n" for n, file in enumerate(files)))
    (folder / "parts" / "parts.txt").write_text("1 beak\n2 left wing\n3 right wing\n")
    (folder / "parts" / "part_locs.txt").write_text(
        "".join(
            f"{image + 101} {part + 1} {points[image, part, 0]} {points[image, part, 1]} {int(visible[image, part])}\n"
            for image in range(len(files))
            for part in range(3)
        )
    )
    rng = np.random.default_rng(5)
    boxes = np.concatenate([rng.uniform(0, 15, (12, 2)), rng.uniform(20, 40, (12, 2))], axis=1)
    return replace(data, name="cub", images=tuple(files), masks=(), boxes=boxes)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_distance_to_the_nearest_visible_part_equals_measuring_by_hand(data: Benchmark, scale: float) -> None:
    rng = np.random.default_rng(1)
    points, visible = rng.uniform(0, (64, 48), (12, 3, 2)), rng.random((12, 3)) < 0.7
    cub = as_cub(data, points, visible, (round(64 * scale), round(48 * scale)))
    cub = replace(cub, published_side=None if scale == 1 else 64)
    groups, indices, peaks = groups_of(cub), np.arange(12), rng.integers(0, 4, (12, 2))
    truth = object_truth(cub, indices, GEOMETRY, SHAPE)
    found = localisation(cub, indices, peaks, groups, truth, GEOMETRY, SHAPE)
    # The shorter side of 48 becomes 37 (32 * 256 / 224), the longer 49, of which the middle 32 are visible.
    shrink, corner = np.array([49 / 64, 37 / 48]), np.array([round((49 - 32) / 2), round((37 - 32) / 2)])
    centres = np.array([(8, 8), (24, 8), (8, 24), (24, 24)], dtype=float)
    distances: dict[str, list[float]] = {"distance": [], "uniform": [], "centre": []}
    inside = []
    for index in range(12):
        seen = points[index] * shrink - corner
        is_seen = visible[index] & (seen >= 0).all(axis=1) & (seen < 32).all(axis=1)
        left, top, width, height = cub.boxes[index]  # type: ignore[index]
        diagonal = np.hypot(width * shrink[0], height * shrink[1])
        low, high = np.array([left, top]) * shrink - corner, np.array([left + width, top + height]) * shrink - corner
        for number, parts in enumerate([[0], [1, 2]]):
            inside.append(
                bool((centres[peaks[index, number]] >= low).all() and (centres[peaks[index, number]] < high).all())
            )
            parts = [part for part in parts if is_seen[part]]
            if not parts:
                continue
            from_windows = [min(np.linalg.norm(centre - seen[part]) for part in parts) / diagonal for centre in centres]
            distances["distance"].append(from_windows[peaks[index, number]])
            distances["uniform"].append(np.mean(from_windows))
            distances["centre"].append(min(np.linalg.norm(16 - seen[part]) for part in parts) / diagonal)
    assert 0 < len(distances["distance"]) < 24
    assert found["parts"]["peaks"] == len(distances["distance"])
    for key, values in distances.items():
        assert found["parts"][key] == pytest.approx(100 * np.mean(values), rel=1e-6)
    assert found["object"]["truth"] == "box"
    assert found["object"]["inside"] == pytest.approx(100 * np.mean(inside))


def test_without_masks_boxes_or_parts_there_is_no_localization(data: Benchmark) -> None:
    bare = replace(data, masks=())
    assert object_truth(bare, np.arange(3), GEOMETRY, SHAPE) is None
    assert localisation(bare, np.arange(3), np.zeros((3, 2), int), groups_of(bare), None, GEOMETRY, SHAPE) == {}


def test_part_locations_that_do_not_fit_the_images_are_refused(data: Benchmark) -> None:
    cub = as_cub(data, np.zeros((12, 3, 2)), np.ones((12, 3), bool), (64, 48))
    assert part_places(cub) is not None
    file = cub.root / "CUB_200_2011" / "parts" / "part_locs.txt"
    lines = file.read_text().splitlines()
    for damaged in (lines[3:], lines[:-1], ["101 2 0 0 1", *lines[1:]], ["101 1 x 0 1", *lines[1:]]):
        file.write_text("\n".join(damaged) + "\n")
        with pytest.raises(DataError, match="part locations"):
            part_places(cub)
