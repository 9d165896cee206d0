"""Report the status of the official benchmarks on this machine, with the command that repairs each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from svipctl.datasets.fetch.assets import Asset, assets_of, built_in
from svipctl.datasets.fetch.steps import repair_command, stamp_path
from svipctl.datasets.official import attribute_names, missing_images, open_official
from svipctl.errors import SvipError
from svipctl.types import ProgressCallback

if TYPE_CHECKING:
    from svipctl.datasets.image_check import ImageCheck

State = Literal["complete", "partial", "absent", "damaged"]


class AssetStatus(BaseModel):
    """Status of an asset of a benchmark."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    source: str = Field("", serialization_alias="from")
    """Origin of the asset; empty if the user put its files there."""
    problem: str = ""


class DatasetStatus(BaseModel):
    """Status of a benchmark; it can be used if it is complete."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: State
    problem: str
    todo: str
    assets: tuple[AssetStatus, ...] = ()
    images: int = 0
    """Images on the disk."""
    images_in_all: int | None = None
    word_vectors: bool = False
    packs: int = 0
    undecodable: tuple[str, ...] = ()
    """`file: reason` of each image that does not decode, if all images were decoded."""
    oriented: int | None = None
    """Number of images with an EXIF orientation, if all images were decoded."""
    warnings: tuple[str, ...] = ()
    """Warnings about ignored files and doubtful scores."""

    def document(self) -> dict[str, Any]:
        """Return the entry of the JSON document of `data status`."""
        return self.model_dump(mode="json", by_alias=True)

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows of the table of `data status`: the benchmark, then its assets."""
        images = "" if self.images_in_all is None else f"{self.images:,} of {self.images_in_all:,}"
        yield [self.name, self.state, images, "yes" if self.word_vectors else "no", str(self.packs), self.todo]
        by_hand = self.state != "absent" and not any(asset.source for asset in self.assets)
        for asset in self.assets:
            state = "by hand" if by_hand and asset.state == "absent" else asset.state
            yield [f"  {asset.name}", state, "", "", "", asset.source]


def status_of(
    name: str, data_dir: Path, *, verify: bool = False, progress: ProgressCallback | None = None
) -> DatasetStatus:
    """Return the status of `data_dir/<name>`; problems are reported in it, not raised.

    Args:
        name: `cub`, `awa2` or `sun`.
        data_dir: Folder of the data sets.
        verify: Also compare every installed file's size with the recorded one, and decode every image.
        progress: Called with images decoded and images in total.

    """
    root = data_dir / name
    assets = tuple(_asset_status(asset, name, data_dir, verify=verify) for asset in assets_of(name, built_in()))
    broken = [asset for asset in assets if asset.state == "damaged"]
    images, total = 0, None
    found: ImageCheck | None = None
    state: State = "complete"
    problem = ""
    try:
        missing, total = missing_images(name, data_dir)
        images = total - len(missing)
        attribute_names(name, data_dir)
        benchmark = open_official(name, data_dir, allow_partial=bool(images))
        if missing:
            state, problem = "partial", f"{len(missing):,} of {total:,} images are missing"
        if verify:
            from svipctl.datasets.image_check import check_images

            found = check_images(root, benchmark.images, progress)
        if found and found.undecodable and not missing:
            count = f"{len(found.undecodable):,} images do not decode"
            state, problem = "damaged", f"{count}, for instance {found.undecodable[0]}"
    except SvipError as error:
        there = root.is_dir() and any(root.iterdir())
        state, problem = ("damaged" if there else "absent"), error.what if there else ""
    if broken and state == "complete":
        state, problem = "damaged", broken[0].problem
    instead = ", or use the existing images: --allow-partial" if state == "partial" else ""
    return DatasetStatus(
        name=name,
        state=state,
        problem=problem,
        todo="" if state == "complete" else repair_command(name, data_dir, broken=bool(broken)) + instead,
        assets=assets,
        images=images,
        images_in_all=total,
        word_vectors=(root / "word_vectors.npz").exists(),
        packs=len(list(root.glob("packed/[!.]*/index.json"))),
        undecodable=found.undecodable if found else (),
        oriented=found.oriented if found else None,
    )


def _asset_status(asset: Asset, name: str, data_dir: Path, *, verify: bool) -> AssetStatus:
    path = stamp_path(data_dir, name, asset)
    if not path.exists():
        return AssetStatus(name=asset.name, state="absent")
    source = problem = ""
    try:
        stamp = json.loads(path.read_bytes())
        source, sizes = str(stamp["from"]), dict(stamp["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem, sizes = f"{path} cannot be read: {error}", {}
    for file, size in sizes.items() if verify else ():
        found = data_dir / name / file
        if not found.is_file():
            problem = problem or f"{file} is missing"
        elif found.stat().st_size != size:
            problem = problem or f"{file} has changed its size since it was unpacked"
    return AssetStatus(name=asset.name, state="damaged" if problem else "complete", source=source, problem=problem)
