"""`svipctl visualize embedding`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import output_file
from svipctl.cli.visualize.measured import found_run, measured_run, opened_benchmark, tell_plan
from svipctl.errors import ConfigError, nearest


def embedding(
    dataset: options.Dataset,
    run: options.RunName = None,
    classes: flags.Class = None,
    theme: flags.ThemeName = flags.Theme.light,
    output: flags.Out = None,
    batch_size: options.BatchSize = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show the attributes predicted for each image on a plane, coloured by class, beside each class's own attributes.

    The plane is that of the first two principal components. Up to 24 classes are coloured: all, or else the unseen
    ones, or those of --class.

    Examples: `svipctl visualize embedding toybirds`, `svipctl visualize embedding awa2 --theme dark -o plane.svg`
    """
    found, settings = found_run(
        dataset,
        run,
        config=config,
        assignments=assignments,
        eval__batch_size=batch_size,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )
    file = output_file(output, found, "embedding")
    benchmark = opened_benchmark(found, settings)
    split = benchmark.split(found.settings().train.fold)
    names = [benchmark.classes[label] for label in split.classes]
    for name in classes or ():
        if name not in names:
            raise ConfigError(f"{benchmark.name} has no class {name!r}", why=nearest(name, names))
    if dry_run:
        tell_plan(found, file, "embedding", settings)
        return

    import numpy as np

    from svipctl.visuals.embedding import attribute_plane, embedding_figure
    from svipctl.visuals.style import save, themed

    measured = measured_run(found, benchmark, settings)
    plane = attribute_plane(measured.predictions.attributes)
    with themed(theme.value):
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
            "theme": theme.value,
            "images": len(plane.points),
            "explained": [100 * share for share in plane.explained],
            "files": [str(file)],
        }
    )
