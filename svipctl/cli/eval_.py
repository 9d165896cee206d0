"""Implement `svipctl eval`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from svipctl.cli import _completion
from svipctl.cli._command import Csv, OptionalDataset, Overrides, RunName, Standalone, command, option, sink
from svipctl.cli._evaluation_table import show_evaluation
from svipctl.cli._runs import as_trained, find_run, joined_processes, open_dataset, shared_progress
from svipctl.errors import ConfigError
from svipctl.files import require_path
from svipctl.quoting import shell_command
from svipctl.settings import effects, flags
from svipctl.settings.inputs import check_inputs

if TYPE_CHECKING:
    from svipctl.evaluation.result import Evaluation
    from svipctl.runs.run import Run
    from svipctl.settings.schema import Settings


@command(
    flags.RECIPE.with_help("Recipe of a published --checkpoint. (default: reference)"),
    flags.BACKBONE.with_help("Backbone of a published --checkpoint. (default: the preset's)"),
    flags.FEATURES.with_help("Feature file for a run that was trained on features. (default: the run's)"),
    *flags.EVALUATION,
    flags.OFFLINE,
    reads=effects.EVALUATION,
)
def eval_(
    dataset: OptionalDataset = None,
    *,
    overrides: Overrides,
    run: RunName = None,
    predictions: Path | None = option(None, "Score a .npz file of predictions instead of a run."),
    checkpoint: Path | None = option(
        None,
        "Evaluate a published .pth, a checkpoint folder or hf://OWNER/NAME instead of a run.",
        autocompletion=_completion.checkpoints,
    ),
    gzsl: bool = option(False, "Show only the generalized (GZSL) protocols."),
    zsl: bool = option(False, "Show only zero-shot accuracy (T1)."),
    curve: bool = option(False, "Draw the seen-unseen curve below the table."),
    csv: Csv = False,
    markdown: bool = option(False, "Print Markdown on stdout."),
    standalone: Standalone = False,
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
    if dataset is None and predictions is None:
        if checkpoint is not None:
            command_line = shell_command("eval", "cub", "--checkpoint", checkpoint)
            raise ConfigError("--checkpoint needs a data set", todo=command_line)
        if run is None:
            raise ConfigError(
                "name a data set, --run RUN or --predictions FILE", todo=shell_command("eval", "toybirds")
            )
    if dataset is not None and predictions is not None:
        raise ConfigError(
            "--predictions needs no data set: the file has labels and class attributes",
            todo=shell_command("eval", "--predictions", predictions),
        )
    if checkpoint is not None and (run is not None or predictions is not None):
        raise ConfigError("--checkpoint, --run and --predictions cannot be combined", todo="use one of them")
    if checkpoint is not None and str(checkpoint).startswith("hf:"):
        from svipctl.inference.hub import local_checkpoint

        checkpoint = local_checkpoint(checkpoint, offline=overrides.workspace().offline)
    is_published = checkpoint is not None and not checkpoint.is_dir()
    if not is_published and overrides.flags.keys() & {"recipe", "model.backbone"}:
        raise ConfigError("the run determines its recipe and backbone", todo="omit --recipe and --backbone")
    if predictions is not None:
        given = {"--run": run, "--config": overrides.config, "--set": overrides.assignments, "--dry-run": dry_run}
        settings_given = [flag.name for flag in (*flags.EVALUATION, flags.FEATURES) if flag.key in overrides.flags]
        if useless := ", ".join([*(name for name, value in given.items() if value), *settings_given]):
            raise ConfigError(
                f"--predictions reads only the file, so {useless} would have no effect", todo=f"omit {useless}"
            )

        require_path(predictions, "predictions file", "pass a .npz file (docs/evaluation.md)")

        from svipctl.evaluation.score_predictions import score_file

        evaluation: Evaluation = score_file(predictions)
    else:
        subject, settings, features = _chosen(dataset, run, checkpoint, overrides, is_published)

        from svipctl.datasets.feature_file import read_feature_file

        if dry_run:
            from svipctl.evaluation.evaluate import plan_evaluation

            plan = plan_evaluation(subject, settings, read_feature_file(Path(features)) if features else None)
            sink.warn_each(plan["warnings"])
            sink.plan(plan)
            return
        with joined_processes(settings.gpu, standalone=standalone) as ranks:
            from svipctl.evaluation.evaluate import evaluate_subject

            file = read_feature_file(Path(features)) if features else None
            with ranks.first():
                benchmark = open_dataset(settings, listed=None if file is None else file.images)
            with shared_progress("predicting", ranks) as progress:
                evaluation = evaluate_subject(subject, benchmark, settings, progress, ranks, file)
    document = evaluation.document
    sink.warn_each(document["warnings"])
    if zsl != gzsl:
        for part in ("protocols", "per_image", "intervals"):
            document[part] = {row: figures for row, figures in document[part].items() if (row == "zsl") == zsl}
    if csv or markdown:
        from svipctl.evaluation import tables

        sink.data((tables.comma_separated if csv else tables.markdown)(document).rstrip("\n"))
        return
    show_evaluation(document)
    if curve and not sink.quiet and "ausuc" in evaluation.results.rows:
        from svipctl.visuals.text_curve import seen_unseen_curve

        sink.say("\n".join(seen_unseen_curve(evaluation.results, braille=sink.has_braille)))
    sink.document(document)


def _chosen(
    dataset: str | None, name: str | None, checkpoint: Path | None, overrides: Overrides, is_published: bool
) -> tuple[Run | Path, Settings, str]:
    """Return the run or checkpoint, its settings, and the feature file."""
    features = str(overrides.flags.get("data.features", ""))
    if checkpoint is None:
        run, settings = find_run(dataset, name, overrides)
        return run, settings, features or run.settings().data.features

    from svipctl.runs.lookup import owner_of

    recipe = {}
    if is_published:
        recipe = {"recipe": overrides.flags.get("recipe", "reference")}
        overrides = replace(overrides, reads=(*effects.EVALUATION, *effects.PUBLISHED))
    configured = overrides.resolve(str(dataset), recipe)
    check_inputs(configured.settings, checkpoint)
    if owner := owner_of(checkpoint):
        trained = owner.settings()
        return checkpoint, as_trained(configured, trained.precision), features or trained.data.features
    if is_published:
        return checkpoint, configured.settings, features

    from svipctl.inference.checkpoint import read_metadata

    return checkpoint, as_trained(configured, read_metadata(checkpoint).precision), features
