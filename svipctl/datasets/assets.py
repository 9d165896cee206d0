"""What can be downloaded: `assets.toml`, checked. A file of the same form may replace entries, for mirrors that repack."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from svipctl.errors import ConfigError

Kind = Literal["tar.gz", "zip", "gz"]
SPLIT_FOLDERS = {"cub": "CUB", "awa2": "AWA2", "sun": "SUN"}


class Asset(BaseModel):
    """A file to download."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    file: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Kind
    mirrors: tuple[str, ...] = Field(min_length=1)
    size: PositiveInt | None = None
    """Bytes, where they are known exactly."""
    estimate: NonNegativeInt = 0
    """About so many bytes, where they are not."""
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    licence: str = "unknown"
    datasets: tuple[Literal["cub", "awa2", "sun"], ...] = ()
    """Benchmarks that need it."""
    keep: tuple[str, ...] = ()
    """Patterns of the members to unpack; all without any. {SPLIT} is the benchmark's name in the proposed splits."""
    members: PositiveInt = 1
    """Most members it may have."""
    unpacked: PositiveInt = 1
    """Most bytes it may unpack to."""

    @property
    def bytes_to_fetch(self) -> int:
        """Exact where known, else about."""
        return self.size or self.estimate

    def patterns(self, dataset: str) -> tuple[str, ...]:
        """What to unpack of it for a benchmark."""
        return tuple(pattern.replace("{SPLIT}", SPLIT_FOLDERS[dataset]) for pattern in self.keep)


Manifest = dict[str, Asset]


@cache
def built_in() -> Manifest:
    """The manifest that svipctl comes with."""
    return _read(Path(__file__).with_name("assets.toml"))


def manifest(replacement: Path | None = None) -> Manifest:
    """The built-in manifest, with the entries of another file in place of those of the same name.

    Raises:
        ConfigError: The file is missing, no TOML, or an entry is not valid; every problem is named.

    """
    return built_in() if replacement is None else built_in() | _read(replacement)


def assets_of(dataset: str, found: Manifest) -> list[Asset]:
    """What a benchmark needs, small files first: a wrong mirror shows before gigabytes are fetched."""
    needed = [asset for asset in found.values() if dataset in asset.datasets]
    return sorted(needed, key=lambda asset: asset.bytes_to_fetch)


def _read(path: Path) -> Manifest:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the manifest {path} cannot be read", why=str(error)) from error
    found, problems = {}, []
    for name, table in tables.items():
        try:
            found[name] = Asset.model_validate({"name": name} | (table if isinstance(table, dict) else {"?": table}))
        except ValidationError as error:
            problems += [f"{name}.{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()]
    if problems:
        raise ConfigError(f"the manifest {path} is not valid", why="\n".join(problems))
    return found
