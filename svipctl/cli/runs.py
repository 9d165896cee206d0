"""Implement `svipctl runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import ConfigError, DataError
from svipctl.quoting import shell_command
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.runs.overview import Overview


@command(flags.RUNS_DIR, layers=False)
def runs(
    dataset: _options.OptionalDataset = None,
    *,
    overrides: Overrides,
    sort: Annotated[
        Literal["age", "name", "T1", "H", "H_oracle", "AUSUC"],
        typer.Option("--sort", help="Order: oldest first, by name, or best first."),
    ] = "age",
    csv: _options.Csv = False,
) -> None:
    """List runs with their settings and results.

    H is calibrated on validation images; H* is the best over all gammas, an upper bound. Results are those of svipctl
    eval, or else of the split that was monitored in training. Runs that differ only in their seed are followed by mean
    and standard deviation.

    Examples:
        svipctl runs
        svipctl runs toybirds --sort T1

    """
    if sink.json and csv:
        raise ConfigError("--json and --csv cannot be combined", todo="choose one")
    folder = overrides.workspace().runs_dir

    from svipctl.datasets.names import check_dataset
    from svipctl.runs.lookup import list_runs
    from svipctl.runs.overview import FIGURES, overview, overview_table, seed_groups

    names = [dataset] if dataset else sorted(path.name for path in folder.glob("*") if path.is_dir())
    found: list[Overview] = []
    for run in [run for name in names for run in list_runs(folder, name)]:
        try:
            found.append(overview(run))
        except DataError as error:
            sink.warn(error.what)
    if not found and dataset:
        check_dataset(dataset)
    if sort == "name":
        found.sort(key=lambda one: str(one.run.folder))
    elif sort in FIGURES:
        found.sort(key=lambda one: -one.figures.get(sort, -1.0))
    groups = seed_groups(found)
    if csv:
        from svipctl.runs.records import as_table

        joined = [{**one.document(), "different": one.differences} for one in found]
        sink.data(as_table(joined).rstrip("\n"))
        return
    if found:
        sink.table(*overview_table(found, groups))
    else:
        sink.note(f"there are no runs in {folder}; train one: {shell_command('train', dataset or 'toybirds')}")
    means = [group.document() for group in groups]
    sink.document({"runs_dir": str(folder), "runs": [one.document() for one in found], "means": means})
