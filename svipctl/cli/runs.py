"""`svipctl runs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.errors import ConfigError, DataError
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.runs.overview import Overview, SeedGroup

_FIGURES = {"T1": "T1", "H": "H", "H_oracle": "H*", "AUSUC": "AUSUC"}


@command(flags.RUNS_DIR, layers=False)
def runs(
    dataset: _options.OptionalDataset = None,
    *,
    overrides: Overrides,
    sort: Annotated[
        Literal["age", "name", "T1", "H", "H_oracle", "AUSUC"],
        typer.Option("--sort", help="Order of the runs: the oldest first, by name, or the best first."),
    ] = "age",
    csv: _options.Csv = False,
) -> None:
    """List runs with their settings and figures.

    H is calibrated on validation images; H* is the best over all gammas, an upper bound. Figures are those of svipctl
    eval, or else of the split that was watched in training. Runs that differ in their seed only are followed by mean
    and standard deviation.

    Examples:
        svipctl runs
        svipctl runs toybirds --sort T1

    """
    if sink.json and csv:
        raise ConfigError("--json and --csv are two forms of the same output", todo="choose one")
    folder = overrides.workspace().runs_dir

    from svipctl.datasets.names import check_dataset
    from svipctl.runs.lookup import list_runs
    from svipctl.runs.overview import FIGURES, overview, seed_groups

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
    documents = [one.document() for one in found]
    if csv:
        from svipctl.runs.records import as_table

        joined = [{**one, "different": _pairs(found[row])} for row, one in enumerate(documents)]
        sink.data(as_table(joined).rstrip("\n"))
        return
    if found:
        _show(found, groups)
    else:
        sink.note(f"there are no runs in {folder}; train one: svipctl train {dataset or 'toybirds'}")
    means = [group.document() for group in groups]
    sink.document({"runs_dir": str(folder), "runs": documents, "means": means})


def _show(found: list[Overview], groups: list[SeedGroup]) -> None:
    """Print the table; a column in which all runs agree goes into its title."""
    columns: dict[str, list[str]] = {
        "data set": [one.run.folder.parent.name for one in found],
        "recipe": [one.settings.recipe for one in found],
        "backbone": [one.settings.model.backbone for one in found],
        "split": [one.split for one in found],
    }
    common = [f"{name} {values[0]}" for name, values in columns.items() if len(set(values)) == 1 and values[0]]
    columns = {"run": [one.run.name for one in found]} | {n: v for n, v in columns.items() if len(set(v)) > 1}
    columns["different"] = [_pairs(one) for one in found]
    columns["epochs"] = [f"{one.epochs}/{one.settings.train.epochs}" for one in found]
    for name, head in _FIGURES.items():
        columns[head] = [f"{one.figures[name]:.1f}" if name in one.figures else "" for one in found]
    columns["state"] = [one.state for one in found]
    for group in groups:
        for head in columns:
            figure = next((name for name, shown in _FIGURES.items() if shown == head), None)
            mean = group.mean(figure) if figure else None
            columns[head].append("" if mean is None else "{:.1f} ±{:.1f}".format(*mean))
        columns["run"][-1] = f"mean of {', '.join(one.run.name for one in group.runs)}"
    columns = {head: cells for head, cells in columns.items() if any(cells)}
    title = ", ".join([f"{len(found)} runs", *common])
    sink.table(title, list(columns), [list(row) for row in zip(*columns.values())])


def _pairs(one: Overview) -> str:
    return ", ".join(f"{key}={value}" for key, value in one.different.items())
