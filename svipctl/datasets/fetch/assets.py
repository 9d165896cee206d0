"""Load and validate the manifest of files to download, `assets.toml`, and a replacement for mirrors that repack."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError

from svipctl.errors import ConfigError, DataError
from svipctl.files import open_regular, read_regular

Kind = Literal["tar.gz", "zip", "gz"]
SPLIT_FOLDERS = {"cub": "CUB", "awa2": "AWA2", "sun": "SUN"}
HEAD = 15
"""Bytes that distinguish an archive from an HTML page."""
_MAGIC: dict[Kind, bytes] = {"tar.gz": b"\x1f\x8b", "gz": b"\x1f\x8b", "zip": b"PK"}
_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a file: nothing is written, or replaced, outside of the data folder
_SMALLEST_LIMIT = 2**20
_LARGEST_MANIFEST = 2**20


class Asset(BaseModel):
    """A file to download."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME)
    file: str = Field(pattern=_NAME)
    kind: Kind
    mirrors: tuple[str, ...] = Field(min_length=1)
    size: PositiveInt | None = None
    """Number of bytes, if known exactly."""
    estimate: NonNegativeInt = 0
    """Approximate number of bytes otherwise."""
    md5: str | None = Field(None, pattern="^[0-9a-f]{32}$")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    licence: str = "unknown"
    datasets: tuple[Literal["cub", "awa2", "sun"], ...] = ()
    """Benchmarks that need the asset."""
    keep: tuple[str, ...] = ()
    """Patterns of the members to unpack (default: all). {SPLIT} is the benchmark's name in the proposed splits."""
    members: PositiveInt = 1
    """Maximum number of members."""
    unpacked: PositiveInt = 1
    """Maximum number of unpacked bytes."""

    @property
    def bytes_to_fetch(self) -> int:
        """Size in bytes, or an estimate."""
        return self.size or self.estimate

    @property
    def largest(self) -> int:
        """Maximum number of bytes of a download."""
        return self.size or max(2 * self.unpacked, 2 * self.estimate, _SMALLEST_LIMIT)

    @property
    def checksum(self) -> str | None:
        """Published SHA-256 or MD5, if there is one."""
        return self.sha256 or self.md5

    def hash_of(self, file: BinaryIO) -> hashlib._Hash:
        """Return the hash of the rest of a file, by the algorithm of the checksum; it can be continued."""
        algorithm = "md5" if self.md5 and not self.sha256 else "sha256"
        return hashlib.file_digest(file, partial(hashlib.new, algorithm, usedforsecurity=False))  # type: ignore[arg-type]

    def head_problem(self, head: bytes) -> str:
        """Return the problem with the first bytes of a file; empty if there is none."""
        if head.startswith(_MAGIC[self.kind]):
            return ""
        return f"it is not a {self.kind} archive, it starts with {head[:HEAD]!r}"

    def problem_of(self, path: Path, found: hashlib._Hash | None = None) -> str:
        """Return the reason why a file is not the asset, by its first bytes, size and checksum; empty if it is.

        Args:
            path: The file.
            found: Hash of its content, if it is already known.

        """
        size = path.stat().st_size
        with open_regular(path) as file:
            if problem := self.head_problem(file.read(HEAD)):
                return problem
            if self.size not in (None, size):
                return f"it has {size:,} bytes instead of {self.size:,}"
            file.seek(0)
            if self.checksum and (digest := (found or self.hash_of(file)).hexdigest()) != self.checksum:
                return f"its checksum is {digest} instead of {self.checksum}"
        return ""

    def patterns(self, dataset: str) -> tuple[str, ...]:
        """Return the patterns of the members that a benchmark needs."""
        return tuple(pattern.replace("{SPLIT}", SPLIT_FOLDERS[dataset]) for pattern in self.keep)

    def moved_to(self, mirrors: Sequence[str]) -> Asset:
        """Return the asset with its file below each of other base addresses, if there are any."""
        addresses = tuple(f"{base.rstrip('/')}/{self.file}" for base in mirrors)
        return self.model_copy(update={"mirrors": addresses}) if addresses else self


Manifest = dict[str, Asset]


@cache
def built_in() -> Manifest:
    """Return the manifest of this package."""
    return _read(Path(__file__).with_name("assets.toml"))


def manifest(replacement: Path | None = None) -> Manifest:
    """Return the built-in manifest, with entries replaced by those of another file.

    Raises:
        ConfigError: The file is missing, not TOML, or has invalid entries; lists every problem.

    """
    return built_in() if replacement is None else built_in() | _read(replacement)


def assets_of(dataset: str, found: Manifest) -> list[Asset]:
    """Return the assets of a benchmark, small files first, so that a wrong mirror fails before gigabytes are fetched."""
    needed = [asset for asset in found.values() if dataset in asset.datasets]
    return sorted(needed, key=lambda asset: asset.bytes_to_fetch)


def _read(path: Path) -> Manifest:
    try:
        tables = tomllib.loads(read_regular(path, _LARGEST_MANIFEST).decode("utf-8"))
    except (DataError, ValueError) as error:
        raise ConfigError(f"the manifest {path} cannot be read", why=str(error)) from error
    named = {name: {"name": name} | table if isinstance(table, dict) else table for name, table in tables.items()}
    try:
        return TypeAdapter(Manifest).validate_python(named)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()]
        raise ConfigError(f"the manifest {path} is not valid", why="\n".join(problems)) from error
