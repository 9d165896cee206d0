"""Implement `svipctl visualize embedding`."""

from __future__ import annotations

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option
from svipctl.cli.visualize._figure import FigureOptions, evaluate, open_run_dataset, plan_figure
from svipctl.settings import effects, flags


@command(*flags.EVALUATION, reads=effects.EVALUATION)
def embedding(
    dataset: Dataset,
    *,
    options: FigureOptions,
    overrides: Overrides,
    classes: list[str] | None = option(
        None, "Class to colour. Repeatable.", "--class", metavar="NAME", autocompletion=_completion.classes
    ),
    dry_run: bool,
) -> None:
    """Plot the predicted attributes on a plane.

    Each image is coloured by its class; the attributes of the classes are shown too.

    The plane is that of the first two principal components. At most 24 classes are coloured, the others are grey.
    Choose the coloured classes with --class; by default they are all classes, or the first unseen ones if there are
    more than 24.

    Examples:
        svipctl visualize embedding toybirds
        svipctl visualize embedding awa2 --theme dark -o plane.svg

    """
    from svipctl.visuals.image_choice import number_of

    figure = plan_figure("embedding", dataset, options, overrides)
    run = figure.run
    benchmark = open_run_dataset(figure.settings, figure.file)
    split = benchmark.split(run.settings().train.fold)
    names = benchmark.names_of(split.classes)
    for name in classes or ():
        number_of(f"{benchmark.name} has no class", name, names)
    if dry_run:
        figure.show_plan()
        return

    from svipctl.visuals.embedding import attribute_plane, embedding_figure

    measured = evaluate(run, benchmark, figure.settings)
    plane = attribute_plane(measured.predictions.attributes)
    title = f"{benchmark.name} · {run.name}"
    figure.draw(lambda: embedding_figure(measured, benchmark, plane, classes or (), title))
    figure.show(
        f"{figure.file}: {len(plane.points)} images",
        benchmark.name,
        images=len(plane.points),
        explained=[100 * share for share in plane.explained],
    )
