"""Write and check the manifest of a run or a checkpoint: size and SHA-256 of each file that is written once.

Folders of release 0.1 have no manifest; their files are read unchecked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from svipctl.errors import DataError
from svipctl.files import atomic_write_text, file_sha256, read_regular, resolve_folder
from svipctl.runs.documents import Document, parse

MANIFEST = "manifest.json"


class ManifestEntry(Document):
    """Size and digest of one file."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Manifest(Document):
    """The files of a folder that are written once."""

    files: dict[str, ManifestEntry]


def write_manifest(folder: Path, contents: Mapping[str, bytes] | None = None) -> None:
    """Write the manifest of all files directly in a folder.

    Args:
        folder: A run or a checkpoint whose files are complete.
        contents: Name -> content of files that need not be read, and may be written afterwards.

    """
    known = contents or {}
    entries = {
        path.name: ManifestEntry(bytes=path.stat().st_size, sha256=file_sha256(path))
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name not in (MANIFEST, *known) and not path.name.startswith(".")
    }
    entries |= {name: _entry(content) for name, content in known.items()}
    _write(folder, Manifest(files=entries))


def add_to_manifest(folder: Path, name: str) -> None:
    """Add a file that was written later; a folder without a manifest gets none."""
    manifest = read_manifest(folder)
    if manifest is not None:
        entry = _entry(read_regular(folder / name))
        _write(folder, Manifest(files={**manifest.files, name: entry}))


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder, or None for a folder of release 0.1.

    Raises:
        DataError: The manifest is damaged.

    """
    path = folder / MANIFEST
    if not path.is_symlink() and not path.exists():
        return None
    return parse(Manifest, read_regular(path), path)


def read_checked(folder: Path, name: str, *, what: str = "file", todo: str = "") -> bytes:
    """Return the content of a file of a run or a checkpoint, and check that it is unchanged.

    Args:
        folder: The run or the checkpoint.
        name: Name of the file.
        what: Noun for the file in the error if it is missing.
        todo: Advice if the file is missing or damaged.

    Raises:
        DataError: The file is missing, not regular, not readable, or differs from the manifest.

    """
    for _ in range(2):  # a second time if the checkpoint was replaced in the meantime
        at = resolve_folder(folder)
        manifest = read_manifest(at)
        content = read_regular(at / name, what=what, todo=todo)
        expected = manifest.files.get(name) if manifest else None
        found = _entry(content) if expected else None
        if found == expected:
            return content
    assert expected is not None, "without an entry nothing is compared"
    differs = "SHA-256" if len(content) == expected.bytes else f"size of {expected.bytes:,} bytes"
    raise DataError(
        f"{folder / name} is damaged",
        why=f"{name}: it does not have the {differs} recorded in {MANIFEST}",
        todo=todo or "restore it from a copy, or train again",
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
    atomic_write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
