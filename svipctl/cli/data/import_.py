"""Implement `svipctl data import`, an alias of `svipctl data status --info`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli.data._info import check_info, dataset_of
from svipctl.settings import flags


@command(flags.DATA_DIR, layers=False)
def import_(
    file: Annotated[Path, typer.Argument(help="Info file x-<CUB|AWA2|SUN>-data-image.pth of the published code.")],
    *,
    overrides: Overrides,
    dataset: Annotated[
        Literal["cub", "awa2", "sun"] | None,
        typer.Option("--dataset", help="Data set of the file. (default: from its name)"),
    ] = None,
) -> None:
    """Check an info file of the published code.

    The file is compared with the proposed split, as by `data status --info`.

    Nothing in the file is executed, and nothing is written. Exit code 1 if the file is not the proposed split.

    Examples:
        svipctl data import x-CUB-data-image.pth
        svipctl data import info.pth --dataset sun

    """
    name = dataset_of(file, dataset)
    sink.document(check_info(file, name, overrides.workspace().data_dir))
