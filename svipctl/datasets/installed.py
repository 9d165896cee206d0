"""What of the benchmarks is on this machine, whether it is whole, and the command that mends it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svipctl.datasets.assets import Asset, assets_of, built_in
from svipctl.datasets.fetch_plan import mending_command, stamp_path
from svipctl.datasets.official import attribute_names, missing_images, open_official
from svipctl.errors import DataError, SvipError

State = Literal["complete", "partial", "absent", "damaged"]


@dataclass(frozen=True)
class AssetStatus:
    """One downloaded file of a benchmark, as it is unpacked here."""

    name: str
    state: State
    source: str = ""
    """Where it came from; empty when it was put here by hand."""
    problem: str = ""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {"name": self.name, "state": self.state, "from": self.source, "problem": self.problem}


@dataclass(frozen=True)
class DatasetStatus:
    """A benchmark: usable when it is complete."""

    name: str
    state: State
    problem: str
    todo: str
    assets: tuple[AssetStatus, ...]
    images: int
    """On the disk."""
    images_in_all: int | None
    word_vectors: bool
    packs: int

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "state": self.state,
            "problem": self.problem,
            "todo": self.todo,
            "assets": [asset.document() for asset in self.assets],
            "images": self.images,
            "images_in_all": self.images_in_all,
            "word_vectors": self.word_vectors,
            "packs": self.packs,
        }


def status_of(name: str, data_dir: Path, *, verify: bool = False) -> DatasetStatus:
    """Look at `data_dir/<name>`, never raising for what is wrong there.

    Args:
        name: `cub`, `awa2` or `sun`.
        data_dir: Folder of the data sets.
        verify: Also compare every installed file's size with the one recorded, and decode every image.

    """
    root = data_dir / name
    assets = tuple(_asset_status(asset, name, data_dir, verify=verify) for asset in assets_of(name, built_in()))
    broken = [asset for asset in assets if asset.state == "damaged"]
    images, total = 0, None
    state: State = "complete"
    problem = ""
    try:
        missing, total = missing_images(name, data_dir)
        images = total - len(missing)
        attribute_names(name, data_dir)
        benchmark = open_official(name, data_dir, allow_partial=bool(images))
        if missing:
            state, problem = "partial", f"{len(missing):,} of {total:,} images are missing"
        elif verify and not broken:
            problem = _first_bad_image(benchmark.root, benchmark.images)
            state = "damaged" if problem else "complete"
    except SvipError as error:
        there = root.is_dir() and any(root.iterdir())
        state, problem = ("damaged" if there else "absent"), error.what if there else ""
    if broken and state == "complete":
        state, problem = "damaged", broken[0].problem
    return DatasetStatus(
        name=name,
        state=state,
        problem=problem,
        todo="" if state == "complete" else mending_command(name, data_dir, broken=bool(broken)),
        assets=assets,
        images=images,
        images_in_all=total,
        word_vectors=(root / "word_vectors.npz").exists(),
        packs=len(list(root.glob("packed/[!.]*/index.json"))),
    )


def _asset_status(asset: Asset, name: str, data_dir: Path, *, verify: bool) -> AssetStatus:
    path = stamp_path(data_dir, name, asset)
    if not path.exists():
        return AssetStatus(asset.name, "absent")
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
        source, files = str(stamp["from"]), dict(stamp["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return AssetStatus(asset.name, "damaged", problem=f"{path} cannot be read: {error}")
    if verify:
        for file, size in files.items():
            found = data_dir / name / file
            if not found.is_file() or found.stat().st_size != size:
                what = "has another size than when it was unpacked" if found.is_file() else "is missing"
                return AssetStatus(asset.name, "damaged", source, f"{file} {what}")
    return AssetStatus(asset.name, "complete", source)


def _first_bad_image(root: Path, images: tuple[str, ...]) -> str:
    """The first image that does not decode; empty if all do."""
    from svipctl.datasets.images import decode

    for file in images:
        try:
            decode(root / file)
        except DataError as error:
            return f"{error.what}: {error.why}"
    return ""
