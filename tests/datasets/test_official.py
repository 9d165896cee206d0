"""Test the official benchmarks, with every trap of their files, on the real metadata."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from svipctl.datasets.benchmark import Benchmark
from svipctl.datasets.look_alikes import with_doubts
from svipctl.datasets.official import (
    OFFICIAL_BENCHMARKS,
    attribute_names,
    bounding_boxes,
    missing_images,
    open_official,
)
from svipctl.datasets.part_locations import part_places
from svipctl.errors import DataError
from tests.datasets.official_layout import METADATA, create_empty_images, lay_out, needs_metadata, needs_photographs
from tests.marks import first_fast

pytestmark = needs_metadata
NAMES = ("cub", "awa2", "sun")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with all three benchmarks; their images are empty files."""
    data_dir = tmp_path_factory.mktemp("data")
    for name in NAMES:
        root = lay_out(name, data_dir)
        create_empty_images(root, missing_images(name, data_dir)[0])
    return data_dir


@pytest.fixture(scope="module")
def benchmarks(complete: Path) -> dict[str, Benchmark]:
    return {name: open_official(name, complete) for name in NAMES}


def replace_mat(path: Path, **changed: object) -> None:
    """Write a MATLAB file again, with some of its variables replaced."""
    variables = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    path.unlink()  # a link to the shared file
    savemat(path, variables | changed)


@pytest.mark.parametrize("name", NAMES)
def test_counts_of_classes_attributes_and_images_are_the_published_ones(
    benchmarks: dict[str, Benchmark], name: str
) -> None:
    one, official = benchmarks[name], OFFICIAL_BENCHMARKS[name]
    assert (len(one.seen_classes), len(one.unseen_classes)) == official.classes
    assert len(one.attributes) == official.attributes == one.class_attributes.shape[1]
    assert (len(one.trainval), len(one.test_seen), len(one.test_unseen)) == official.images
    assert sorted(index for group in one.groups for index in group) == list(range(official.attributes))
    assert not one.missing


@pytest.mark.parametrize("name", NAMES)
def test_folds_are_the_published_class_lists_and_never_contain_an_unseen_class(
    benchmarks: dict[str, Benchmark], name: str
) -> None:
    one = benchmarks[name]
    assert [len(fold) for fold in one.folds] == [{"cub": 50, "awa2": 13, "sun": 65}[name]] * 3
    for number, fold in enumerate(one.folds, 1):
        listed = (METADATA / name.upper() / "xlsa17" / f"valclasses{number}.txt").read_text().split()
        assert {one.classes[label] for label in fold} == set(listed)
        assert not set(fold) & set(one.unseen_classes.tolist())
        split = one.split(number)
        tested = np.concatenate([one.test_seen, one.test_unseen])
        assert not np.intersect1d(np.concatenate([split.train, split.seen, split.unseen]), tested).size


def test_trap_1_cub_class_001_has_label_150_not_0(benchmarks: dict[str, Benchmark]) -> None:
    cub = benchmarks["cub"]
    assert cub.classes.index("001.Black_footed_Albatross") == 150
    first = cub.images.index("CUB_200_2011/images/001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg")
    assert cub.labels[first] == 150


def test_trap_1_cub_attribute_rows_are_those_of_cubs_own_table(benchmarks: dict[str, Benchmark]) -> None:
    cub = benchmarks["cub"]
    folder = METADATA / "CUB" / "CUB_200_2011"
    by_number = np.loadtxt(folder / "attributes" / "class_attribute_labels_continuous.txt")
    for line, row in zip((folder / "classes.txt").read_text().splitlines(), by_number):
        np.testing.assert_allclose(cub.class_attributes[cub.classes.index(line.split()[1])], row, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_trap_2_every_image_is_in_the_folder_of_its_class(benchmarks: dict[str, Benchmark], name: str) -> None:
    one = benchmarks[name]
    for file, label in zip(one.images, one.labels):
        assert OFFICIAL_BENCHMARKS[name].class_of(file) == one.classes[label]


def test_trap_2_positions_point_into_the_sorted_list_not_into_images_txt(benchmarks: dict[str, Benchmark]) -> None:
    cub = benchmarks["cub"]
    lines = (METADATA / "CUB" / "CUB_200_2011" / "images.txt").read_text().splitlines()
    by_number = ["CUB_200_2011/images/" + line.split()[1] for line in lines]
    assert sum(one != other for one, other in zip(cub.images, by_number)) == 11_616
    assert set(cub.images) == set(by_number)
    location = loadmat(METADATA / "CUB" / "xlsa17" / "att_splits.mat")["test_unseen_loc"].ravel()
    listed = loadmat(METADATA / "CUB" / "xlsa17" / "res101_nofeatures.mat")["image_files"].ravel()
    assert [cub.images[i] for i in cub.test_unseen] == [str(listed[i - 1][0]) for i in location]


@pytest.mark.parametrize("change", first_fast(["leaking", "absent"]))
def test_trap_3_train_loc_and_val_loc_change_nothing(tmp_path: Path, change: str) -> None:
    root = lay_out("awa2", tmp_path)
    create_empty_images(root, missing_images("awa2", tmp_path)[0])
    expected = open_official("awa2", tmp_path)
    path = root / "xlsa17" / "data" / "AWA2" / "att_splits.mat"
    variables = {k: v for k, v in loadmat(path).items() if not k.startswith("__") and k not in ("train_loc", "val_loc")}
    path.unlink()
    leaking = {"train_loc": np.arange(1, 100)[:, None], "val_loc": variables["test_unseen_loc"]}
    savemat(path, variables | (leaking if change == "leaking" else {}))
    found = open_official("awa2", tmp_path)
    for part in ("trainval", "test_seen", "test_unseen"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
    assert found.folds == expected.folds


def test_trap_4_the_four_cells_of_minus_one_of_awa2_are_kept(benchmarks: dict[str, Benchmark]) -> None:
    assert (benchmarks["awa2"].class_attributes == -1).sum() == 4


def test_trap_5_paths_with_a_prefix_of_the_authors_machine_name_the_same_files(complete: Path, tmp_path: Path) -> None:
    expected = open_official("awa2", complete)
    root = lay_out("awa2", tmp_path)
    create_empty_images(root, expected.images)
    path = root / "xlsa17" / "data" / "AWA2" / "res101.mat"
    files = loadmat(path)["image_files"]
    moved = np.empty_like(files)
    for number, cell in enumerate(files.ravel()):
        moved.ravel()[number] = "/somewhere/else//data/" + str(cell[0])
    replace_mat(path, image_files=moved)
    assert open_official("awa2", tmp_path).images == expected.images


def test_trap_6_a_sun_class_is_its_path_joined_by_underscores(benchmarks: dict[str, Benchmark]) -> None:
    sun = benchmarks["sun"]
    nested = next(file for file in sun.images if file.count("/") == 4)
    assert sun.classes[sun.labels[sun.images.index(nested)]] == "_".join(nested.split("/")[2:4])


def test_boxes_follow_the_order_of_the_images_although_cubs_list_differs(benchmarks: dict[str, Benchmark]) -> None:
    cub = benchmarks["cub"]
    assert cub.boxes is not None
    folder = METADATA / "CUB" / "CUB_200_2011"
    numbers = {"CUB_200_2011/images/" + name: number for number, name in map(str.split, (folder / "images.txt").open())}
    boxes = {line.split()[0]: [float(v) for v in line.split()[1:]] for line in (folder / "bounding_boxes.txt").open()}
    for index in range(0, len(cub.images), 97):
        assert cub.boxes[index].tolist() == boxes[numbers[cub.images[index]]]


def test_boxes_are_not_used_in_photographs_that_are_cropped_to_them(
    benchmarks: dict[str, Benchmark], tmp_path: Path
) -> None:
    cub, root = benchmarks["cub"], lay_out("cub", tmp_path)
    assert cub.boxes is not None
    for index in np.flatnonzero(np.isin(cub.labels, [cub.seen_classes[0], cub.unseen_classes[0]])):
        (root / cub.images[index]).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", tuple(cub.boxes[index, 2:].astype(int))).save(root / cub.images[index])
    part = open_official("cub", tmp_path, allow_partial=True)
    assert (part.boxes, part_places(part)) == (None, None)
    assert any("cropped to their bounding boxes" in warning for warning in part.warnings)


def test_truncated_boxes_are_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "images.txt").write_text("1 a/1.jpg\n")
    (tmp_path / "bounding_boxes.txt").write_text("1 0 0 5 5\n2")
    with pytest.raises(DataError, match="do not fit the images"):
        bounding_boxes(tmp_path, ["CUB_200_2011/images/a/1.jpg"])


@pytest.mark.parametrize("name", NAMES)
def test_no_unseen_class_has_the_attributes_of_another_class(benchmarks: dict[str, Benchmark], name: str) -> None:
    assert not any("equal attributes" in warning for warning in benchmarks[name].warnings)


def test_an_unseen_class_with_the_attributes_of_another_is_a_warning(benchmarks: dict[str, Benchmark]) -> None:
    cub = benchmarks["cub"]
    table = cub.class_attributes.copy()
    seen, unseen = int(cub.seen_classes[0]), int(cub.unseen_classes[0])
    table[unseen] = table[seen]
    (warning,) = with_doubts(replace(cub, class_attributes=table, warnings=()), files=False).warnings
    assert "equal attributes" in warning
    assert cub.classes[seen] in warning
    assert cub.classes[unseen] in warning


def test_attribute_names_need_neither_images_nor_splits(tmp_path: Path) -> None:
    root = lay_out("cub", tmp_path)
    shutil.rmtree(root / "xlsa17")
    assert attribute_names("cub", tmp_path)[0] == "has_bill_shape::curved_(up_or_down)"
    (root / "attributes.txt").rename(root / "CUB_200_2011" / "attributes.txt")
    assert len(attribute_names("cub", tmp_path)) == 312, "inside the folder is accepted too"


@needs_photographs
def test_part_of_cub_keeps_the_true_split(tmp_path: Path) -> None:
    lay_out("cub", tmp_path, photographs=True)
    part = open_official("cub", tmp_path, allow_partial=True)
    assert (len(part.trainval), len(part.test_seen), len(part.test_unseen)) == (1837, 460, 592)
    assert (len(part.seen_classes), len(part.unseen_classes)) == (40, 10)
    assert len(part.missing) == 11_788 - 2889
    assert part.boxes is not None
    assert len(part.boxes) == 2889
    assert all(part.image_path(index).is_file() for index in range(0, 2889, 50))


@needs_photographs
def test_missing_images_are_refused_and_named_exactly(tmp_path: Path) -> None:
    lay_out("cub", tmp_path, photographs=True)
    with pytest.raises(DataError, match="8,899 of 11,788") as refused:
        open_official("cub", tmp_path)
    assert "051.Horned_Grebe (60)" in refused.value.why
    assert "--allow-partial" in refused.value.todo


def test_a_benchmark_without_images_is_refused_even_with_allow_partial(tmp_path: Path) -> None:
    lay_out("sun", tmp_path)
    with pytest.raises(DataError, match="all 14,340"):
        open_official("sun", tmp_path, allow_partial=True)


def test_listed_images_replace_those_on_the_disk(benchmarks: dict[str, Benchmark], tmp_path: Path) -> None:
    lay_out("awa2", tmp_path)
    whole = benchmarks["awa2"]
    names = [f"/elsewhere/AwA2//JPEGImages/{'/'.join(image.split('/')[-2:])}" for image in whole.images[::-1]]
    listed = open_official("awa2", tmp_path, listed=names)
    assert listed.images == whole.images
    np.testing.assert_array_equal(listed.trainval, whole.trainval)
    with pytest.raises(DataError, match="the feature file lacks 2 of 37,322 images of awa2") as refused:
        open_official("awa2", tmp_path, listed=names[2:])
    assert "zebra (2)" in refused.value.why
    assert "svipctl embed awa2 -o FILE, or use the existing images: --allow-partial" in refused.value.todo
    part = open_official("awa2", tmp_path, listed=names[2:], allow_partial=True)
    assert part.missing == whole.images[-2:]
    with pytest.raises(DataError, match="the feature file lacks all 37,322 images of awa2"):
        open_official("awa2", tmp_path, listed=["a/b.jpg"], allow_partial=True)


@pytest.mark.parametrize("what", ["moved", "repeated", "swapped", "shorter"])
def test_a_changed_split_is_not_official(complete: Path, tmp_path: Path, what: str) -> None:
    root = lay_out("awa2", tmp_path)
    path = root / "xlsa17" / "data" / "AWA2" / "att_splits.mat"
    values = loadmat(path)
    trainval, unseen = values["trainval_loc"].copy(), values["test_unseen_loc"].copy()
    if what == "moved":
        trainval, unseen = np.vstack([trainval, unseen[-1:]]), unseen[:-1]
    elif what == "repeated":
        trainval[0] = trainval[1]
    elif what == "swapped":
        names = values["allclasses_names"].copy()
        names[[0, 1]] = names[[1, 0]]
        replace_mat(path, allclasses_names=names)
    else:
        replace_mat(path, original_att=values["original_att"][:-1])
    if what in ("moved", "repeated"):
        replace_mat(path, trainval_loc=trainval, test_unseen_loc=unseen)
    with pytest.raises(DataError, match="not the official ones") as refused:
        open_official("awa2", tmp_path)
    assert "svipctl data fetch awa2" in refused.value.todo


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_or_empty_file_is_an_error_that_names_the_repairing_command(tmp_path: Path, name: str) -> None:
    root = lay_out(name, tmp_path)
    for path in sorted(root.rglob("*")):
        needed = path.name in ("att_splits.mat", "res101.mat", "valclasses2.txt", "predicates.txt")
        if not (needed or path in (root / "attributes.txt", root / "SUNAttributeDB" / "attributes.mat")):
            continue
        target = path.resolve()
        path.unlink()
        for content in (None, b""):
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(DataError) as refused:
                open_official(name, tmp_path, allow_partial=True)
            assert refused.value.todo == f"svipctl data fetch {name}"
            if content is None:
                assert str(path) in refused.value.what
        path.unlink()
        path.symlink_to(target)
