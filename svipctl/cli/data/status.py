"""Implement `svipctl data status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svipctl.cli import _completion
from svipctl.cli._command import Overrides, argument, command, option, sink
from svipctl.cli.data.import_ import check_info, dataset_of
from svipctl.datasets.names import BUILT_IN, NAMED, OFFICIAL, check_dataset
from svipctl.errors import CheckFailed, ConfigError, DataError, nearest
from svipctl.quoting import shell_command
from svipctl.settings import flags


@command(flags.DATA_DIR, layers=False)
def status(
    datasets: list[str] | None = argument(
        "cub, awa2, sun, toybirds, or a folder of your own. (default: cub, awa2 and sun; an absent one is an error only if it is named)",
        None,
        autocompletion=_completion.datasets,
    ),
    *,
    overrides: Overrides,
    verify: bool = option(False, "Check each file's size and decode each image."),
    info: Path | None = option(None, "Compare an info file of the published code with the proposed split."),
) -> None:
    """Show the state of each data set.

    For a data set that cannot be used, the command that fixes it is shown, and the exit code is 3.

    With --verify, images that do not decode are listed, and those with an EXIF orientation are counted.

    With --info, the exit code is 1 if the file differs from the proposed split; missing images are only a warning.
    Nothing in the file is executed.

    Examples:
        svipctl data status
        svipctl data status cub --verify
        svipctl data status toybirds --verify
        svipctl data status cub --info x-CUB-data-image.pth

    """
    settings = overrides.workspace()

    for name in datasets or ():
        check_dataset(name)

    from svipctl.datasets.status import status_of

    if info is not None:
        if datasets and len(datasets) > 1:
            raise ConfigError(
                "--info needs one data set, the one that the file describes",
                todo=shell_command("data", "status", datasets[0], "--info", info),
            )
        datasets = datasets or [dataset_of(info)]
    found = []
    for name in datasets or OFFICIAL:
        if info is not None and name not in OFFICIAL:
            raise ConfigError(f"--info is for cub, awa2 and sun, not for {name!r}", why=nearest(name, OFFICIAL))
        with sink.progress(f"decoding {name}") as progress:
            found.append(status_of(name, settings.data_dir, verify=verify, progress=progress))
    columns = ["data set", "state", "images", "word vectors", "packs", "source or next command"]
    own = datasets and not set(datasets).intersection(NAMED)
    sink.table(
        "data sets" if own else f"data sets in {settings.data_dir}",
        columns,
        [row for one in found for row in one.rows()],
    )
    for one in found:
        if one.summary:
            sink.say(f"{one.name}: {one.summary}")
        sink.warn_each(one.warnings)
        if one.oriented is not None and not one.undecodable:
            sink.say(f"{one.name}: every image decodes")
        for line in one.undecodable:
            sink.say(f"does not decode: {line}")
        if one.oriented:
            how = "read without rotation, as published" if one.assets else "turned upright"
            count = f"{one.oriented:,} of {one.images:,} images"
            sink.say(f"{one.name}: {count} have an EXIF orientation; they are {how}")
    document: dict[str, Any] = {"data_dir": str(settings.data_dir), "datasets": [one.document() for one in found]}
    if info is not None:
        try:
            document["info"] = check_info(info, found[0].name, settings.data_dir)
        except CheckFailed as error:
            error.document = document | {"info": error.document}
            raise
    usable = ("complete",) if info is None else ("complete", "partial")
    # Absent data sets may be, unless they were named and are not generated on first use.
    bad = [
        one
        for one in found
        if one.state not in usable and (one.state != "absent" or (datasets and one.name not in BUILT_IN))
    ]
    if bad:
        raise DataError(
            f"{', '.join(one.name for one in bad)} cannot be used",
            why="\n".join(f"{one.name}: {one.problem or one.state}" for one in bad),
            todo="\n        ".join(one.todo for one in bad),
            document=document,
        )
    sink.document(document)
