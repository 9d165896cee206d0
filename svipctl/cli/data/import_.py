"""`svipctl data import`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import CheckFailed, ConfigError
from svipctl.settings import flags


@command(flags.DATA_DIR, layers=False)
def import_(
    file: Annotated[Path, typer.Argument(help="x-<CUB|AWA2|SUN>-data-image.pth of the published code.")],
    *,
    overrides: Overrides,
    dataset: Annotated[
        Literal["cub", "awa2", "sun"] | None, typer.Option("--dataset", help="Its data set. (default: from its name)")
    ] = None,
) -> None:
    """Read an info file of the published code, put its paths on your data folder, and report each difference.

    Nothing in the file is executed, and nothing is written: training reads the official files. Exit code 1 when the
    file is not the proposed split.

    Examples:
        svipctl data import x-CUB-data-image.pth
        svipctl data import info.pth --dataset sun

    """
    named = re.search(r"(cub|awa2|sun)", file.name.lower())
    name = dataset or (named.group(1) if named else None)
    if name is None:
        raise ConfigError(f"{file.name} does not say whose it is", todo="--dataset cub, awa2 or sun")

    settings = overrides.workspace()

    from svipctl.datasets.import_info import differences, read_info_file
    from svipctl.datasets.official import open_official, partial_warning

    info = read_info_file(file, name)
    benchmark = open_official(name, settings.data_dir, allow_partial=True)
    found = differences(info, benchmark)
    images = sum(len(labels) for labels in info.labels.values())
    if benchmark.missing:
        sink.warn(partial_warning(benchmark))
    document = {
        "dataset": name,
        "file": str(file),
        "images": images,
        "missing_images": len(benchmark.missing),
        "differences": found,
    }
    if found:
        raise CheckFailed(f"{file.name} is not the proposed split of {name}", why="\n".join(found), document=document)
    sink.say(f"{file.name} is the proposed split of {name}: {images:,} images of {len(info.classes)} classes")
    sink.document(document)
