"""Report the status of data sets on this machine, with the command that repairs each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from svipctl.datasets.fetch.assets import Asset, assets_of, built_in
from svipctl.datasets.fetch.steps import repair_command, stamp_path
from svipctl.datasets.image_files import entries
from svipctl.datasets.images import decode, stored_orientation
from svipctl.datasets.look_alikes import equal_images
from svipctl.datasets.names import OFFICIAL, dataset_folder
from svipctl.datasets.official import missing_images, open_official
from svipctl.datasets.registry import open_benchmark, pictures_to_draw, word_vectors_file
from svipctl.errors import DataError, SvipError
from svipctl.quoting import shell_command
from svipctl.types import ProgressCallback

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
    """Status of a data set; it can be used if it is complete."""

    name: str
    state: State = "complete"
    problem: str = ""
    todo: str = ""
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
    summary: str = Field("", exclude=True)
    """Number of classes and attributes of a data folder, as text."""
    warnings: tuple[str, ...] = ()
    """Warnings about ignored files and doubtful scores."""

    def check_images(self, root: Path, files: Sequence[str], progress: ProgressCallback | None) -> None:
        """Decode every image; those that do not decode damage a data set without another problem."""
        undecodable, self.oriented = list[str](), 0
        for done, file in enumerate(files, 1):
            try:
                decode(root / file)
                self.oriented += stored_orientation(root / file) != 1
            except DataError as error:
                undecodable.append(f"{file}: {error.why or error.what}")
            if progress:
                progress(done, len(files))
        self.undecodable = tuple(undecodable)
        if undecodable and self.state == "complete":
            self.state, self.todo = "damaged", "replace these images, or remove them from the data set"
            self.problem = f"{len(undecodable):,} images do not decode, for instance {undecodable[0]}"

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
    """Return the status of a data set; problems are reported in it, not raised.

    Args:
        name: `cub`, `awa2`, `sun`, `toybirds`, or the path of a data folder.
        data_dir: Folder of the named data sets.
        verify: Also compare every installed file's size with the recorded one, and decode every image and mask.
        progress: Called with images decoded and images in total.

    Raises:
        ConfigError: The data folder does not exist.

    """
    if to_draw := pictures_to_draw(name, data_dir):
        return DatasetStatus(
            name=name,
            state="absent",
            todo=shell_command("train", name),
            summary=f"its {to_draw:,} images are generated on first use",
            images_in_all=to_draw,
        )
    root = dataset_folder(name, data_dir)
    packs = len(list(root.glob("packed/[!.]*/index.json")))
    status = DatasetStatus(name=name, word_vectors=word_vectors_file(name, data_dir).exists(), packs=packs)
    examine = _examine_official if name in OFFICIAL else _examine_folder
    examine(status, root, verify, progress)
    return status


def _examine_official(status: DatasetStatus, root: Path, verify: bool, progress: ProgressCallback | None) -> None:
    """Add the assets, images and problems of `cub`, `awa2` or `sun`."""
    name, data_dir = status.name, root.parent
    status.assets = tuple(_asset_status(asset, name, data_dir, verify=verify) for asset in assets_of(name, built_in()))
    broken = [asset for asset in status.assets if asset.state == "damaged"]
    try:
        missing, total = missing_images(name, data_dir)
        status.images, status.images_in_all = total - len(missing), total
        benchmark = open_official(name, data_dir, allow_partial=bool(status.images))
        if missing:
            status.state, status.problem = "partial", f"{len(missing):,} of {total:,} images are missing"
        if verify:
            status.check_images(root, benchmark.images, progress)
            status.warnings = tuple(equal_images(benchmark))
    except SvipError as error:
        there = root.is_dir() and any(root.iterdir())
        status.state, status.problem = ("damaged", error.what) if there else ("absent", "")
    if broken and status.state == "complete":
        status.state, status.problem = "damaged", broken[0].problem
    if status.state != "complete":
        instead = ", or use the existing images: --allow-partial" if status.state == "partial" else ""
        status.todo = repair_command(name, data_dir, broken=bool(broken)) + instead


def _examine_folder(status: DatasetStatus, root: Path, verify: bool, progress: ProgressCallback | None) -> None:
    """Add the images, warnings and problems of a data folder."""

    def listed(part: str) -> list[str]:
        return [entry.path.relative_to(root).as_posix() for entry in entries(root / part) if not entry.left_out]

    images, masks = listed("images"), listed("masks")
    try:
        benchmark = open_benchmark(status.name, root.parent)
        images, masks = list(benchmark.images), list(benchmark.masks)  # without ignored ones
        status.warnings = benchmark.warnings
        status.summary = (
            f"{len(benchmark.seen_classes)} seen and {len(benchmark.unseen_classes)} unseen classes, "
            f"{len(benchmark.attributes)} attributes; {len(benchmark.trainval):,} training, {len(benchmark.test_seen):,} "
            f"seen-test and {len(benchmark.test_unseen):,} unseen-test images"
        )
    except SvipError as error:
        status.state, status.problem, status.todo = "damaged", f"{error.what}\n{error.why}".strip(), error.todo
    status.images = status.images_in_all = len(images)
    if verify:
        status.check_images(root, [*images, *masks], progress)


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
