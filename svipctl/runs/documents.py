"""Define the documents of a run, one pydantic model each; every file of a run is validated by one of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from svipctl.errors import DataError, misfits

M = TypeVar("M")
FORMAT = 2
"""Format of the folders of runs and checkpoints that have a manifest."""
FolderFormat = Annotated[int, Field(ge=1, le=FORMAT)]
Figures = dict[str, float]
"""Name of a metric -> value."""


class Document(BaseModel):
    """A JSON object with typed fields and finite numbers; unknown fields of later versions are allowed."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class DevelopmentRun(Document):
    """A run, or a fold of a baseline, that gamma and the epoch count were found on."""

    run: str
    fold: int = 0
    seed: int = 0
    epochs: int = 0
    """Epoch of the checkpoint that the run's selection rule prefers, counted from the start."""
    gamma: float = 0.0
    """Gamma of the best H on the fold's validation images, for that checkpoint."""
    harmonic: float = 0.0
    """The best H in percent."""


class FoundOnFolds(Document):
    """The choice of a baseline on its folds, and the number of choices that were tried."""

    choice: dict[str, Any] | None = None
    tried: int | None = None


class DevelopmentDocument(FoundOnFolds):
    """Gamma and epoch count that a final run takes from its development runs: `development.json`."""

    gamma: float
    runs: Annotated[list[DevelopmentRun], Field(min_length=1)]
    rule: str = "from development runs"
    epochs: int = 0

    def document(self) -> dict[str, Any]:
        """Return the document as it was written."""
        return self.model_dump(exclude_unset=True)


class AucFigures(Document):
    """Quality of the patch classifier against one truth, percent."""

    auc: float | None = None
    recall: float | None = None


class SelectionFigures(AucFigures):
    """Quality of the patch classifier against its own labels, and against masks or boxes if there are any."""

    mask: AucFigures | None = None
    box: AucFigures | None = None


class EvaluationDocument(Document):
    """The last evaluation of a run: `eval/metrics.json`."""

    epoch: int | None = None
    checkpoint_sha256: str | None = None
    """SHA-256 of the weights that were evaluated; None for a baseline and in runs of svipctl 0.1."""
    split: str = "test"
    images: dict[str, int] = {}
    protocols: dict[str, Figures] = {}
    per_image: dict[str, Figures] = {}
    intervals: dict[str, dict[str, tuple[float, float]]] = {}
    selection: SelectionFigures = SelectionFigures()
    settings: dict[str, Any] | None = None
    development: FoundOnFolds | None = None
    missing_images: int | None = None
    warnings: list[str] = []


class FinishedDocument(Document):
    """The end of a training: `finished.json`."""

    epochs: int
    best_epoch: int | None = None
    selected_by: str = ""


class BaselineDocument(Document):
    """The method that was fitted instead of a network: `baseline.json`."""

    method: str = ""
    folds: list[int] = []
    features: str = ""


class EnvironmentDocument(Document):
    """Versions, hardware and weights that the run depends on: `environment.json`."""

    format: FolderFormat = 1
    precision: str | None = None
    data_folder: str | None = None
    attributes_sha256: str | None = None
    packages: dict[str, str | None] = {}


class CurveDocument(Document):
    """A seen-unseen curve: `validation_curve.json` of a checkpoint."""

    steps: list[float]
    unseen: list[float]
    seen: list[float]

    @model_validator(mode="after")
    def _one_point_between_two_steps(self) -> CurveDocument:
        if not len(self.unseen) == len(self.seen) == len(self.steps) + 1:
            raise ValueError("unseen and seen must have len(steps) + 1 values")
        return self


_LARGEST = 1e300
"""Every computation with floats takes numbers up to this one; NaN and infinity are not."""


def _checked_figures(figures: dict[str, Any]) -> dict[str, Any]:
    for name, value in figures.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
        if not is_number and not (name == "monitor" and isinstance(value, str)):
            raise ValueError(f"{name} is not a number from -{_LARGEST:g} to {_LARGEST:g}")
    return figures


EpochFigures = Annotated[dict[str, Any], AfterValidator(_checked_figures)]
"""Metrics of an epoch; only `monitor`, the name of the split, is text."""


class EpochRecord(Document):
    """A line of `metrics.jsonl`."""

    epoch: PositiveInt

    @model_validator(mode="after")
    def _has_figures(self) -> EpochRecord:
        _checked_figures(self.model_extra or {})
        return self


class StepRecord(EpochRecord):
    """A line of `steps.jsonl`."""

    step: PositiveInt


def parse(kind: type[M], content: bytes, path: Path, *, todo: str = "", place: str = "") -> M:
    """Validate a JSON document and return it as a value of a type.

    Args:
        kind: A model, or any type that pydantic validates.
        content: Document in UTF-8.
        path: File of the document, for the error.
        todo: Advice in the error.
        place: Position in the file.

    Raises:
        DataError: It does not parse, or a field is missing or has a wrong value; names file and fields.

    """
    try:
        found: M = _adapter(cast(Any, kind)).validate_json(content)
    except ValidationError as error:
        raise DataError(
            f"{path} is damaged",
            why=f"{place}{misfits(error)}",
            todo=todo or "restore it from a copy, or train again",
        ) from error
    return found


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
