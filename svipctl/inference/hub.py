"""Load checkpoints from the Hugging Face Hub: `hf://OWNER/NAME[@REVISION]` becomes a folder in the local cache."""

from __future__ import annotations

import os
import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from svipctl.errors import DataError, NetworkError
from svipctl.inference.checkpoint import METADATA, WEIGHTS
from svipctl.model.weights import first_line
from svipctl.settings.layers import resolve_workspace

_ADDRESS = re.compile(r"hf:/+([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?")  # a Path collapses two slashes into one
_SNAPSHOT = re.compile(r".*models--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]{8})[0-9a-f]*")


def is_address(path: object) -> bool:
    """Return True if a path is an address of the Hub."""
    return str(path).startswith("hf:/")


def local_checkpoint(path: str | Path, *, offline: bool | None = None) -> Path:
    """Return the local folder of a checkpoint of the Hub, downloaded unless it is cached; other paths are unchanged.

    Only `model.safetensors` and `metadata.json` are read; nothing of a repository is executed.

    Args:
        path: `hf://OWNER/NAME`, its newest commit, or `hf://OWNER/NAME@REVISION`, a branch, tag or commit; or any path.
        offline: Use the cache only; None means the setting `offline` of svipctl.toml or SVIPCTL_OFFLINE.

    Raises:
        DataError: The repository or revision does not exist, or contains no checkpoint of svipctl.
        NetworkError: The Hub cannot be reached, or `offline` forbids it, and the cache has no copy.

    """
    if not is_address(path):
        return Path(path)
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        raise DataError(f"{path} is not an address of the Hub", todo="use hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    if offline is None:
        offline = resolve_workspace(environment=os.environ).offline
    repository, revision = found.groups()
    try:
        folder = Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=[WEIGHTS, METADATA],
                local_files_only=offline,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise DataError(
            f"the Hub has no repository {repository}" + (f" with revision {revision}" if revision else ""),
            why="it does not exist, or it is private and you are not logged in",
            todo="check the address, or log in: hf auth login",
        ) from error
    except Exception as error:  # huggingface_hub and its HTTP client raise different exceptions
        raise NetworkError(
            f"{repository} is not in the cache and cannot be downloaded",
            why="downloads are disabled (--offline)" if offline else first_line(error),
            todo="try again with a network connection",
        ) from error
    if not (folder / METADATA).is_file():
        raise DataError(f"{repository} contains no checkpoint of svipctl", why=f"it has no {METADATA}")
    return folder


def address_of(folder: Path) -> str:
    """Return the address, with the commit, of a folder that `local_checkpoint` returned; empty for other folders."""
    found = _SNAPSHOT.fullmatch(folder.as_posix())
    return "hf://{}/{}@{}".format(*found.groups()) if found else ""
