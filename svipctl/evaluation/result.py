"""Define the result of an evaluation: every protocol row, the classes, and the document of `svipctl eval --json`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from svipctl.datasets.benchmark import Split
from svipctl.errors import ConfigError, nearest
from svipctl.evaluation.per_class import answers_under, class_document, confusion
from svipctl.evaluation.protocols import ProtocolResults, Scored
from svipctl.inference.dataset_predictions import Predictions
from svipctl.inference.trained_model import TrainedModel

if TYPE_CHECKING:
    from pandas import DataFrame

Table = Literal["protocols", "classes", "confusion", "images"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All rows of an evaluation, in percent."""

    document: dict[str, Any]
    """The document that `svipctl eval --json` prints (docs/json.md)."""
    results: ProtocolResults
    """Rows as shares of 1, with the seen-unseen curve and the answers."""
    scored: Scored
    """Class scores of the evaluated images."""
    classes: tuple[str, ...]
    """Names of the candidate classes, the columns of `scored.scores`."""
    images: tuple[str, ...] = field(default=(), kw_only=True)
    """The scored images, relative to the data set's folder; empty if they have no names."""

    def __repr__(self) -> str:
        rows = (f"{row} {values}" for row, values in self.rows.items())
        return "Evaluation(" + "; ".join(rows) + ")"

    @property
    def rows(self) -> dict[str, dict[str, float]]:
        """Metrics by protocol row: `zsl`, `gzsl`, `gzsl-calibrated`, `gzsl-oracle`, `reference`, `ausuc`."""
        return copy.deepcopy(self.document["protocols"])

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """One entry per class: `class`, `seen`, `images`, and its `accuracy` by protocol row."""
        return copy.deepcopy(self.document["classes"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the use of the numbers."""
        return tuple(self.document["warnings"])

    def image_rows(self) -> list[dict[str, Any]]:
        """Return one entry per scored image: its class, and the best seen and the best unseen class with their scores.

        The answer at a gamma is the seen class if its score minus gamma is above the score of the unseen class. Without
        names an image has its number.
        """
        answers, names = self.results.answers, self.classes
        return [
            {
                "image": self.images[number] if self.images else number,
                "class": names[label],
                "seen": int(answers.is_seen[number]),
                "seen_answer": names[answers.seen_answers[number]],
                "seen_score": float(answers.highest_seen[number]),
                "unseen_answer": names[answers.unseen_answers[number]],
                "unseen_score": float(answers.highest_unseen[number]),
            }
            for number, label in enumerate(answers.labels)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `svipctl eval --json` prints."""
        return copy.deepcopy(self.document)

    def to_frame(self, table: Table = "protocols") -> DataFrame:
        """Return a table as a pandas DataFrame; metrics are in percent.

        Args:
            table: `protocols` for one row per protocol and one column per metric; `classes` for one row per class, with
                `seen`, `images` and its accuracy under each protocol; `confusion` for the number of images of the row's
                class that were answered with the column's, shape (C, C), under the protocol `confusion["row"]`; `images`
                for one row per image, as `image_rows`.

        Raises:
            ConfigError: pandas is not installed, or there is no such table.

        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_frame needs pandas, which is not installed", todo="pip install pandas") from error
        if table == "protocols":
            return pandas.DataFrame.from_dict(self.rows, orient="index").rename_axis("protocol")
        if table == "classes":
            flat = [{**one, **one["accuracy"]} for one in self.document["classes"]]
            return pandas.DataFrame(flat).drop(columns="accuracy").set_index("class")
        if table == "confusion":
            answers = self.results.answers
            given = answers_under(self.results, self.document["confusion"]["row"])
            counts = confusion(answers.labels, given, len(self.classes))
            return pandas.DataFrame(counts, index=list(self.classes), columns=list(self.classes)).rename_axis("class")
        if table == "images":
            return pandas.DataFrame(self.image_rows()).set_index("image")
        raise ConfigError(f"there is no table {table!r}", why=nearest(table, get_args(Table)))


@dataclass(frozen=True, eq=False, repr=False)
class ModelEvaluation(Evaluation):
    """The evaluation of a model on a data set."""

    predictions: Predictions
    """Predictions of the evaluated images, seen ones first, then unseen ones."""
    model: TrainedModel
    split: Split
    """The split whose images were scored."""


def evaluation_document(
    results: ProtocolResults,
    classes: Sequence[str],
    head: Mapping[str, Any],
    *,
    warnings: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return the documented JSON of an evaluation.

    Args:
        results: All rows.
        classes: Names of the candidate classes.
        head: First entries: `dataset`, `run`, `recipe` and so on.
        warnings: Warnings that are listed before those of the rows.
        more: Further entries; None values are omitted.

    """
    return {
        **head,
        **results.document(),
        **class_document(results, classes),
        **{name: value for name, value in more.items() if value is not None},
        "warnings": [*warnings, *results.warnings],
    }
