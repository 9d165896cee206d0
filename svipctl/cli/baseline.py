"""`svipctl baseline`."""

from __future__ import annotations

from typing import Annotated

import typer

from svipctl.cli import complete, options
from svipctl.cli.output import sink
from svipctl.errors import ConfigError, nearest


def baseline(
    dataset: options.Dataset,
    method: Annotated[
        str, typer.Option("--method", help="ridge, eszsl or sae.", autocompletion=complete.baselines)
    ] = "ridge",
    folds: Annotated[
        list[int] | None,
        typer.Option("--fold", help="Fold that hyper-parameters and gamma are chosen on. Repeatable. (default: 1)"),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run. (default: the method's)")] = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    allow_partial: options.AllowPartial = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    offline: options.Offline = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fit a closed-form baseline on the backbone's own features, and score it under every protocol.

    Examples: `svipctl baseline toybirds --method eszsl`, `svipctl baseline cub --method ridge --backbone lite --dry-run`
    """
    from svipctl.cli.configure import resolved

    settings = resolved(
        dataset,
        config=config,
        assignments=assignments,
        name=name or method,
        model__backbone=backbone,
        model__weights=weights,
        data__allow_partial=allow_partial,
        precision=precision,
        gpu=gpu,
        offline=offline,
        data_dir=data_dir,
        runs_dir=runs_dir,
    ).settings

    from svipctl.baselines.choices import METHODS

    known = {str(one): one for one in METHODS}
    if method not in known:
        raise ConfigError(f"there is no baseline {method!r}", why=nearest(method, known))
    chosen = tuple(dict.fromkeys(folds or [1]))

    from svipctl.device import choose_device
    from svipctl.runs.finding import new_run

    choose_device(settings.gpu)
    run = new_run(settings)
    if dry_run:
        from svipctl.datasets.registry import open_benchmark, pictures_to_draw
        from svipctl.model.weights import needs_download

        needs_download(settings.model.backbone, settings.model.weights, offline=settings.offline)
        if not pictures_to_draw(settings.dataset, settings.data_dir):
            there = open_benchmark(settings.dataset, settings.data_dir, allow_partial=settings.data.allow_partial)
            for fold in chosen:
                there.split(fold)
        sink.say(f"would fit {method} on the features of {settings.model.backbone} in {run.folder}")
        sink.document({"dry_run": True, "method": method, "folds": list(chosen), "run": str(run.folder)})
        return

    from svipctl.baselines.evaluate import Baseline, fit_and_score
    from svipctl.baselines.image_features import image_features
    from svipctl.cli.scores import show_evaluation
    from svipctl.datasets.registry import open_benchmark

    with sink.progress(f"drawing {settings.dataset}") as progress:
        benchmark = open_benchmark(
            settings.dataset, settings.data_dir, progress, allow_partial=settings.data.allow_partial
        )
    for fold in chosen:
        benchmark.split(fold)  # one that is not there is told before the features are computed
    with sink.progress("computing features") as progress:
        features = image_features(settings, benchmark, progress)
    with sink.progress("developing on folds") as progress:
        baseline_ = Baseline(known[method], chosen)
        document = fit_and_score(baseline_, settings, benchmark, features, run, progress).document
    for warning in document["warnings"]:
        sink.warn(warning)
    show_evaluation(document)
    sink.document(document)
