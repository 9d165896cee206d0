"""Implement `svipctl baseline`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import open_dataset
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.datasets.feature_file import FeatureFile
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


@command(
    *(flags.NAME.with_help("Run name. (default: method name)"), flags.BACKBONE, flags.WEIGHTS, flags.FEATURES),
    *(flags.ALLOW_PARTIAL, flags.PRECISION, flags.GPU, flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR),
    dry_run=True,
)
def baseline(
    dataset: _options.Dataset,
    *,
    overrides: Overrides,
    method: Annotated[
        Literal["ridge", "eszsl", "sae", "prototypes", "bilinear"], typer.Option("--method", help="Method to fit.")
    ] = "ridge",
    folds: Annotated[
        list[int] | None,
        typer.Option(
            "--fold",
            help="Fold to choose hyper-parameters and gamma on. Repeatable. (default: 1)",
            autocompletion=_completion.choices("1", "2", "3"),
        ),
    ] = None,
    dry_run: bool,
) -> None:
    """Fit and score a linear baseline.

    The baseline maps between features, of the backbone or of a file, and class attributes. It is scored under every
    protocol.

    Examples:
        svipctl baseline toybirds --method eszsl
        svipctl baseline cub --method ridge --backbone lite --dry-run
        svipctl baseline cub --features res101.mat

    """
    settings = overrides.resolve(dataset, {"name": overrides.flags.get("name") or method}).settings

    chosen = tuple(dict.fromkeys(folds or [1]))
    check_inputs(settings)

    from svipctl.device import choose_device
    from svipctl.runs.lookup import new_run

    choose_device(settings.gpu)
    run = new_run(settings, replace_abandoned=True)
    file = _features_file(settings)
    if dry_run:
        _show_plan(method, chosen, settings, run, file)
        return

    from svipctl.baselines.evaluate import Baseline, fit_and_score
    from svipctl.cli._evaluation_table import show_evaluation
    from svipctl.inference.image_features import features_from_file, image_features

    benchmark = open_dataset(settings, listed=None if file is None else file.images)
    for fold in chosen:
        benchmark.split(fold)  # a missing fold is an error before the features are computed
    if file is not None:
        features = features_from_file(file, benchmark)
        if features.mirrored is None:
            sink.note(f"{file.path} has no mirror images: the map is fitted to images alone")
    else:
        with sink.progress("computing features") as progress:
            features = image_features(settings, benchmark, progress)
    with sink.progress("developing on folds") as progress:
        baseline_ = Baseline(method, chosen)
        document = fit_and_score(baseline_, settings, benchmark, features, run, progress).document
    for warning in document["warnings"]:
        sink.warn(warning)
    show_evaluation(document)
    sink.document(document)


def _features_file(settings: Settings) -> FeatureFile | None:
    """Read the file of features that the settings name, if they do."""
    if not settings.data.features:
        return None

    from svipctl.datasets.feature_file import read_pretrained_features

    return read_pretrained_features(Path(settings.data.features))


def _show_plan(method: str, folds: Sequence[int], settings: Settings, run: Run, file: FeatureFile | None) -> None:
    from svipctl.datasets.registry import pictures_to_draw

    if file is None:
        from svipctl.model.weights import needs_download

        needs_download(settings.model.backbone, settings.model.weights, offline=settings.offline)
    if not pictures_to_draw(settings.dataset, settings.data_dir):
        there = open_dataset(settings, listed=None if file is None else file.images)
        for fold in folds:
            there.split(fold)
        if file is not None:
            from svipctl.datasets.feature_rows import match_features

            match_features(file, there)
    source = settings.model.backbone if file is None else str(file.path)
    sink.say(f"would fit {method} on the features of {source} in {run.folder}")
    sink.document({"dry_run": True, "method": method, "folds": list(folds), "run": str(run.folder)})
