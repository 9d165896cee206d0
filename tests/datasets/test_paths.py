"""Image paths as other people wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svipctl.datasets.paths import reroot
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
def test_what_follows_the_data_sets_folder_is_kept(dataset: str, written: str, meant: str) -> None:
    assert reroot(written, dataset) == meant


@pytest.mark.parametrize("written", ["", "/home/x/f.jpg", "CUB_200_2011", "CUB_200_2011/../../etc/passwd"])
def test_a_path_outside_is_refused(written: str) -> None:
    with pytest.raises(DataError):
        reroot(written, "cub")


@given(st.text())
def test_any_text_gives_a_path_below_the_folder_or_our_own_error(text: str) -> None:
    try:
        path = reroot(f"CUB_200_2011/{text}", "cub")
    except DataError:
        return
    assert path.startswith("CUB_200_2011/")
    assert ".." not in path.split("/")
