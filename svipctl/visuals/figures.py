"""Draw the figures of `svipctl visualize` as matplotlib figures, from a run, an evaluation, or a model and images.

Each function takes `theme`, `light` (default) or `dark`, and reads the data set from the folder of the run unless
`dataset` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from svipctl.datasets.benchmark import Benchmark
from svipctl.errors import ConfigError, whole_number
from svipctl.evaluation.result import ModelEvaluation
from svipctl.inference.trained_model import TrainedModel
from svipctl.runs.run import Run
from svipctl.visuals.attention import attention_sheet
from svipctl.visuals.attributes import attribute_sheet
from svipctl.visuals.confusion import confusion_figure, confusion_of, image_reader
from svipctl.visuals.curves import everything_figure, reliabilities, training_figure
from svipctl.visuals.embedding import attribute_plane, embedding_figure
from svipctl.visuals.history import History, read_history
from svipctl.visuals.image_choice import attribute_numbers
from svipctl.visuals.inspection import Inspection, Inspector
from svipctl.visuals.patches import SCORES, patch_sheet
from svipctl.visuals.style import Theme, themed

Images = str | Path | Sequence[int | str | Path]
"""Indices of the data set's images, or your own files, or one file; few enough for one page."""


def training(run: Run | TrainedModel | str | Path, *, theme: Theme = "light") -> Figure:
    """Plot loss terms, accuracies, the patch classifier and the learning rate over the training of a run.

    Args:
        run: The run, its folder, or a model that was loaded from it.
        theme: Colours.

    Raises:
        ConfigError: The model was not loaded from a run.
        DataError: The folder is not a run, or the records of the run are damaged.

    """
    found = run.run if isinstance(run, TrainedModel) else run if isinstance(run, Run) else Run(Path(run))
    if found is None:
        raise ConfigError("the model was not loaded from a run, so there are no records of its training")
    found.settings()  # raises unless it is a run
    return _drawn(theme, lambda: training_figure(read_history(found), found.name))


def curves(evaluation: ModelEvaluation, *, theme: Theme = "light") -> Figure:
    """Plot the training of the evaluated run, the seen-unseen curve, U, S and H over gamma, and the reliability."""
    run = evaluation.model.run
    history = History([], []) if run is None else read_history(run)
    reliable, title = reliabilities(evaluation), _title(evaluation.model)
    return _drawn(theme, lambda: everything_figure(history, evaluation.results, reliable, title))


def confusion(
    evaluation: ModelEvaluation, *, top: int = 8, dataset: Benchmark | None = None, theme: Theme = "light"
) -> Figure:
    """Show the most confused pairs of classes, with an image of each mistake.

    Raises:
        ConfigError: No image was classified incorrectly, or `top` is below 1.

    """
    row, counts, pairs = confusion_of(evaluation, whole_number("top", top))
    if not pairs:
        raise ConfigError("no image was classified incorrectly: there is nothing to show")
    read = image_reader(evaluation, dataset or evaluation.model.open_dataset())
    return _drawn(
        theme, lambda: confusion_figure(counts, pairs, evaluation.classes, read, row, _title(evaluation.model))
    )


def embedding(
    evaluation: ModelEvaluation,
    *,
    classes: Sequence[str] = (),
    dataset: Benchmark | None = None,
    theme: Theme = "light",
) -> Figure:
    """Plot the predicted attributes on the plane of their first two principal components.

    Args:
        evaluation: From `svipctl.evaluate`.
        classes: Names of the classes to colour; if empty as many as fit, unseen ones first.
        dataset: The data set.
        theme: Colours.

    Raises:
        ConfigError: A class does not exist.

    """
    plane = attribute_plane(evaluation.predictions.attributes)
    benchmark = dataset or evaluation.model.open_dataset()
    return _drawn(theme, lambda: embedding_figure(evaluation, benchmark, plane, classes, _title(evaluation.model)))


def patches(model: TrainedModel, images: Images, *, dataset: Benchmark | None = None, theme: Theme = "light") -> Figure:
    """Show the related windows of each image, the patch classifier's probability, and the ground truth.

    Raises:
        ConfigError: An image does not exist.

    """
    inspected, _ = _inspected(model, images, dataset)
    return _drawn(theme, lambda: patch_sheet(inspected, _title(model), score_source=model.network.recipe.score_source))


def attributes(
    model: TrainedModel,
    images: Images,
    *,
    names: Sequence[str] = (),
    top: int = 4,
    dataset: Benchmark | None = None,
    theme: Theme = "light",
) -> Figure:
    """Show localization maps of the attributes that count most for the answer, and of those that you name.

    Raises:
        ConfigError: An attribute or an image does not exist, or the recipe's attribute head reads the class token.

    """
    inspected, benchmark = _inspected(model, images, dataset, reasons=whole_number("top", top, 0) + len(names))
    if any(one.windows is None for one in inspected):
        raise ConfigError("the attribute head of this recipe reads the class token: there are no maps")
    named = attribute_numbers(benchmark, names)
    return _drawn(
        theme, lambda: attribute_sheet(inspected, _title(model), benchmark.attributes, strongest=top, named=named)
    )


def attention(
    model: TrainedModel, images: Images, *, dataset: Benchmark | None = None, theme: Theme = "light"
) -> Figure:
    """Show the class token's attention in the blocks of the network, and the window score computed from it.

    Raises:
        ConfigError: An image does not exist.

    """
    inspected, _ = _inspected(model, images, dataset)
    return _drawn(
        theme, lambda: attention_sheet(inspected, _title(model), score=SCORES[model.network.recipe.score_source])
    )


def _drawn(theme: Theme, draw: Callable[[], Figure]) -> Figure:
    """Draw a figure in a theme, and let matplotlib create the ticks, which get their size and colour then."""
    with themed(theme):
        figure = draw()
        figure.draw_without_rendering()
        return figure


def _inspected(
    model: TrainedModel, images: Images, dataset: Benchmark | None, reasons: int = 4
) -> tuple[list[Inspection], Benchmark]:
    benchmark = dataset or model.open_dataset()
    inspector, last = Inspector(model, benchmark, reasons=reasons), len(benchmark.images) - 1
    named = [images] if isinstance(images, str | Path) else images
    found = [Path(one) if isinstance(one, str | Path) else whole_number("an image", one, 0, last) for one in named]
    if not found:
        raise ConfigError("there is no image to show", todo="pass files, or indices of the data set's images")
    return list(inspector.inspect(found)), benchmark


def _title(model: TrainedModel) -> str:
    return " · ".join([model.metadata.dataset, *([model.run.name] if model.run else [])])
