"""Lay out the three benchmarks as published, from the real metadata; only CUB has photographs (classes 001-050)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SOURCE = Path(os.environ.get("SVIP_TEST_DATA", Path(__file__).parents[3] / "shared" / "datasets"))
METADATA = SOURCE / "metadata"
needs_metadata = pytest.mark.skipif(not METADATA.is_dir(), reason=f"no benchmark metadata in {METADATA}")
needs_photographs = pytest.mark.skipif(not (SOURCE / "cub50").is_dir(), reason=f"no photographs in {SOURCE}")

_IMAGES_FOLDER = {"cub": "CUB_200_2011/images", "awa2": "Animals_with_Attributes2/JPEGImages", "sun": "images"}


def lay_out(name: str, data_dir: Path, *, photographs: bool = False) -> Path:
    """Link the metadata of a benchmark into `data_dir/<name>`, and for cub the photographs of 50 classes."""
    root = data_dir / name
    for item in sorted((METADATA / name.upper()).rglob("*")):
        if item.is_dir() or item.name == "att_splits_with_trainval1.mat":
            continue
        relative = item.relative_to(METADATA / name.upper())
        if relative.parts[0] == "xlsa17":
            base = "res101.mat" if item.name == "res101_nofeatures.mat" else item.name
            target = root / "xlsa17" / "data" / name.upper() / base
        elif item.name == "attributes.txt":
            target = root / "attributes.txt"
        else:
            target = root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(item)
    if photographs:
        (root / _IMAGES_FOLDER[name]).symlink_to(SOURCE / "cub50" / "CUB_200_2011" / "images")
    return root


def create_empty_images(root: Path, files: tuple[str, ...]) -> None:
    """Write empty files in place of photographs, for tests that do not read them."""
    for folder in {(root / file).parent for file in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (root / file).touch()
