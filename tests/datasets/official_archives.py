"""Build the official archives in their layout, from the real metadata; images are tiny, except CUB's first."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from svipctl.datasets.matlab import read_mat
from svipctl.datasets.paths import reroot
from tests.datasets.official_layout import METADATA, SOURCE

REAL_PHOTOGRAPHS = 12


def tiny_image() -> bytes:
    """Return an 8 x 8 JPEG."""
    content = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(content, "JPEG")
    return content.getvalue()


def images_of(name: str) -> list[str]:
    """Return every image of a benchmark, below its folder."""
    listing = read_mat(METADATA / name.upper() / "xlsa17" / "res101_nofeatures.mat", ["image_files"])["image_files"]
    return [reroot(str(file), name) for file in listing]


def build_archives(folder: Path, *, only: str | None = None) -> Path:
    """Write all six archives, or those that one benchmark needs."""
    folder.mkdir(parents=True, exist_ok=True)
    picture = tiny_image()
    if only in (None, "cub"):
        _build_cub(folder, picture)
    if only in (None, "sun"):
        _build_sun(folder, picture)
    if only in (None, "awa2"):
        _build_awa2(folder, picture)
    with zipfile.ZipFile(folder / "xlsa17.zip", "w") as packed:
        for split in ("CUB", "AWA2", "SUN"):
            for path in _files(METADATA / split / "xlsa17"):
                base = "res101.mat" if path.name == "res101_nofeatures.mat" else path.name
                packed.write(path, f"xlsa17/data/{split}/{base}")
        packed.writestr("xlsa17/code/README", "not needed")
    return folder


def _build_cub(folder: Path, picture: bytes) -> None:
    photographs = {f"CUB_200_2011/images/{path.parent.name}/{path.name}": path for path in _photographs()}
    with tarfile.open(folder / "CUB_200_2011.tgz", "w:gz", compresslevel=1) as tar:
        for path in _files(METADATA / "CUB" / "CUB_200_2011"):
            inside = path.relative_to(METADATA / "CUB").as_posix()
            _add(tar, "attributes.txt" if path.name == "attributes.txt" else inside, path.read_bytes())
        for file in images_of("cub"):
            _add(tar, file, photographs[file].read_bytes() if file in photographs else picture)


def _build_sun(folder: Path, picture: bytes) -> None:
    with tarfile.open(folder / "SUNAttributeDB.tar.gz", "w:gz") as tar:
        for path in _files(METADATA / "SUN" / "SUNAttributeDB"):
            _add(tar, path.relative_to(METADATA / "SUN").as_posix(), path.read_bytes())
    with tarfile.open(folder / "SUNAttributeDB_Images.tar.gz", "w:gz", compresslevel=1) as tar:
        for file in images_of("sun"):
            _add(tar, file, picture)


def _build_awa2(folder: Path, picture: bytes) -> None:
    with zipfile.ZipFile(folder / "AwA2-base.zip", "w") as packed:
        for path in _files(METADATA / "AWA2" / "Animals_with_Attributes2"):
            packed.write(path, path.relative_to(METADATA / "AWA2").as_posix())
    with zipfile.ZipFile(folder / "AwA2-data.zip", "w") as packed:
        for file in images_of("awa2"):
            packed.writestr(file, picture)


def write_manifest(archives: Path, path: Path) -> Path:
    """Write a manifest without the built-in checksums and sizes: these archives are not the official bytes."""
    from svipctl.datasets.fetch.assets import built_in

    lines = []
    for asset in built_in().values():
        if not asset.datasets:
            continue
        values = asset.model_dump(exclude={"name", "size", "estimate", "md5", "sha256"})
        lines.append(f"[{asset.name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _photographs() -> list[Path]:
    folder = SOURCE / "cub50" / "CUB_200_2011" / "images"
    return sorted(folder.glob("*/*.jpg"))[:REAL_PHOTOGRAPHS] if folder.is_dir() else []


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
