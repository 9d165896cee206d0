"""Test comparing the published code's info file by `data status --info` and `data import`, in real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svipctl.datasets.official import open_official
from tests.cli.test_schemas import follows
from tests.conftest import Command
from tests.datasets.official_layout import lay_out, needs_metadata, needs_photographs

pytestmark = [pytest.mark.slow, needs_metadata, needs_photographs]


@pytest.fixture
def info(tmp_path: Path) -> dict[str, Any]:
    """Return what the published code saves for the available part of CUB, under its authors' paths."""
    lay_out("cub", tmp_path / "data", photographs=True)
    cub = open_official("cub", tmp_path / "data", allow_partial=True)
    files = np.array([f"/home/x/Datasets/CUB_CROP/{file}" for file in cub.images], dtype=object)
    parts = {"trainval": cub.trainval, "test_seen": cub.test_seen, "test_unseen": cub.test_unseen}
    return {
        "allclasses": np.array(cub.classes, dtype=object),
        **{f"{part}_files": files[indices] for part, indices in parts.items()},
        **{f"{part}_label": torch.from_numpy(cub.labels[indices]) for part, indices in parts.items()},
        "attributes": torch.zeros(1),
        "ori_attributes": torch.from_numpy(cub.class_attributes),
        "train_classes": cub.seen_classes,
        "unseen_classes": cub.unseen_classes,
    }


def test_the_same_split_is_recognised_under_other_path_prefixes(
    command: Command, tmp_path: Path, info: dict[str, Any]
) -> None:
    torch.save(info, tmp_path / "x-CUB-data-image.pth")
    done = command("data", "import", "x-CUB-data-image.pth")
    assert done.code == 0, done.stderr
    assert "is the proposed split of cub: 2,889 images" in done.stdout
    assert "8,899 of 11,788" in done.stderr
    status = command("data", "status", "--info", "x-CUB-data-image.pth", "--json")
    assert status.code == 0, "missing images are a warning"
    assert follows("data-status", status.document)
    assert status.document["info"] == command("data", "import", "x-CUB-data-image.pth", "--json").document
    assert status.document["info"]["differences"] == []
    assert [one["state"] for one in status.document["datasets"]] == ["partial"]


def test_each_difference_is_reported(command: Command, tmp_path: Path, info: dict[str, Any]) -> None:
    info["trainval_label"] = info["trainval_label"].clone()
    info["trainval_label"][0] += 1
    info["test_seen_files"], info["test_seen_label"] = info["test_seen_files"][1:], info["test_seen_label"][1:]
    info["ori_attributes"] = info["ori_attributes"].clone()
    info["ori_attributes"][7, 3] += 1
    torch.save(info, tmp_path / "info.pth")
    done = command("data", "import", "info.pth", "--dataset", "cub")
    assert done.code == 1
    assert "1 images of trainval have another label" in done.stderr
    assert "1 images are in test_seen in only one of the two" in done.stderr
    assert "1 classes have other attributes" in done.stderr
    told = command("data", "import", "info.pth", "--dataset", "cub", "--json")
    assert (told.code, len(told.document["differences"])) == (1, 3)
    assert follows("data-import", told.document)
    assert command("data", "import", "info.pth").code == 2, "the data set must be given"
    status = command("data", "status", "cub", "--info", "info.pth", "--json")
    assert (status.code, status.document["info"]["differences"]) == (1, told.document["differences"])
    assert follows("data-status", status.document)
    assert command("data", "status", "--info", "info.pth").code == 2
    assert command("data", "status", "cub", "sun", "--info", "info.pth").code == 2


class Harmful:
    """Would create a file if it were unpickled without restrictions."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("harm"),))


def test_a_harmful_file_is_refused_and_not_executed(command: Command, tmp_path: Path, info: dict[str, Any]) -> None:
    torch.save(info | {"image2feat": Harmful()}, tmp_path / "x-CUB-data-image.pth")
    done = command("data", "import", "x-CUB-data-image.pth")
    assert done.code == 3
    assert "not a file of plain data" in done.stderr
    assert not (tmp_path / "harm").exists()
    (tmp_path / "x-CUB-data-image.pth").write_bytes(b"not a pickle")
    assert command("data", "import", "x-CUB-data-image.pth").code == 3
    assert command("data", "status", "cub", "--info", "x-CUB-data-image.pth").code == 3
