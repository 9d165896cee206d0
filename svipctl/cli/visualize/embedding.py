"""Implement `svipctl visualize embedding`."""

from __future__ import annotations

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._figure import evaluate, open_run_dataset, plan_figure, show_plan
from svipctl.cli.visualize._options import Class, FigureOptions
from svipctl.errors import ConfigError, nearest
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True, reads="EVALUATION")
def embedding(
    dataset: _options.Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    classes: Class = None,
    dry_run: bool,
) -> None:
    """Plot the predicted attributes on a plane.

    Each image is coloured by its class; the attributes of the classes are shown too.

    The plane is that of the first two principal components. Up to 24 classes are coloured: all, or else the unseen
    ones, or those of --class.

    Examples:
        svipctl visualize embedding toybirds
        svipctl visualize embedding awa2 --theme dark -o plane.svg

    """
    figure = plan_figure("embedding", dataset, options, overrides)
    run, settings, file = figure.run, figure.settings, figure.file
    benchmark = open_run_dataset(run, settings, file)
    split = benchmark.split(run.settings().train.fold)
    names = [benchmark.classes[label] for label in split.classes]
    for name in classes or ():
        if name not in names:
            raise ConfigError(f"{benchmark.name} has no class {name!r}", why=nearest(name, names))
    if dry_run:
        show_plan(run, file, "embedding", settings)
        return

    from svipctl.visuals.embedding import attribute_plane, evaluation_embedding

    measured = evaluate(run, benchmark, settings)
    plane = attribute_plane(measured.predictions.attributes)
    title = f"{benchmark.name} · {run.name}"
    figure.draw(lambda: evaluation_embedding(measured, benchmark, plane, classes or (), title))
    figure.show(
        f"{file}: {len(plane.points)} images",
        benchmark.name,
        images=len(plane.points),
        explained=[100 * share for share in plane.explained],
    )
