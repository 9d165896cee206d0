"""Select images of a report: some classified correctly and some not, each with its windows and its attributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svipctl.datasets.benchmark import Benchmark, spread
from svipctl.evaluation.per_class import answers_under, reading_row
from svipctl.evaluation.result import ModelEvaluation
from svipctl.visuals.inspection import Inspection, Inspector
from svipctl.visuals.patches import SCORES
from svipctl.visuals.report.pictures import Picture, picture
from svipctl.visuals.style import SEQUENTIAL
from svipctl.visuals.text import readable
from svipctl.visuals.tiles import faded, overlay

EACH = 3
"""Number of images of each kind: seen or unseen, classified correctly or incorrectly."""
ATTRIBUTES = 4
_SIDE = 128
_AMONG_UNSEEN = 1e6  # a gamma that leaves unseen classes only


@dataclass(frozen=True)
class Card:
    """One image."""

    image: Inspection
    answered: str
    windows: list[tuple[Picture, str]]
    """Pictures of its windows, and their captions."""
    attributes: list[tuple[Picture, str, str]]
    """Localization maps, with the attribute and its contribution to the score."""


def galleries(benchmark: Benchmark, evaluation: ModelEvaluation) -> dict[str, list[Card]]:
    """Inspect a few images of each kind, and return them by title; kinds without images are omitted."""
    row = reading_row(evaluation.results)
    given, labels = answers_under(evaluation.results, row), evaluation.results.answers.labels
    is_seen, right = evaluation.results.answers.is_seen, given == labels
    if row == "zsl":
        right = right | is_seen  # among unseen classes an image of a seen one has no correct answer: omitted
    gamma = evaluation.results.rows[row].get("gamma", _AMONG_UNSEEN if row == "zsl" else 0.0)
    inspector = Inspector(evaluation.model, benchmark, reasons=ATTRIBUTES, split=evaluation.split, gamma=gamma)
    score = SCORES[evaluation.model.network.recipe.score_source]
    found = {}
    for title, kind in (("Classified correctly", right), ("Misclassified", ~right)):
        places = np.concatenate([spread(np.flatnonzero(kind & side), EACH) for side in (is_seen, ~is_seen)])
        images = inspector.inspect([int(evaluation.predictions.indices[place]) for place in places])
        found[title] = [
            Card(one, evaluation.classes[given[place]], _windows(one, score), _attributes(one, benchmark.attributes))
            for one, place in zip(images, places)
        ]
    return {title: cards for title, cards in found.items() if cards}


def _windows(one: Inspection, score: str) -> list[tuple[Picture, str]]:
    tiles = [_tile(one.pixels, "image", f"image of {one.label}")]
    if one.kept is not None:
        tiles.append(_tile(faded(one.pixels, one.kept), "related windows", f"related windows of {one.label}"))
    if one.related is not None:
        tiles.append(_tile(_coloured(one.related), "classifier", "probability that a window is related"))
    if one.scores is not None:
        low, span = one.scores.min(), float(np.ptp(one.scores))
        scores = _coloured((one.scores - low) / span if span else np.zeros_like(one.scores))
        tiles.append(_tile(scores, score, "window scores of the source pass"))
    if one.mask is not None:
        tiles.append(_tile(faded(one.pixels, one.mask), f"ground-truth {one.truth}", f"mask of {one.label}"))
    return tiles


def _attributes(one: Inspection, names: Sequence[str]) -> list[tuple[Picture, str, str]]:
    if one.windows is None:
        return []
    tiles = []
    for reason in one.answer.speaks_for[:ATTRIBUTES]:
        values = one.windows[:, :, names.index(reason.attribute)]
        label = readable(reason.attribute).replace("::", ": ")
        tile = _tile(overlay(one.pixels, values), f"{'no ' * reason.lacking}{label}", f"localization map of {label}")
        tiles.append((*tile, f"{reason.weight:+.2f}"))
    return tiles


def _tile(pixels: NDArray[np.uint8], label: str, alt: str) -> tuple[Picture, str]:
    """Return a picture of at least 128 pixels a side, with its own pixels as sharp squares, and its caption."""
    times = max(1, round(_SIDE / max(pixels.shape[:2])))
    return picture(pixels.repeat(times, axis=0).repeat(times, axis=1), alt), label


def _coloured(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return windows with values from 0 to 1 in the colours of magnitude, each a sharp square."""
    colours = (matplotlib.colormaps[SEQUENTIAL](values)[..., :3] * 255).round().astype(np.uint8)
    return np.asarray(Image.fromarray(colours).resize((_SIDE, _SIDE), Image.Resampling.NEAREST))
