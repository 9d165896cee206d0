"""Implement `svipctl data status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import _completion
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli.data._info import check_info, dataset_of
from svipctl.datasets.names import OFFICIAL, check_dataset
from svipctl.errors import CheckFailed, ConfigError, DataError, nearest
from svipctl.quoting import shell_command
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.datasets.fetch.status import DatasetStatus


@command(flags.DATA_DIR, layers=False)
def status(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            help="cub, awa2, sun, toybirds, or a folder of your own. (default: cub, awa2 and sun, which may be absent)",
            show_default=False,
            autocompletion=_completion.datasets,
        ),
    ] = None,
    *,
    overrides: Overrides,
    verify: Annotated[bool, typer.Option("--verify", help="Check each file's size and decode each image.")] = False,
    info: Annotated[
        Path | None,
        typer.Option("--info", help="Compare an info file of the published code with the proposed split."),
    ] = None,
) -> None:
    """Show the state and source of each data set.

    For a data set that cannot be used, the command that fixes it is shown, and the exit code is 3.

    With --verify, images that do not decode are listed, and those with an EXIF orientation are counted.

    With --info, the exit code is 1 if the file is not the proposed split; missing images are a warning then. Nothing in
    the file is executed.

    Examples:
        svipctl data status
        svipctl data status cub --verify
        svipctl data status toybirds --verify
        svipctl data status cub --info x-CUB-data-image.pth

    """
    settings = overrides.workspace()

    for name in datasets or ():
        check_dataset(name)

    from svipctl.datasets.fetch.status import status_of
    from svipctl.datasets.own_status import status_of_own

    if info is not None:
        if datasets and len(datasets) > 1:
            raise ConfigError(
                "--info needs exactly one data set, that of the file",
                todo=shell_command("data", "status", datasets[0], "--info", info),
            )
        datasets = [dataset_of(info, datasets[0] if datasets else None)]
    found = []
    for name in datasets or OFFICIAL:
        if info is not None and name not in OFFICIAL:
            raise ConfigError(f"{name!r} is not a benchmark that is downloaded", why=nearest(name, OFFICIAL))
        read = status_of if name in OFFICIAL else status_of_own
        with sink.progress(f"decoding {name}") as progress:
            found.append(read(name, settings.data_dir, verify=verify, progress=progress))
    columns = ["data set", "state", "images", "word vectors", "packs", "source or next command"]
    sink.table(f"data sets in {settings.data_dir}", columns, [row for one in found for row in one.rows()])
    for one in found:
        _show_images(one)
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
            f"{', '.join(one.name for one in bad)} cannot be used",
            why="\n".join(f"{one.name}: {one.problem or one.state}" for one in bad),
            todo="\n        ".join(one.todo for one in bad),
            document=document,
        )
    sink.document(document)


def _show_images(found: DatasetStatus) -> None:
    """Print the results of decoding all images, and the warnings of a data folder."""
    for warning in found.warnings:
        sink.warn(warning)
    for line in found.undecodable:
        sink.say(f"does not decode: {line}")
    if found.oriented:
        how = "read without rotation, as published" if found.assets else "turned upright"
        sink.say(
            f"{found.name}: {found.oriented:,} of {found.images:,} images have an EXIF orientation; they are {how}"
        )
