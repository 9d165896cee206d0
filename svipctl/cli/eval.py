"""Implement `svipctl eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from svipctl.cli import _completion, _options
from svipctl.cli._command import command
from svipctl.cli._evaluation_table import show_curve, show_evaluation
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli._runs import find_any_run, joined_processes, open_dataset, shared_progress, with_precision_of
from svipctl.errors import ConfigError
from svipctl.files import require_path
from svipctl.plans import describe_plan
from svipctl.settings import flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.datasets.feature_file import FeatureFile
    from svipctl.distributed.ranks import Ranks
    from svipctl.evaluation.result import Evaluation
    from svipctl.runs.run import Run
    from svipctl.settings.layers import Resolved
    from svipctl.settings.schema import Settings


@command(
    flags.RECIPE.with_help("Recipe of a published --checkpoint. (default: reference)"),
    flags.BACKBONE.with_help("Backbone of a published --checkpoint. (default: the preset's)"),
    flags.FEATURES.with_help("File of features for a run that was trained on features. (default: the run's)"),
    *flags.EVALUATION,
    dry_run=True,
    reads="EVALUATION",
)
def eval_(
    dataset: _options.OptionalDataset = None,
    *,
    overrides: Overrides,
    run: _options.RunName = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Score a .npz file of predictions instead of a run.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="Evaluate a published .pth, a checkpoint folder or hf://OWNER/NAME instead of a run.",
            autocompletion=_completion.checkpoints,
        ),
    ] = None,
    gzsl: Annotated[bool, typer.Option("--gzsl", help="Show only the generalised rows.")] = False,
    zsl: Annotated[bool, typer.Option("--zsl", help="Show only the zero-shot row.")] = False,
    curve: Annotated[bool, typer.Option("--curve", help="Draw the seen-unseen curve below the table.")] = False,
    csv: _options.Csv = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown on stdout.")] = False,
    standalone: _options.Standalone = False,
    dry_run: bool,
) -> None:
    """Evaluate a run under every protocol.

    All protocols are computed from one pass over the images, or from a predictions file.

    Examples:
        svipctl eval toybirds
        svipctl eval toybirds --gzsl
        svipctl eval --predictions mine.npz --json
        svipctl eval cub --checkpoint published.pth

    """
    if sink.json + csv + markdown > 1:
        raise ConfigError("--json, --csv and --markdown cannot be combined", todo="choose one")
    if dataset is None and run is not None and checkpoint is None and predictions is None:
        found = find_any_run(run, overrides)
        dataset, run = found.settings().dataset, str(found.folder)
    if (dataset is None) == (predictions is None):
        raise ConfigError("pass either a data set or --predictions FILE", todo="svipctl eval toybirds")
    if checkpoint is not None and str(checkpoint).startswith("hf:"):
        from svipctl.inference.hub import local_checkpoint

        checkpoint = local_checkpoint(checkpoint, offline=overrides.workspace().offline)
    published = checkpoint is not None and not checkpoint.is_dir()
    if not published and overrides.flags.keys() & {"recipe", "model.backbone"}:
        raise ConfigError("the run determines its recipe and backbone", todo="omit --recipe and --backbone")
    if checkpoint is not None and (run is not None or predictions is not None):
        raise ConfigError("--checkpoint, --run and --predictions cannot be combined", todo="use one of them")
    if predictions is not None:
        given = {"--run": run, "--config": overrides.config, "--set": overrides.assignments, "--dry-run": dry_run}
        settings_given = [flag.name for flag in (*flags.EVALUATION, flags.FEATURES) if flag.key in overrides.flags]
        if useless := [*(name for name, value in given.items() if value), *settings_given]:
            raise ConfigError(
                "--predictions computes and writes nothing, and reads no settings",
                todo=f"omit {', '.join(useless)}",
            )

        require_path(predictions, "predictions file", "pass a .npz file (docs/evaluation.md)")

        from svipctl.evaluation.score_predictions import score_file

        evaluation: Evaluation = score_file(predictions)
    else:
        from svipctl.settings.effects import PUBLISHED

        recipe = {"recipe": overrides.flags.get("recipe", "reference")} if published else {}
        configured = overrides.resolve(str(dataset), recipe, reads=PUBLISHED if published else ())
        features = overrides.flags.get("data.features")
        chosen = _chosen(configured, run, checkpoint, None if features is None else str(features))
        if dry_run:
            _show_plan(*chosen)
            return
        with joined_processes(configured.settings.gpu, standalone=standalone) as ranks:
            evaluation = _evaluate(*chosen, ranks)
    document = evaluation.document
    for warning in document["warnings"]:
        sink.warn(warning)
    if zsl != gzsl:
        for part in ("protocols", "per_image", "intervals"):
            document[part] = {row: figures for row, figures in document[part].items() if (row == "zsl") == zsl}
    if csv or markdown:
        from svipctl.evaluation import tables

        sink.data((tables.comma_separated if csv else tables.markdown)(document).rstrip("\n"))
        return
    show_evaluation(document)
    if curve and not sink.quiet:
        show_curve(evaluation.results)
    sink.document(document)


def _chosen(
    configured: Resolved, name: str | None, checkpoint: Path | None, features: str | None
) -> tuple[Run | Path, Settings, bool, str]:
    """Return the run or checkpoint, its settings, True if images may be missing, and the file of features."""
    from svipctl.runs.lookup import find_run, owner_of

    settings = configured.settings
    if checkpoint is not None:
        check_inputs(settings, {"checkpoint": checkpoint})
        owner = owner_of(checkpoint)
        if owner is not None:
            settings = with_precision_of(owner.settings(), configured)
        return (
            checkpoint,
            settings,
            settings.data.allow_partial,
            features or (owner.settings().data.features if owner else ""),
        )
    run = find_run(settings.runs_dir, settings.dataset, name, data_dir=settings.data_dir)
    trained = run.settings()
    partial = settings.data.allow_partial or trained.data.allow_partial
    return run, with_precision_of(trained, configured), partial, features or trained.data.features


def _show_plan(subject: Run | Path, settings: Settings, partial: bool, features: str) -> None:
    from svipctl.evaluation.dry_run import plan_evaluation

    plan = plan_evaluation(subject, settings, allow_partial=partial, file=_file(features))
    for warning in plan["warnings"]:
        sink.warn(warning)
    sink.say(describe_plan({key: value for key, value in plan.items() if key != "warnings"}))
    sink.document({"dry_run": True, **plan})


def _evaluate(subject: Run | Path, settings: Settings, partial: bool, features: str, ranks: Ranks) -> Evaluation:
    """Evaluate in one of the processes: its share of the images, and all of the metrics."""
    from svipctl.evaluation.evaluate import evaluate_subject

    file = _file(features)
    with ranks.first():
        benchmark = open_dataset(settings, allow_partial=partial, listed=None if file is None else file.images)
    with shared_progress("predicting", ranks) as progress:
        return evaluate_subject(subject, benchmark, settings, progress, ranks, file)


def _file(features: str) -> FeatureFile | None:
    from svipctl.datasets.feature_file import read_feature_file

    return read_feature_file(Path(features)) if features else None
