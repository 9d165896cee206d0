"""Decode every image of a data set once, to find those that do not decode and count EXIF orientations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.images import decode, stored_orientation
from svipctl.errors import DataError
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class ImageCheck:
    """Result of decoding all images."""

    undecodable: tuple[str, ...]
    """`file: reason` of each image that does not decode."""
    oriented: int
    """Number of images that are not stored upright."""


def check_images(root: Path, files: Sequence[str], progress: ProgressCallback | None = None) -> ImageCheck:
    """Decode all images and return the problems.

    Args:
        root: Folder that the files are relative to.
        files: The images.
        progress: Called with images done and images in total.

    """
    undecodable, oriented = [], 0
    for done, file in enumerate(files, 1):
        try:
            decode(root / file)
            oriented += stored_orientation(root / file) != 1
        except DataError as error:
            undecodable.append(f"{file}: {error.why or error.what}")
        if progress:
            progress(done, len(files))
    return ImageCheck(tuple(undecodable), oriented)
