"""Implement `svipctl data import`, an alias of `svipctl data status --info`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from svipctl.cli._command import Overrides, argument, command, option, sink
from svipctl.errors import CheckFailed, ConfigError
from svipctl.quoting import shell_command
from svipctl.settings import flags


@command(flags.DATA_DIR, layers=False)
def import_(
    file: Path = argument("Info file x-<CUB|AWA2|SUN>-data-image.pth of the published code."),
    *,
    overrides: Overrides,
    dataset: Literal["cub", "awa2", "sun"] | None = option(None, "Data set of the file. (default: from its name)"),
) -> None:
    """Check a published info file.

    The file, an image list of the published code, is compared with the proposed split, as by `data status --info`.

    Nothing in the file is executed, and nothing is written. Exit code 1 if the file differs from the proposed split.

    Examples:
        svipctl data import x-CUB-data-image.pth
        svipctl data import info.pth --dataset sun

    """
    name = dataset or dataset_of(file)
    sink.document(check_info(file, name, overrides.workspace().data_dir))


def dataset_of(info: Path) -> str:
    """Return the data set in the name of an info file.

    Raises:
        ConfigError: There is none.

    """
    named = re.search(r"(cub|awa2|sun)", info.name.lower())
    if named is None:
        raise ConfigError(
            f"the file name {info.name} does not contain the data set",
            why="pass --dataset cub, awa2 or sun",
            todo=shell_command("data", "import", info, "--dataset", "cub"),
        )
    return named.group(1)


def check_info(info: Path, dataset: str, data_dir: Path) -> dict[str, Any]:
    """Compare an info file with the proposed split, print the result, and return its JSON document.

    Raises:
        CheckFailed: The file is not the proposed split; lists each difference.
        DataError: The file or the data set cannot be read.

    """
    from svipctl.datasets.import_info import differences, read_info_file
    from svipctl.datasets.official import open_official

    found = read_info_file(info, dataset)
    benchmark = open_official(dataset, data_dir, allow_partial=True)
    images = sum(len(labels) for labels in found.labels.values())
    sink.warn_each(benchmark.warnings)
    different = differences(found, benchmark)
    document = {
        "dataset": dataset,
        "file": str(info),
        "images": images,
        "missing_images": len(benchmark.missing),
        "differences": different,
    }
    if different:
        what = f"{info.name} differs from the proposed split of {dataset}"
        raise CheckFailed(what, why="\n".join(different), document=document)
    sink.say(f"{info.name} is the proposed split of {dataset}: {images:,} images of {len(found.classes)} classes")
    return document
