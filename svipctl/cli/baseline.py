"""Implement `svipctl baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.cli._runs import open_dataset
from svipctl.settings import effects, flags
from svipctl.settings.inputs import check_inputs


@command(
    *(flags.NAME.with_help("Run name. (default: method name)"), flags.BACKBONE, flags.WEIGHTS, flags.FEATURES),
    *(flags.ALLOW_PARTIAL, flags.PRECISION, flags.GPU, flags.OFFLINE, flags.DATA_DIR, flags.RUNS_DIR),
    reads=effects.BASELINE,
)
def baseline(
    dataset: Dataset,
    *,
    overrides: Overrides,
    method: Literal["ridge", "eszsl", "sae", "prototypes", "bilinear"] = option("ridge", "Method to fit."),
    folds: list[int] | None = option(
        None,
        "Fold to choose hyper-parameters and gamma on. Repeatable. (default: 1)",
        "--fold",
        autocompletion=_completion.choices("1", "2", "3"),
    ),
    dry_run: bool,
) -> None:
    """Fit and score a linear baseline.

    The baseline is a linear map between image features, from the backbone or a file, and class attributes. It is scored
    under every protocol.

    Examples:
        svipctl baseline toybirds --method eszsl
        svipctl baseline cub --method ridge --backbone lite --dry-run
        svipctl baseline cub --features res101.mat

    """
    settings = overrides.resolve(dataset, {"name": overrides.flags.get("name") or method}).settings

    chosen = tuple(dict.fromkeys(folds or [1]))
    check_inputs(settings)

    from svipctl.datasets.feature_file import read_pretrained_features
    from svipctl.datasets.registry import pictures_to_draw
    from svipctl.device import choose_device
    from svipctl.files import check_output
    from svipctl.inference.image_features import features_from_file, image_features
    from svipctl.model.weights import needs_download
    from svipctl.runs.folder import RunFile
    from svipctl.runs.lookup import new_run

    choose_device(settings.gpu)
    run = new_run(settings, replace_abandoned=True)
    check_output(run.folder / RunFile.BASELINE, todo="choose another --runs-dir")
    file = read_pretrained_features(Path(settings.data.features)) if settings.data.features else None
    source = settings.model.backbone if file is None else str(file.path)
    text = f"would fit {method} on the features of {source} in {run.folder}"
    plan = {"method": method, "folds": list(chosen), "run": str(run.folder)}
    if dry_run and file is None:
        needs_download(settings.model.backbone, settings.model.weights, offline=settings.offline)
    if dry_run and pictures_to_draw(settings.dataset, settings.data_dir):
        sink.plan(plan, text)
        return
    benchmark = open_dataset(settings, listed=None if file is None else file.images)
    for fold in chosen:
        benchmark.split(fold)  # a missing fold is an error before the features are computed
    features = None if file is None else features_from_file(file, benchmark)
    if dry_run:
        sink.plan(plan, text)
        return

    from svipctl.baselines.evaluate import fit_and_score
    from svipctl.cli._evaluation_table import show_evaluation

    if features is None:
        with sink.progress("computing features") as progress:
            features = image_features(settings, benchmark, progress)
    elif features.mirrored is None:
        sink.note(f"{source} has no features of mirror images: the baseline learns from the images alone")
    with sink.progress("developing on folds") as progress:
        document = fit_and_score(method, chosen, settings, benchmark, features, run, progress).document
    sink.warn_each(document["warnings"])
    show_evaluation(document)
    sink.document(document)
