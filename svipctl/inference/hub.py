"""Load checkpoints from the Hugging Face Hub: `hf://OWNER/NAME[@REVISION]` becomes a folder in the local cache."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # documented
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
)

from svipctl.errors import DataError, NetworkError, first_line
from svipctl.inference.checkpoint import METADATA
from svipctl.runs.manifest import MANIFEST, WEIGHTS
from svipctl.settings.layers import resolve_workspace

_ADDRESS = re.compile(r"hf:/+([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?")  # a Path collapses two slashes into one
_SNAPSHOT = re.compile(r".*models--([\w.-]+?)--([\w.-]+)/snapshots/([0-9a-f]+)")


def local_checkpoint(path: str | Path, *, offline: bool | None = None) -> Path:
    """Return the local folder of a checkpoint of the Hub, downloaded unless it is cached; other paths are unchanged.

    Only the files of a checkpoint are read; nothing of a repository is executed.

    Args:
        path: `hf://OWNER/NAME`, its newest commit, or `hf://OWNER/NAME@REVISION`, a branch, tag or commit; or any path.
        offline: Use the cache only; None means the setting `offline` of svipctl.toml or SVIPCTL_OFFLINE.

    Raises:
        DataError: The repository or revision does not exist, or contains no checkpoint of svipctl.
        NetworkError: The Hub cannot be reached, or `offline` forbids it, and the cache has no copy.

    """
    if not str(path).startswith("hf:/"):
        return Path(path)
    found = _ADDRESS.fullmatch(str(path))
    if found is None:
        raise DataError(f"{path} is not an address of the Hub", todo="use hf://OWNER/NAME or hf://OWNER/NAME@REVISION")
    if offline is None:
        offline = resolve_workspace(environment=os.environ).offline
    repository, revision = found.groups()
    try:
        with _without_bars():
            folder = snapshot_download(
                repository,
                revision=revision,
                allow_patterns=[WEIGHTS, METADATA, MANIFEST],
                local_files_only=offline,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
    except RevisionNotFoundError as error:
        raise DataError(
            f"the repository {repository} has no revision {revision}",
            why="a revision is a branch, a tag, or all 40 digits of a commit",
            todo="check the revision, or omit it for the newest commit",
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            f"the Hub has no repository {repository}",
            why="it does not exist, or it is private and you are not logged in",
            todo="check the address, or log in: hf auth login",
        ) from error
    except Exception as error:  # huggingface_hub and its HTTP client raise different exceptions
        raise NetworkError(
            f"{repository} is not in the cache and cannot be downloaded",
            why="downloads are disabled (--offline or SVIPCTL_OFFLINE=1)" if offline else first_line(error),
            todo="try again with a network connection",
        ) from error
    if not (Path(folder) / METADATA).is_file():
        raise DataError(f"{repository} contains no checkpoint of svipctl", why=f"it has no {METADATA}")
    return Path(folder)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Switch off the progress bars of huggingface_hub: the library prints nothing."""
    were_off = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_off:
            enable_progress_bars()


def address_of(folder: Path) -> str:
    """Return the address, with the commit, of a folder that `local_checkpoint` returned; empty for other folders."""
    found = _SNAPSHOT.fullmatch(folder.as_posix())
    return "hf://{}/{}@{}".format(*found.groups()) if found else ""
