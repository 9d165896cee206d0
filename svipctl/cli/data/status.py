"""`svipctl data status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from svipctl.cli import _completion
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli.data._info import check_info, dataset_of
from svipctl.errors import CheckFailed, ConfigError, DataError, nearest
from svipctl.quoting import shell_command
from svipctl.settings import flags


@command(flags.DATA_DIR, layers=False)
def status(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            help="cub, awa2, sun. (default: all; then an absent one is no error)",
            show_default=False,
            autocompletion=_completion.official,
        ),
    ] = None,
    *,
    overrides: Overrides,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also check each file's size and decode each image.")
    ] = False,
    info: Annotated[
        Path | None,
        typer.Option("--info", help="Compare an info file of the published code with the data set's proposed split."),
    ] = None,
) -> None:
    """Show the state and source of each data set.

    A data set that cannot be used comes with the command that fixes it, and makes the exit code 3.

    With --info the exit code is 1 if the file is not the proposed split; missing images are a warning then. Nothing in
    the file is executed.

    Examples:
        svipctl data status
        svipctl data status cub --verify
        svipctl data status cub --info x-CUB-data-image.pth

    """
    settings = overrides.workspace()

    from svipctl.datasets.fetch.status import status_of
    from svipctl.datasets.names import OFFICIAL

    if info is not None:
        if datasets and len(datasets) > 1:
            raise ConfigError(
                "--info needs the one data set of the file",
                todo=shell_command("data", "status", datasets[0], "--info", info),
            )
        datasets = [dataset_of(info, datasets[0] if datasets else None)]
    for name in datasets or ():
        if name not in OFFICIAL:
            raise ConfigError(f"{name!r} is not a benchmark that is downloaded", why=nearest(name, OFFICIAL))
    found = [status_of(name, settings.data_dir, verify=verify) for name in datasets or OFFICIAL]
    rows = []
    for one in found:
        images = "" if one.images_in_all is None else f"{one.images:,} of {one.images_in_all:,}"
        vectors = "yes" if one.word_vectors else "no"
        rows.append([one.name, one.state, images, vectors, str(one.packs), one.todo])
        by_hand = one.state != "absent" and not any(asset.source for asset in one.assets)
        for asset in one.assets:
            state = "by hand" if by_hand and asset.state == "absent" else asset.state
            rows.append([f"  {asset.name}", state, "", "", "", asset.source])
    columns = ["data set", "state", "images", "word vectors", "packs", "next, or where from"]
    sink.table(f"data sets in {settings.data_dir}", columns, rows)
    document: dict[str, Any] = {"data_dir": str(settings.data_dir), "datasets": [one.document() for one in found]}
    if info is not None:
        try:
            document["info"] = check_info(info, found[0].name, settings.data_dir)
        except CheckFailed as error:
            error.document = document | {"info": error.document}
            raise
    usable = ("complete",) if info is None else ("complete", "partial")
    bad = [one for one in found if one.state not in usable and (datasets or one.state != "absent")]
    if bad:
        raise DataError(
            f"{', '.join(one.name for one in bad)} cannot be used as it is",
            why="\n".join(f"{one.name}: {one.problem or one.state}" for one in bad),
            todo="\n        ".join(one.todo for one in bad),
            document=document,
        )
    sink.document(document)
