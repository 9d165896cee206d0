"""Implement `svipctl runs`."""

from __future__ import annotations

from typing import Literal

from svipctl.cli._command import Csv, OptionalDataset, Overrides, command, option, sink
from svipctl.errors import ConfigError, DataError
from svipctl.quoting import shell_command
from svipctl.settings import flags


@command(flags.RUNS_DIR, layers=False)
def runs(
    dataset: OptionalDataset = None,
    *,
    overrides: Overrides,
    sort: Literal["age", "name", "T1", "H", "H_oracle", "AUSUC"] = option(
        "age", "Order: oldest first, by name, or best first."
    ),
    csv: Csv = False,
) -> None:
    """List runs with their settings and results.

    H uses the gamma chosen on validation images; H* is the best over all gammas, an upper bound. Results come from
    svipctl eval; runs not yet evaluated show the results measured during training. Finished runs that differ only
    in their seed are followed by mean and standard deviation.

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

    found = []
    for run in list_runs(folder, dataset or None):
        try:
            found.append(overview(run))
        except DataError as error:
            sink.warn(error.what)
    if not found and dataset:
        check_dataset(dataset)
    groups = seed_groups(found)  # oldest first: of each seed the newest run counts
    if sort == "name":
        found.sort(key=lambda one: str(one.run.folder))
    elif sort in FIGURES:
        found.sort(key=lambda one: -one.figures.get(sort, -1.0))
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
