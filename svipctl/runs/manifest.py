"""Write and check the manifest of a run or a checkpoint: size and SHA-256 of each file that is written once.

Folders of release 0.1 have no manifest; their files are read unchecked. Since then `environment.json` of a run and
`metadata.json` of a checkpoint record a format, and a folder with a format and without a manifest is damaged.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from svipctl.errors import DataError
from svipctl.files import atomic_write_text, file_sha256, open_regular, read_regular, resolve_folder
from svipctl.runs.documents import FORMAT, Document, FolderFormat, parse

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
"""The weights of a checkpoint."""
MOST_UNLISTED = 2**29
"""Bytes of the largest file that is read without an entry in a manifest."""
_RECORD_FORMAT = {"config.toml": "environment.json", "metadata.json": "metadata.json"}
"""File that every run or checkpoint has -> its document that records the format."""
_AGAIN = "restore it from a copy, or train again"


class ManifestEntry(Document):
    """Size and digest of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FormatDocument(Document):
    """The document of a folder that records its format."""

    format: FolderFormat = 1


class Manifest(Document):
    """The files of a folder that are written once."""

    files: dict[str, ManifestEntry]

    def text(self) -> str:
        """Return the content of `manifest.json`."""
        return self.model_dump_json(indent=2) + "\n"


def write_manifest(folder: Path, contents: Mapping[str, bytes] | None = None) -> None:
    """Write the manifest of all files directly in a folder.

    Args:
        folder: A run or a checkpoint whose files are complete.
        contents: Name -> content of files that need not be read, and may be written afterwards.

    """
    known = contents or {}
    found = manifest_of(
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, *known) and not path.name.startswith(".")
    )
    _write(folder, Manifest(files=found.files | {name: _entry(content) for name, content in known.items()}))


def manifest_of(paths: Iterable[Path]) -> Manifest:
    """Return the manifest of some files of a folder."""
    return Manifest(
        files={path.name: ManifestEntry(bytes=path.stat().st_size, sha256=file_sha256(path)) for path in paths}
    )


def add_to_manifest(folder: Path, name: str) -> None:
    """Add a file that was written later; a folder without a manifest gets none."""
    manifest = read_manifest(folder)
    if manifest is not None:
        entry = _entry(read_regular(folder / name))
        _write(folder, Manifest(files={**manifest.files, name: entry}))


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None for a folder of release 0.1.

    Raises:
        DataError: The manifest is damaged, or missing in a folder whose format has one.

    """
    path = folder / MANIFEST
    if path.is_symlink() or path.exists():
        manifest = parse(Manifest, read_regular(path, MOST_UNLISTED), path)
        for marker, name in _RECORD_FORMAT.items():
            if (folder / marker).exists() and name not in manifest.files:
                raise DataError(f"{path} is damaged", why=f"it does not list {name}", todo=_AGAIN)
        return manifest
    for marker, name in _RECORD_FORMAT.items():
        document = folder / name
        if not ((folder / marker).exists() and document.exists()):
            continue
        if parse(FormatDocument, read_regular(document, MOST_UNLISTED), document).format >= FORMAT:
            if path.exists():  # the checkpoint was replaced in the meantime
                return read_manifest(folder)
            why = f"{MANIFEST} is missing, so that its files cannot be checked"
            raise DataError(f"{folder} is damaged", why=why, todo=_AGAIN)
    return None


def read_checked(folder: Path, name: str, *, todo: str = "") -> bytes:
    """Return the content of a file of a run or a checkpoint, and check that it is unchanged.

    Args:
        folder: The run or the checkpoint.
        name: Name of the file.
        todo: Advice if the file is missing or damaged.

    Raises:
        DataError: The file is missing, not regular, not readable, or differs from the manifest.

    """
    expected, size = None, 0
    for _ in range(2):  # a second time if the checkpoint was replaced in the meantime
        at = resolve_folder(folder)
        manifest = read_manifest(at)
        expected = manifest.files.get(name) if manifest else None
        if expected is None:
            limit = MOST_UNLISTED if manifest else None  # release 0.1 listed nothing, large states included
            return read_regular(at / name, limit, todo=todo)
        with open_regular(at / name, todo=todo) as file:
            size = os.fstat(file.fileno()).st_size
        if size != expected.bytes:  # a file of any size, which is not read
            continue
        content = read_regular(at / name, expected.bytes, todo=todo)
        if _entry(content) == expected:
            return content
    assert expected is not None, "a file without an entry was returned above"
    differs = "SHA-256" if size == expected.bytes else f"size of {expected.bytes:,} bytes"
    raise DataError(
        f"{folder / name} is damaged",
        why=f"{name}: it does not have the {differs} recorded in {MANIFEST}",
        todo=todo or _AGAIN,
    )


def is_expected(folder: Path, name: str) -> bool:
    """Return True if a file exists, or should exist."""
    at = resolve_folder(folder)
    if (at / name).is_symlink() or (at / name).exists():
        return True
    manifest = read_manifest(at)
    return manifest is not None and name in manifest.files


def _entry(content: bytes) -> ManifestEntry:
    return ManifestEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _write(folder: Path, manifest: Manifest) -> None:
    atomic_write_text(folder / MANIFEST, manifest.text())
