"""Report the status of a data folder: problems, ignored files, and images that do not decode."""

from __future__ import annotations

from pathlib import Path

from svipctl.datasets.fetch.status import DatasetStatus
from svipctl.datasets.folder import open_folder
from svipctl.datasets.image_files import entries
from svipctl.datasets.names import BUILT_IN, own_folder
from svipctl.datasets.registry import pictures_to_draw, word_vectors_file
from svipctl.errors import SvipError
from svipctl.quoting import shell_command
from svipctl.types import ProgressCallback


def status_of_own(
    name: str, data_dir: Path, *, verify: bool = False, progress: ProgressCallback | None = None
) -> DatasetStatus:
    """Return the status of a data folder or of a built-in data set; problems are reported in it, not raised.

    Args:
        name: `toybirds`, or the path of a data folder.
        data_dir: Folder of the named data sets.
        verify: Also decode every image and mask.
        progress: Called with images decoded and images in total.

    Raises:
        ConfigError: The folder does not exist.

    """
    if to_draw := pictures_to_draw(name, data_dir):
        return DatasetStatus(
            name=name,
            state="absent",
            problem=f"{to_draw:,} images are drawn on first use",
            todo=shell_command("w2v", "build", name),
            images_in_all=to_draw,
        )
    root = data_dir / name if name in BUILT_IN else own_folder(name)
    problem, todo, warnings = "", "", tuple[str, ...]()
    images = [entry.path.relative_to(root).as_posix() for entry in entries(root / "images") if not entry.left_out]
    try:
        warnings = open_folder(root).warnings
    except SvipError as error:
        problem, todo = f"{error.what}\n{error.why}".strip(), error.todo
    undecodable, oriented = tuple[str, ...](), None
    if verify:
        from svipctl.datasets.image_check import check_images

        masks = [entry.path.relative_to(root).as_posix() for entry in entries(root / "masks") if not entry.left_out]
        found = check_images(root, [*images, *masks], progress)
        undecodable, oriented = found.undecodable, found.oriented
    if undecodable and not problem:
        problem = f"{len(undecodable):,} images do not decode, for instance {undecodable[0]}"
        todo = "replace these images, or remove them from the data set"
    return DatasetStatus(
        name=name,
        state="damaged" if problem else "complete",
        problem=problem,
        todo=todo,
        images=len(images),
        images_in_all=len(images),
        word_vectors=word_vectors_file(name, data_dir).exists(),
        packs=len(list(root.glob("packed/[!.]*/index.json"))),
        undecodable=undecodable,
        oriented=oriented,
        warnings=warnings,
    )
