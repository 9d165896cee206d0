"""Check an info file of the published code, for `data status --info` and `data import`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from svipctl.cli._output import sink
from svipctl.errors import CheckFailed, ConfigError
from svipctl.quoting import shell_command


def dataset_of(info: Path, dataset: str | None) -> str:
    """Return the data set of an info file: the one given, else the one in the file's name.

    Raises:
        ConfigError: The data set is not given and not in the name.

    """
    if dataset is not None:
        return dataset
    named = re.search(r"(cub|awa2|sun)", info.name.lower())
    if named is None:
        raise ConfigError(
            f"{info.name} does not have the name of its data set",
            todo=shell_command("data", "status", "cub", "--info", info),
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
    for warning in benchmark.warnings:
        sink.warn(warning)
    different = differences(found, benchmark)
    document = {
        "dataset": dataset,
        "file": str(info),
        "images": images,
        "missing_images": len(benchmark.missing),
        "differences": different,
    }
    if different:
        what = f"{info.name} is not the proposed split of {dataset}"
        raise CheckFailed(what, why="\n".join(different), document=document)
    sink.say(f"{info.name} is the proposed split of {dataset}: {images:,} images of {len(found.classes)} classes")
    return document
