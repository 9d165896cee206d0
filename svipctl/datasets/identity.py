"""Check if a run belongs to a data folder: two folders of one name share a folder of runs.

It has no heavy imports: runs are found before anything of them is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from svipctl.datasets.names import NAMED
from svipctl.errors import SvipError
from svipctl.files import file_sha256

FOLDER, TABLE = "data_folder", "attributes_sha256"


def identity_of(dataset: str) -> dict[str, str]:
    """Return the identity of a data folder: its path, and the SHA-256 of its attributes.csv; empty for a benchmark."""
    if dataset in NAMED:
        return {}
    return {FOLDER: str(Path(dataset).resolve()), TABLE: _sha256(Path(dataset) / "attributes.csv")}


def is_same(noted: Mapping[str, Any], dataset: str) -> bool:
    """Return True if a data set is the recorded one: the same folder, one with the same table, or one that was moved.

    A run without a record counts as the same; a run of another table is refused when it is used.
    """
    if dataset in NAMED or FOLDER not in noted:
        return True
    before = Path(str(noted[FOLDER]))
    if not before.is_dir():
        return True
    try:
        same = before.samefile(dataset)
    except OSError:
        same = False
    return same or noted.get(TABLE) == _sha256(Path(dataset) / "attributes.csv") != ""


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except SvipError:
        return ""
