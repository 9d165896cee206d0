"""Test image paths as others wrote them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.datasets.paths import reroot, rows_by_name
from svipctl.errors import DataError


@pytest.mark.parametrize(
    ("dataset", "written", "meant"),
    [
        ("cub", "/home/x/Datasets/CUB_CROP/CUB_200_2011//images/c/f.jpg", "CUB_200_2011/images/c/f.jpg"),
        ("cub", "CUB_200_2011/images/c/f.jpg", "CUB_200_2011/images/c/f.jpg"),
        ("cub", "/data/CUB_200_2011/CUB_200_2011/images/c/f.jpg", "CUB_200_2011/images/c/f.jpg"),
        ("awa2", "Animals_with_Attributes2//JPEGImages/ox/f.jpg", "Animals_with_Attributes2/JPEGImages/ox/f.jpg"),
        ("sun", "/mnt/images/SUN//images/a/abbey/f.jpg", "images/a/abbey/f.jpg"),
        ("sun", "C:\\data\\images\\a\\abbey\\f.jpg", "images/a/abbey/f.jpg"),
    ],
)
def test_the_part_after_the_data_sets_folder_is_kept(dataset: str, written: str, meant: str) -> None:
    assert reroot(written, dataset) == meant


@pytest.mark.parametrize("written", ["", "/home/x/f.jpg", "CUB_200_2011", "CUB_200_2011/../../etc/passwd"])
def test_a_path_outside_is_refused(written: str) -> None:
    with pytest.raises(DataError):
        reroot(written, "cub")


@given(st.text())
def test_any_text_gives_a_path_below_the_folder_or_a_data_error(text: str) -> None:
    try:
        path = reroot(f"CUB_200_2011/{text}", "cub")
    except DataError:
        return
    assert path.startswith("CUB_200_2011/")
    assert ".." not in path.split("/")


IMAGES = ("images/jay/0.jpg", "images/wren/0.jpg", "images/wren/young/0.jpg", "images/owl/Käuz.jpg")


@pytest.mark.parametrize(
    "names",
    [
        IMAGES,
        ("/home/x/birds/images/jay/0.jpg", "D:\\birds\\images\\wren\\0.jpg", "./wren/young/0.jpg", "owl/Käuz.jpg"),
        ("a/jay/0.jpg", "b//wren/0.jpg", "young/0.jpg", unicodedata.normalize("NFD", "owl/Käuz.jpg")),
    ],
)
def test_an_image_is_found_by_the_end_of_its_path(names: tuple[str, ...]) -> None:
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        found = rows_by_name(IMAGES, ["other/9.jpg", *(names[place] for place in order)])
        assert found.tolist() == [1 + order.index(place) for place in range(4)]


@pytest.mark.parametrize(
    "name", ["0.jpg", "images/jay/0.JPG", "images/Jay/0.jpg", "images/jay/0.jpg/", "jay/1.jpg", ""]
)
def test_an_unknown_name_is_not_found(name: str) -> None:
    known = rows_by_name(IMAGES, [name]).tolist()
    assert known == ([0, -1, -1, -1] if name.endswith("/") else [-1] * 4)


def test_an_ambiguous_end_of_a_path_is_not_found() -> None:
    images = ("images/jay/a/0.jpg", "images/owl/a/0.jpg")
    assert rows_by_name(images, ["a/0.jpg", "owl/a/0.jpg"]).tolist() == [-1, 1]


def test_two_names_of_one_image_are_refused() -> None:
    with pytest.raises(DataError, match=r"two rows of features match the same image, images/jay/0\.jpg"):
        rows_by_name(IMAGES, ["train/jay/0.jpg", "test/jay/0.jpg"])


@given(st.lists(st.text(), unique=True, max_size=5))
def test_any_names_give_rows_or_a_data_error(names: list[str]) -> None:
    try:
        found = rows_by_name(IMAGES, names)
    except DataError:
        return
    assert set(found.tolist()) <= {-1, *range(len(names))}
