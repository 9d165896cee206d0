"""`svipctl visualize embedding`."""

from __future__ import annotations

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import select_run
from svipctl.cli.visualize._evaluation import evaluate, open_run_dataset, show_plan
from svipctl.cli.visualize._images import output_file
from svipctl.cli.visualize._options import Class, FigureOptions
from svipctl.errors import ConfigError, nearest
from svipctl.settings import flags


@command(*flags.EVALUATION, dry_run=True)
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
    found, settings = select_run(dataset, options.run, overrides)
    file = output_file(options.output, found, "embedding")
    benchmark = open_run_dataset(found, settings)
    split = benchmark.split(found.settings().train.fold)
    names = [benchmark.classes[label] for label in split.classes]
    for name in classes or ():
        if name not in names:
            raise ConfigError(f"{benchmark.name} has no class {name!r}", why=nearest(name, names))
    if dry_run:
        show_plan(found, file, "embedding", settings)
        return

    import numpy as np

    from svipctl.visuals.embedding import attribute_plane, embedding_figure
    from svipctl.visuals.style import save, themed

    measured = evaluate(found, benchmark, settings)
    plane = attribute_plane(measured.predictions.attributes)
    with themed(options.theme.value):
        figure = embedding_figure(
            plane,
            measured.results.answers.labels,
            np.isin(split.classes, split.seen_classes),
            names,
            benchmark.class_attributes[split.classes],
            coloured=[names.index(name) for name in classes or ()],
            title=f"{benchmark.name} · {found.name}",
        )
        save(figure, file)
    sink.say(f"{file}: {len(plane.points)} images")
    sink.document(
        {
            "dataset": benchmark.name,
            "run": str(found.folder),
            "figure": "embedding",
            "theme": options.theme.value,
            "images": len(plane.points),
            "explained": [100 * share for share in plane.explained],
            "files": [str(file)],
        }
    )
