"""Draw one toy bird on a cluttered background, and the exact mask of the bird.

Shapes are polygons in the bird's own coordinates (body radius 1, head to the right, y down), moved into the image by
one affine map, drawn at three times the size and averaged down.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from svipctl.datasets.toybirds.species import Species

SIZE = 64
_OVERSAMPLING = 3

COLORS = {
    "red": (204, 44, 40),
    "blue": (44, 88, 200),
    "yellow": (240, 200, 48),
}
_BILL, _LEG, _BODY, _INK = (232, 140, 44), (110, 80, 52), (176, 160, 140), (36, 28, 30)
# Earth and leaf tones for scenery, and bird colours for distractors, so that colour alone does not reveal the bird.
_SCENERY = ((96, 128, 72), (132, 148, 92), (88, 104, 96), (150, 128, 92), (120, 140, 160), (170, 176, 160))
_BILLS = {
    "cone": [(1.3, -0.95), (1.95, -0.5), (1.3, -0.12)],
    "dagger": [(1.34, -0.66), (2.6, -0.5), (1.34, -0.4)],
    "hooked": [(1.3, -0.85), (1.8, -0.85), (2.15, -0.5), (2.1, 0.15), (1.8, -0.35), (1.3, -0.3)],
}
_TAILS = {
    "forked": [
        [(-0.8, -0.2), (-2.2, -0.95), (-1.9, -0.45), (-0.8, 0.1)],
        [(-0.8, -0.05), (-1.9, 0.5), (-2.2, 1.0), (-0.8, 0.3)],
    ],
    "fan": [[(-0.7, -0.1), (-1.5, -0.95), (-1.9, -0.5), (-2.0, 0.1), (-1.9, 0.6), (-1.5, 1.0), (-0.7, 0.25)]],
    "pointed": [[(-0.75, -0.22), (-2.5, 0.05), (-0.75, 0.28)]],
}
"""Shape -> its feathers."""

Points = np.ndarray


def draw_bird(species: Species, rng: np.random.Generator, size: int = SIZE) -> tuple[Image.Image, Image.Image]:
    """Return an RGB image of a bird at random position, scale and pose, and its mask (mode L, 0 or 255)."""
    full = size * _OVERSAMPLING
    picture = _background(full, rng)
    mask = Image.new("L", (full, full))
    place = _Placement.random(species.value("has_size"), full, rng)
    canvas = _Canvas(ImageDraw.Draw(picture), ImageDraw.Draw(mask), place, _jitter(rng))
    _bird(canvas, species, rng)
    noise = rng.normal(0, 6, (size, size, 3))
    small = np.asarray(picture.reduce(_OVERSAMPLING), dtype=np.float64) + noise
    return (
        Image.fromarray(small.clip(0, 255).astype(np.uint8)),
        mask.reduce(_OVERSAMPLING).point(lambda value: 255 if value >= 128 else 0),
    )


class _Placement:
    """An affine map from bird coordinates to pixels."""

    def __init__(self, center: Points, scale: float, angle: float, mirrored: bool) -> None:
        cos, sin = np.cos(angle), np.sin(angle)
        self.center = center
        self.matrix = scale * np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])

    @classmethod
    def random(cls, bird_size: str, full: int, rng: np.random.Generator) -> _Placement:
        scale = full * (rng.uniform(0.15, 0.17) if bird_size == "small" else rng.uniform(0.205, 0.225))
        reach = 2.0 * scale  # tail to bill is about four body radii
        center = rng.uniform(reach, full - reach, 2) if full > 2 * reach else rng.uniform(0.44, 0.56, 2) * full
        return cls(center, scale, rng.uniform(-0.35, 0.35), bool(rng.integers(2)))

    def __call__(self, points: Points) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in points @ self.matrix.T + self.center]


class _Canvas:
    """Draw polygons into the image and into the mask."""

    def __init__(
        self, picture: ImageDraw.ImageDraw, mask: ImageDraw.ImageDraw, place: _Placement, light: np.ndarray
    ) -> None:
        self.picture, self.mask, self.place, self.light = picture, mask, place, light

    def polygon(self, points: Points | Sequence[Sequence[float]], color: tuple[int, int, int]) -> None:
        pixels = self.place(np.asarray(points, dtype=float))
        self.picture.polygon(pixels, fill=_lit(color, self.light))
        self.mask.polygon(pixels, fill=255)

    def ellipse(self, x: float, y: float, width: float, height: float, color: tuple[int, int, int]) -> None:
        self.polygon(_ellipse(x, y, width, height), color)


def _bird(canvas: _Canvas, species: Species, rng: np.random.Generator) -> None:
    """Draw the bird back to front: legs, tail, body, belly, head, crown, bill, wing, breast, eye."""
    crown, wing, belly = (COLORS[species.value(f"has_{part}_color")] for part in ("crown", "wing", "belly"))
    for x in (-0.15, 0.2):
        canvas.polygon([(x, 0.6), (x + 0.08, 0.6), (x + 0.1, 1.25), (x + 0.02, 1.25)], _LEG)
    for feather in _TAILS[species.value("has_tail_shape")]:
        canvas.polygon(feather, _BODY)
    canvas.ellipse(0, 0, 1.05, 0.72, _BODY)
    canvas.ellipse(0.08, 0.28, 0.85, 0.44, belly)
    canvas.ellipse(0.95, -0.55, 0.48, 0.46, _BODY)
    canvas.polygon(_ellipse(0.93, -0.62, 0.5, 0.46, first=np.pi, last=2 * np.pi), crown)
    canvas.polygon(_BILLS[species.value("has_bill_shape")], _BILL)
    lift = rng.uniform(-0.15, 0.15)
    canvas.polygon([(0.1, -0.5), (0.0, 0.1), (-0.4, 0.3 + lift), (-1.2, 0.1 + lift), (-0.6, -0.55)], wing)
    _breast(canvas, species.value("has_breast_pattern"))
    canvas.ellipse(1.08, -0.52, 0.09, 0.09, (250, 250, 250))
    canvas.ellipse(1.09, -0.52, 0.05, 0.05, (10, 10, 10))


def _breast(canvas: _Canvas, pattern: str) -> None:
    if pattern == "striped":
        for x in (0.1, 0.45, 0.8):
            canvas.polygon([(x - 0.1, -0.1), (x + 0.1, -0.1), (x + 0.06, 0.66), (x - 0.14, 0.66)], _INK)
    elif pattern == "spotted":
        for x, y in ((0.05, 0.45), (0.3, 0.15), (0.42, 0.55), (0.66, 0.3), (0.92, 0.05)):
            canvas.ellipse(x, y, 0.13, 0.13, _INK)


def _background(full: int, rng: np.random.Generator) -> Image.Image:
    """Return a sky-to-ground gradient with leaves, branches, and distractors in bird colours."""
    top, bottom = (np.array(_SCENERY[i], dtype=float) for i in rng.choice(len(_SCENERY), 2, replace=False))
    ramp = np.linspace(0, 1, full)[:, None, None]
    column = top * (1 - ramp) + bottom * ramp
    picture = Image.fromarray(np.broadcast_to(column, (full, full, 3)).astype(np.uint8).copy())
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(10, 20)):
        points = _random_leaf(full, rng)
        draw.polygon(points, fill=_lit(_SCENERY[rng.integers(len(_SCENERY))], _jitter(rng)))
    for _ in range(rng.integers(1, 4)):
        ends = rng.uniform(0, full, (2, 2))
        draw.line([tuple(end) for end in ends], fill=_lit(_LEG, _jitter(rng)), width=int(full * 0.03))
    names = list(COLORS)
    for _ in range(rng.integers(3, 7)):
        points = _random_leaf(full, rng, smallest=0.02, largest=0.06)
        draw.polygon(points, fill=_lit(COLORS[names[rng.integers(len(names))]], _jitter(rng)))
    return picture


def _random_leaf(
    full: int, rng: np.random.Generator, smallest: float = 0.04, largest: float = 0.16
) -> list[tuple[float, float]]:
    long, short = rng.uniform(smallest, largest) * full, rng.uniform(smallest, largest) * full / 2
    place = _Placement(rng.uniform(0, full, 2), 1.0, rng.uniform(0, np.pi), False)
    return place(_ellipse(0, 0, long, short, points=12))


def _ellipse(
    x: float, y: float, width: float, height: float, *, first: float = 0.0, last: float = 2 * np.pi, points: int = 24
) -> Points:
    angles = np.linspace(first, last, points)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def _jitter(rng: np.random.Generator) -> np.ndarray:
    """Return a small random change of light for each channel."""
    return rng.uniform(0.85, 1.1) * rng.uniform(0.95, 1.05, 3)


def _lit(color: tuple[int, int, int], light: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(np.array(color) * light, 0, 255))
    return red, green, blue
