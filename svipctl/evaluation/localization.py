"""Measure the attribute localization: compare the peak of each attribute's map with the object and the attribute's
part.

An attribute's map is the attribute head on every window. In each image and for each group of attributes that describes
a part (`has_wing_color::...`) the map of the group's strongest attribute of the image's class is used, and the window
of its peak: the pointing game of Zhang et al. (2016), "Top-down neural attention by excitation backprop".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svipctl.datasets.benchmark import Benchmark, Indices
from svipctl.datasets.images import Geometry
from svipctl.datasets.part_locations import part_places
from svipctl.evaluation.calibration import Bools, Floats, Integers
from svipctl.evaluation.truth import ObjectTruth, part_truth

_WHOLE = frozenset({"has_size", "has_shape", "has_primary_color"})  # these describe the bird, not a part

# By the word of an attribute group, the parts of CUB's annotations; of several parts the nearest counts.
_PARTS: dict[str, tuple[str, ...]] = {
    "bill": ("beak",),
    "wing": ("left wing", "right wing"),
    "upperparts": ("back", "nape"),
    "underparts": ("belly", "breast", "throat"),
    "breast": ("breast",),
    "back": ("back",),
    "tail": ("tail",),
    "upper_tail": ("tail",),
    "under_tail": ("tail",),
    "head": ("crown", "forehead", "left eye", "right eye"),
    "throat": ("throat",),
    "eye": ("left eye", "right eye"),
    "forehead": ("forehead",),
    "nape": ("nape",),
    "belly": ("belly",),
    "leg": ("left leg", "right leg"),
    "crown": ("crown",),
}


@dataclass(frozen=True)
class PartGroups:
    """G groups of attributes, each of which describes a part."""

    names: tuple[str, ...]
    """`has_<part>_<property>`."""
    chosen: Integers
    """(C, G) column of the group's attribute that a class has most; -1 if the class has none of them."""

    @property
    def parts(self) -> list[tuple[str, ...]]:
        """CUB's parts of each group; none if CUB has no such group."""
        return [_PARTS.get(name.removeprefix("has_").rpartition("_")[0], ()) for name in self.names]


def part_groups(benchmark: Benchmark) -> PartGroups | None:
    """Return the groups among attributes named `has_<part>_<property>::<value>`; None if there are none."""
    columns: dict[str, list[int]] = {}
    for column, attribute in enumerate(benchmark.attributes):
        name, separator, _ = attribute.partition("::")
        if separator and name not in _WHOLE and name.startswith("has_") and name.count("_") >= 2:
            columns.setdefault(name, []).append(column)
    if not columns:
        return None
    chosen = []
    for group in columns.values():
        values = benchmark.class_attributes[:, group]
        chosen.append(np.where(values.max(axis=1) > 0, np.array(group)[values.argmax(axis=1)], -1))
    return PartGroups(tuple(columns), np.stack(chosen, axis=1))


def localisation(
    benchmark: Benchmark,
    indices: Indices,
    peaks: Integers,
    groups: PartGroups,
    truth: ObjectTruth | None,
    geometry: Geometry,
    shape: tuple[int, int],
) -> dict[str, Any]:
    """Compare the peaks with the object and, in CUB, with the annotated parts (percent).

    Args:
        benchmark: Data set of the images.
        indices: (N,) images.
        peaks: (N, G) window, in raster order, at which the map of the group's chosen attribute is highest.
        groups: Groups from `part_groups`.
        truth: Location of the object, if known.
        geometry: Geometry of the network's input.
        shape: Rows and columns of windows.

    Returns:
        `object`: share of the peaks whose window's centre is `inside` the object. `parts`: mean `distance` from there
        to the nearest visible part, in percent of the diagonal of the bird's box. Each with the values of other
        peaks: a `uniform` choice of window, the `centre` of the image, and the group's own peaks `shuffled` among the
        images. Empty if nothing is known.

    """
    found: dict[str, Any] = {}
    known = groups.chosen[benchmark.labels[indices]] >= 0
    if truth is not None and known.any():
        inside = np.repeat(truth.inside[:, :, None].astype(np.float64), len(groups.names), axis=2)
        found["object"] = {"truth": truth.source, **_measured("inside", inside, peaks, known, groups.names)}
    places = part_places(benchmark)
    parts = groups.parts
    if places is not None and all(parts):
        distances = part_truth(benchmark, indices, geometry, shape, places, parts)
        known = known & np.isfinite(distances[:, -1])
        if known.any():
            found["parts"] = _measured("distance", distances, peaks, known, groups.names)
    return found


def _measured(name: str, values: Floats, peaks: Integers, known: Bools, groups: Sequence[str]) -> dict[str, Any]:
    """Return the metrics over all groups and of each group.

    Args:
        name: Name of the metric.
        values: (N, W + 1, G) value of a peak at each window and, last, at the centre of the image.
        peaks: (N, G) windows.
        known: (N, G) True for values that count.
        groups: (G,) names.

    """
    windows = values.shape[1] - 1
    by_group: dict[str, dict[str, float]] = {}
    for number, group in enumerate(groups):
        rows = np.flatnonzero(known[:, number])
        if not len(rows):
            continue
        worth, centre, peak = values[rows, :-1, number], values[rows, -1, number], peaks[rows, number]
        frequency: NDArray[np.float64] = np.bincount(peak, minlength=windows) / len(rows)
        by_group[group] = {
            name: 100 * float(worth[np.arange(len(rows)), peak].mean()),
            "uniform": 100 * float(worth.mean()),
            "centre": 100 * float(centre.mean()),
            "shuffled": 100 * float((worth @ frequency).mean()),
            "peaks": len(rows),
        }
    of_groups, peaks_in_all = list(by_group.values()), int(known.sum())
    means = {
        key: sum(one["peaks"] * one[key] for one in of_groups) / peaks_in_all
        for key in (name, "uniform", "centre", "shuffled")
    }
    return {**means, "peaks": peaks_in_all, "groups": by_group}
