"""`svipctl visualize confusion`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import output_file
from svipctl.cli.visualize.measured import found_run, measured_run, opened_benchmark, tell_plan


def confusion(
    dataset: options.Dataset,
    run: options.RunName = None,
    top: Annotated[int, typer.Option("--top", min=1, max=20, help="Pairs of classes.")] = 8,
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
    """Show the classes that are taken for each other most often, with an image of the mistake and of the other class.

    Answers are those of gzsl-calibrated where the run has a gamma from validation, else of gzsl-oracle.

    Examples: `svipctl visualize confusion toybirds`, `svipctl visualize confusion cub --top 5 -o confused.png`
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
    file = output_file(output, found, "confusion")
    if dry_run:
        tell_plan(found, file, "confusion", settings)
        return

    import numpy as np

    from svipctl.datasets.images import decode
    from svipctl.evaluation.per_class import answers_under, reading_row
    from svipctl.evaluation.per_class import confusion as confusion_counts
    from svipctl.visuals.confusion import Picture, confused_pairs, confusion_figure
    from svipctl.visuals.style import save, themed

    benchmark = opened_benchmark(found, settings)
    measured = measured_run(found, benchmark, settings)
    names = measured.classes
    row = reading_row(measured.results)
    labels, answers = measured.results.answers.labels, answers_under(measured.results, row)
    counts = confusion_counts(labels, answers, len(names))
    pairs = confused_pairs(counts, labels, answers, top)

    def thumbnail(place: int) -> Picture:
        return np.asarray(decode(benchmark.image_path(int(measured.predictions.indices[place]))).resize((160, 160)))

    title = f"{benchmark.name} · {found.name}"
    if pairs:
        with themed(theme.value):
            save(confusion_figure(counts, pairs, names, thumbnail, row, title), file)
    sink.say(f"{file}: {len(pairs)} pairs" if pairs else "no image was answered wrongly: there is nothing to show")
    sink.document(
        {
            "dataset": benchmark.name,
            "run": str(found.folder),
            "figure": "confusion",
            "theme": theme.value,
            "protocol": row,
            "pairs": [
                {"true": names[pair.true], "answered": names[pair.answered], "mistakes": pair.mistakes}
                for pair in pairs
            ],
            "files": [str(file)] if pairs else [],
        }
    )
