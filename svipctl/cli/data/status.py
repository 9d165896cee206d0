"""`svipctl data status`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import _completion
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import ConfigError, DataError, nearest
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
) -> None:
    """Show the state and source of each data set, and the command that fixes it; exit code 3 if one is damaged.

    Examples:
        svipctl data status
        svipctl data status cub --verify

    """
    settings = overrides.workspace()

    from svipctl.datasets.fetch.status import status_of
    from svipctl.datasets.names import OFFICIAL

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
    bad = [one for one in found if one.state != "complete" and (datasets or one.state != "absent")]
    document = {"data_dir": str(settings.data_dir), "datasets": [one.document() for one in found]}
    if bad:
        raise DataError(
            f"{', '.join(one.name for one in bad)} cannot be used as it is",
            why="\n".join(f"{one.name}: {one.problem or one.state}" for one in bad),
            todo="\n        ".join(one.todo for one in bad),
            document=document,
        )
    sink.document(document)
