"""`svipctl eval`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError

if TYPE_CHECKING:
    from svipctl.evaluation.protocols import Evaluation
    from svipctl.ranks import Ranks
    from svipctl.settings.layers import Resolved

_ABOUT = {
    "zsl": "unseen among unseen",
    "gzsl": "all classes, no calibration",
    "gzsl-calibrated": "gamma from validation",
    "gzsl-oracle": "gamma from test: an upper bound",
    "reference": "as published: offset from test, per image",
    "ausuc": "area under the seen-unseen curve",
}


def eval_(
    dataset: Annotated[
        str | None,
        typer.Argument(help="cub, awa2, sun, toybirds, or a folder of your own.", autocompletion=complete.datasets),
    ] = None,
    run: options.RunName = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Score a .npz of anybody's predictions instead of a run.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", help="Evaluate a .pth of the published code, or a checkpoint folder, instead of a run."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="Of a published --checkpoint. (default: reference)",
            rich_help_panel=options.SETTINGS,
            autocompletion=complete.recipes,
        ),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="Of a published --checkpoint. (default: the preset's)")
    ] = None,
    gzsl: Annotated[bool, typer.Option("--gzsl", help="Show the generalised rows only.")] = False,
    zsl: Annotated[bool, typer.Option("--zsl", help="Show the zero-shot row only.")] = False,
    batch_size: options.BatchSize = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Evaluate a run (or a predictions file) under every protocol, from one pass over the images.

    Examples: `svipctl eval toybirds`, `svipctl eval toybirds --gzsl`, `svipctl eval --predictions mine.npz --json`,
    `svipctl eval cub --checkpoint published.pth`
    """
    if (dataset is None) == (predictions is None):
        raise ConfigError("name either a data set or --predictions FILE", todo="svipctl eval cub")
    if checkpoint is None and (recipe is not None or backbone is not None):
        raise ConfigError("a run knows its recipe and its backbone", todo="leave out --recipe and --backbone")
    if checkpoint is not None and (run is not None or predictions is not None):
        raise ConfigError("--checkpoint, --run and --predictions exclude each other", todo="give one of them")
    if predictions is not None:
        document, evaluation = _score_file(predictions)
    else:
        from svipctl.cli.configure import resolved

        configured = resolved(
            str(dataset),
            config=config,
            assignments=assignments,
            recipe=recipe if checkpoint is None else recipe or "reference",
            model__backbone=backbone,
            eval__batch_size=batch_size,
            precision=precision,
            gpu=gpu,
            data_dir=data_dir,
            runs_dir=runs_dir,
        )
        settings = configured.settings

        from svipctl.device import choose_device
        from svipctl.ranks import is_launcher, joined

        if is_launcher(settings.gpu):
            from svipctl.training.launch import launch

            raise typer.Exit(launch(settings.gpu, sys.argv[1:]))
        with joined() as ranks:
            choose_device(settings.gpu, ranks.local)
            sink.silent = not ranks.is_first
            document, evaluation = _evaluate(configured, run, checkpoint, ranks)
    for warning in document["warnings"]:
        sink.warn(warning)
    if zsl != gzsl:
        for part in ("protocols", "per_image", "intervals"):
            document[part] = {row: figures for row, figures in document[part].items() if (row == "zsl") == zsl}
    show_evaluation(document)
    if not zsl:
        _show_curve(evaluation)
    sink.document(document)


def _evaluate(
    configured: Resolved, name: str | None, checkpoint: Path | None, ranks: Ranks
) -> tuple[dict[str, Any], Evaluation]:
    """What each process does: its share of the images, and all of the figures."""
    from svipctl.cli.configure import with_precision_of
    from svipctl.datasets.registry import open_benchmark
    from svipctl.evaluation.checkpoint import evaluate_checkpoint
    from svipctl.evaluation.run import evaluate_run
    from svipctl.interruption import listening
    from svipctl.runs.finding import find_run

    settings = configured.settings
    found, partial = None, settings.data.allow_partial
    if checkpoint is None:
        found = find_run(settings.runs_dir, settings.dataset, name)
        trained = found.settings()
        settings = with_precision_of(trained, configured)
        partial = partial or trained.data.allow_partial
    with ranks.first():
        benchmark = open_benchmark(settings.dataset, settings.data_dir, allow_partial=partial)
    with listening() as stop, sink.progress("predicting") as progress:

        def watched(done: int, total: int) -> None:
            progress(done, total)
            if stop.hear(*ranks.most(stop.number)):
                stop.raise_if_asked("run the same command again")

        if checkpoint is not None:
            return evaluate_checkpoint(checkpoint, benchmark, settings, watched, ranks)
        assert found is not None
        return evaluate_run(found, benchmark, settings, watched, ranks)


def _score_file(path: Path) -> tuple[dict[str, Any], Evaluation]:
    from svipctl.evaluation.per_class import class_document
    from svipctl.evaluation.predictions_file import read_predictions
    from svipctl.evaluation.protocols import evaluate

    scored = read_predictions(path)
    evaluation = evaluate(scored)
    document = {
        "dataset": None,
        "run": None,
        "recipe": None,
        "predictions": str(path),
        **evaluation.document(),
        **class_document(evaluation, [str(column) for column in range(scored.scores.shape[1])]),
        "warnings": list(evaluation.warnings),
    }
    return document, evaluation


def show_evaluation(document: dict[str, Any]) -> None:
    """The rows of an evaluation for a person."""
    rows = []
    for row, figures in document["protocols"].items():
        cells = [row]
        for figure in ("T1", "U", "S", "H"):
            value = figures.get(figure, figures.get("value") if figure == "H" else None)
            bounds = document["intervals"].get(row, {}).get(figure if figure in figures else "value")
            interval = f" ±{(bounds[1] - bounds[0]) / 2:.1f}" if bounds and value is not None else ""
            cells.append("" if value is None else f"{value:.1f}{interval}")
        rows.append([*cells, _ABOUT[row]])
    images = document["images"]
    subject = document["run"] or document.get("predictions") or document["checkpoint"]["file"]
    split = document.get("split", "test")
    counts = f"{images['seen']} seen and {images['unseen']} unseen {split} images"
    title = f"{subject}: {counts}, percent, ± half the 95 % interval"
    sink.table(title, ["protocol", "T1", "U", "S", "H or area", "what it is"], rows)
    selection = document.get("selection", {})
    for name, quality in (
        ("its own labels", selection),
        ("the true masks", selection.get("mask", {})),
        ("the boxes", selection.get("box", {})),
    ):
        if "auc" in quality:
            sink.say(
                f"patch selection against {name}: AUC {quality['auc']:.1f}, recall {quality.get('recall', 100):.1f}"
            )
    for line in _localised(document.get("localisation", {})):
        sink.say(line)


def _localised(found: dict[str, Any]) -> Iterator[str]:
    """Where the maps of the attributes are highest, beside what any other place would give."""
    chance = "{uniform:.1f} for any window, {centre:.1f} for the centre, {shuffled:.1f} for another image's peak"
    if "object" in found:
        figures = found["object"]
        yield f"peaks of part attributes inside the {figures['truth']}: {figures['inside']:.1f} % ({chance.format(**figures)})"
    if "parts" in found:
        figures = found["parts"]
        yield (
            f"their distance to the part: {figures['distance']:.1f} % of the bird's diagonal ({chance.format(**figures)})"
        )


def _show_curve(evaluation: Evaluation) -> None:
    """The seen-unseen curve with its protocols, on a terminal only: scripts get the table as ever."""
    if "ausuc" not in evaluation.rows or not sink.draws_on_stdout:
        return
    from svipctl.cli.plot import curve, framed

    braille = sink.has_braille
    points = list(zip((100 * evaluation.curve.unseen).tolist(), (100 * evaluation.curve.seen).tolist()))
    marks = {
        row: mark
        for row, mark in (("gzsl", "o"), ("gzsl-oracle", "x"), ("gzsl-calibrated", "@"))
        if row in evaluation.rows
    }
    places = [((100 * evaluation.rows[row]["U"], 100 * evaluation.rows[row]["S"]), mark) for row, mark in marks.items()]
    lines = framed(
        curve(points, places, columns=44, rows=10, braille=braille), x="unseen, U", y="seen, S", braille=braille
    )
    sink.say("\n".join(lines))
    sink.say("     " + "  ".join(f"{mark} {row}" for row, mark in marks.items()))
