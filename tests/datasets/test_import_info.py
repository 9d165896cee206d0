"""Test unusable info files of the published code: the errors name what is wrong, key by key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svipctl.datasets.import_info import differences, read_info_file
from svipctl.errors import DataError
from tests.evaluation.cases import benchmark

PARTS = ("trainval", "test_seen", "test_unseen")


def info() -> dict[str, Any]:
    files = np.array(["/x/CUB_200_2011/images/a/1.jpg", "/x/CUB_200_2011/images/b/2.jpg"], dtype=object)
    return {
        "allclasses": np.array(["a", "b"], dtype=object),
        "ori_attributes": torch.ones(2, 3),
        "train_classes": np.array([0]),
        "unseen_classes": np.array(["b"], dtype=object),
        **{f"{part}_files": files for part in PARTS},
        **{f"{part}_label": torch.tensor([0, 1]) for part in PARTS},
    }


def saved(path: Path, **changes: Any) -> Path:
    torch.save({key: value for key, value in (info() | changes).items() if value is not None}, path)
    return path


def test_the_content_of_the_file_is_read(tmp_path: Path) -> None:
    found = read_info_file(saved(tmp_path / "info.pth"), "cub")
    assert found.classes == ("a", "b")
    assert found.labels["trainval"] == {"CUB_200_2011/images/a/1.jpg": "a", "CUB_200_2011/images/b/2.jpg": "b"}
    assert (found.train_classes, found.unseen_classes) == ({"a"}, {"b"})
    np.testing.assert_array_equal(found.attributes, np.ones((2, 3)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"allclasses": None, "test_seen_label": None}, "it lacks allclasses, test_seen_label"),
        ({"allclasses": [1, 2]}, "allclasses: a list of names has entries that are not text"),
        ({"ori_attributes": torch.ones(3)}, "ori_attributes: not a table of numbers"),
        ({"ori_attributes": torch.ones(2, 2, dtype=torch.complex64)}, "ori_attributes: not a table of numbers"),
        ({"ori_attributes": torch.ones(2, 2, requires_grad=True)}, "ori_attributes: "),
        ({"ori_attributes": [[1.0], [1.0, 2.0]]}, "ori_attributes: "),
        ({"trainval_label": torch.tensor([0.0, 1.5])}, "trainval_files or trainval_label: labels are float32"),
        ({"trainval_label": [0, 2**70]}, "trainval_files or trainval_label: "),
        ({"test_seen_label": torch.tensor([0, 2])}, "test_seen_files and test_seen_label do not match"),
        ({"test_seen_label": torch.tensor([0])}, "test_seen_files and test_seen_label do not match"),
        ({"trainval_files": ["/x/CUB_200_2011/images/a/1.jpg"] * 2}, "1 images appear more than once"),
        ({"train_classes": np.array([0, -1])}, "train_classes: there is no class -1: there are 2"),
        ({"unseen_classes": np.array([7])}, "unseen_classes: there is no class 7: there are 2"),
        ({"train_classes": np.array([0.5])}, "train_classes: there is no class 0.5: there are 2"),
        ({"trainval_files": ["/x/elsewhere/a/1.jpg"] * 2}, "does not contain a folder CUB_200_2011"),
    ],
    ids=lambda one: ", ".join(one) if isinstance(one, dict) else "",
)
def test_an_unusable_entry_is_an_error_that_says_what_to_pass_instead(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as refused:
        read_info_file(saved(tmp_path / "info.pth", **changes), "cub")
    assert str(tmp_path / "info.pth") in refused.value.what
    assert said in refused.value.why
    assert refused.value.todo


def test_another_document_is_not_an_info_file(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "info.pth")
    with pytest.raises(DataError, match="it contains a list, not a dict"):
        read_info_file(tmp_path / "info.pth", "cub")


def test_a_table_that_is_not_a_number_is_a_difference(tmp_path: Path) -> None:
    ours = benchmark(tmp_path)
    nan = torch.full(ours.class_attributes.shape, torch.nan)
    found = read_info_file(
        saved(tmp_path / "info.pth", allclasses=np.array([*ours.classes]), ori_attributes=nan), "cub"
    )
    assert "4 classes have other attributes: a, b, c and 1 more" in differences(found, ours)


@pytest.mark.parametrize("missing", [(), ("gone.png",)])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"train_classes": np.array([1])}, "1 classes are seen in only one of the two: a"),
        ({"train_classes": np.array([1, 2])}, "2 classes are seen in only one of the two: a, c"),
        ({"unseen_classes": np.array([0, 2, 3])}, "1 classes are unseen in only one of the two: a"),
    ],
)
def test_seen_and_unseen_classes_are_compared_even_if_images_are_missing(
    changes: dict[str, Any], said: str, missing: tuple[str, ...], tmp_path: Path
) -> None:
    ours = benchmark(tmp_path)
    ours = replace(ours, class_attributes=100 * ours.class_attributes, missing=missing)
    classes = {
        "train_classes": np.array([0, 1]),
        "unseen_classes": np.array([2, 3]),
        "allclasses": np.array(ours.classes),
    }
    table = torch.from_numpy(ours.class_attributes).float()
    found = read_info_file(saved(tmp_path / "info.pth", **{**classes, "ori_attributes": table, **changes}), "cub")
    assert [one for one in differences(found, ours) if "classes" in one] == [said] * bool(said)
