"""Test sheets of images: they show the measured values, for every kind of recipe and image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from svipctl.inference.answers import Reason
from svipctl.model.recipe import Recipe
from svipctl.visuals.attention import attention_sheet
from svipctl.visuals.attributes import attribute_sheet, shown_attributes
from svipctl.visuals.captions import status_line
from svipctl.visuals.inspection import Inspection
from svipctl.visuals.patches import patch_sheet
from svipctl.visuals.sheet import contact_sheet, kinds, sorted_groups
from svipctl.visuals.style import NORMAL, SMALL, save, themed
from svipctl.visuals.text import fitted, text_width, wrapped
from svipctl.visuals.tiles import MARGIN, Sheet, faded, overlay
from tests.visuals.cases import tiny_inspector

pytestmark = pytest.mark.slow


@pytest.fixture
def inspections(tmp_path: Path) -> list[Inspection]:
    return list(tiny_inspector(tmp_path).inspect(range(12)))


def written(figure: Figure, path: Path) -> str:
    save(figure, path)
    return path.read_text()


def test_the_patch_sheet_shows_the_mean_auc_and_that_of_eval(inspections: list[Inspection], tmp_path: Path) -> None:
    mean = np.mean([one.auc for one in inspections if one.auc is not None])
    with themed():
        text = written(
            patch_sheet(inspections, "Title", score_source="rollout", evaluated={"auc": 81.25, "images": 700}),
            tmp_path / "a.svg",
        )
    assert (
        f"AUC against ground-truth masks: {mean:.1f} over the 12 images here; 81.2 over all 700 (svipctl eval)" in text
    )
    assert text.count("AUC ") >= 12
    for word in ("Title", "selected", "classifier", "rollout", "true mask", "unseen"):
        assert word in text


def test_a_patch_sheet_names_a_missing_selection_or_ground_truth(tmp_path: Path) -> None:
    with themed("dark"):
        (one,) = tiny_inspector(tmp_path, Recipe(passes="source")).inspect([1])
        text = written(patch_sheet([one], "Title", score_source="rollout"), tmp_path / "a.svg")
        assert "no window is selected" in text
        assert "classifier" not in text.replace("patch classifier", "")
        inspector = tiny_inspector(tmp_path)
        (one,) = inspector.inspect([inspector.benchmark.image_path(0)])
        text = written(patch_sheet([one], "Title", score_source="cosine"), tmp_path / "b.svg")
    assert "There are no masks or boxes of the object" in text
    assert "similarity" in text
    assert "true " not in text


def test_the_tiles_of_a_patch_sheet_show_the_values(inspections: list[Inspection]) -> None:
    with themed():
        figure = patch_sheet(inspections[:1], "Title", score_source="rollout")
    kept, classifier, rollout, truth = figure.axes[0].images[1:]  # after the colour bar
    one = inspections[0]
    assert one.related is not None
    assert one.mask is not None
    assert one.scores is not None
    np.testing.assert_allclose(classifier.get_array(), one.related)
    assert classifier.get_clim() == (0, 1)
    np.testing.assert_allclose(rollout.get_array(), one.scores)
    assert np.array_equal(truth.get_array()[one.mask], one.pixels[one.mask])
    hidden = np.asarray(kept.get_array()).astype(int) != one.pixels
    assert one.kept is not None
    assert hidden.reshape(2, 16, 2, 16, 3).any(axis=(1, 3, 4)).tolist() == (~one.kept).tolist()


def test_attribute_maps_show_the_strongest_then_the_named_ones_without_duplicates(
    inspections: list[Inspection], tmp_path: Path
) -> None:
    names = ("has_bill_shape::cone", "furry", "has_wing_color::red", "has_size::small", "has_tail::<b>&long")
    one = inspections[0]
    reasons = tuple(replace(reason, attribute=names[int(reason.attribute[1])]) for reason in one.answer.speaks_for)
    one = replace(one, answer=replace(one.answer, speaks_for=reasons))
    strongest = [names.index(reason.attribute) for reason in reasons]
    assert shown_attributes(one, names, 2, ()) == strongest[:2]
    other = next(column for column in range(5) if column not in strongest[:2])
    assert shown_attributes(one, names, 2, (strongest[0], other))[-2:] == [strongest[0], other]
    assert len(set(shown_attributes(one, names, 2, (strongest[0], other)))) == len(
        shown_attributes(one, names, 2, (strongest[0], other))
    )
    present, absent = (
        replace(one, answer=replace(one.answer, speaks_for=(Reason("furry", 0.5, lacking),)))
        for lacking in (False, True)
    )
    with themed():
        text = written(attribute_sheet([one], "Title", names, strongest=0, named=(4, 1)), tmp_path / "a.svg")
        drawn = [
            written(attribute_sheet([it], "Title", names, strongest=1), tmp_path / "b.svg") for it in (present, absent)
        ]
    assert [">no furry<" in it for it in drawn] == [False, True]
    assert "&lt;b&gt;&amp;long" in text
    assert "furry" in text
    assert one.windows is not None
    assert f"{one.windows[:, :, 4].min():.2f} to {one.windows[:, :, 4].max():.2f}".replace("-", "−") in text


def test_attention_has_a_column_per_block_and_at_most_six(inspections: list[Inspection], tmp_path: Path) -> None:
    deep = replace(inspections[0], attention=np.random.default_rng(0).random((12, 4, 4), dtype=np.float32))
    with themed():
        two = written(attention_sheet(inspections[:2], "Title", score="rollout"), tmp_path / "a.svg")
        twelve = written(attention_sheet([deep], "Title", score="rollout"), tmp_path / "b.svg")
    assert [f"block {number}" in two for number in (1, 2, 3)] == [True, True, False]
    shown = [number for number in range(1, 13) if f">block {number}<" in twelve]
    assert (shown[0], shown[-1], len(shown)) == (1, 12, 6)


def test_a_contact_sheet_stops_reading_when_each_group_is_full(inspections: list[Inspection]) -> None:
    taken = 0

    def images() -> Iterator[Inspection]:
        nonlocal taken
        for taken in range(1, 10_001):
            one = inspections[taken % 12]
            yield replace(one, is_seen=taken % 2 == 0, true_class=one.answer.name if taken % 3 else "another")

    groups, looked_at = sorted_groups(images(), 20, kinds("test"))
    assert [len(found) for found in groups.values()] == [5] * 4
    assert taken == looked_at < 50
    for (is_seen, is_right), found in groups.items():
        assert all((one.is_seen, one.is_right) == (is_seen, is_right) for one in found)
    assert kinds("unseen") == [(False, True), (False, False)]
    assert kinds("train") == kinds("seen") == [(True, True), (True, False)]
    assert kinds("test", own=True) == [(None, None)]


def test_a_contact_sheet_has_a_heading_for_each_group_it_found(inspections: list[Inspection], tmp_path: Path) -> None:
    groups, _ = sorted_groups(inspections, 80, kinds("test"))
    with themed():
        text = written(contact_sheet(groups, "Title", looked_at=12), tmp_path / "a.svg")
    for (is_seen, is_right), found in groups.items():
        heading = (
            f"{'seen' if is_seen else 'unseen'} classes, {'classified correctly' if is_right else 'misclassified'}"
        )
        assert (f">{heading}<" in text) == bool(found)
    assert text.count("→ ") == sum(1 for one in inspections if not one.is_right)


def test_fading_hides_the_other_windows_and_an_overlay_leaves_the_lowest_grey() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    shown = np.array([[True, False], [False, True]])
    result = faded(pixels, shown)
    assert np.array_equal(result[:16, :16], pixels[:16, :16])
    assert np.ptp(result[:16, 16:]) < 40, "almost nothing of the image is visible under the grey"
    laid = overlay(pixels, np.array([[0.0, 1.0], [0.0, 1.0]])).astype(int)
    assert np.ptp(laid[:, 0], axis=-1).max() <= 1  # grey: red, green and blue alike
    assert np.ptp(laid[:, -1], axis=-1).min() > 40
    flat = overlay(pixels, np.full((2, 2), 3.0)).astype(int)
    assert np.ptp(flat, axis=-1).max() <= 1


@pytest.mark.parametrize("room", [0.2, 0.8, 2.0, 9.0])
def test_a_long_name_keeps_both_ends_and_fits(room: float) -> None:
    name = "001.Black_footed_Albatross_of_the_southern_WWWWWW"
    text = fitted(name, room)
    assert text_width(text) <= room
    assert (text == name) == (text_width(name) <= room)
    if text != name:
        start, end = text.split("…")
        assert name.startswith(start)
        assert name.endswith(end)


@pytest.mark.parametrize("room", [0.9, 2.5, 7.1])
def test_sentences_are_wrapped_without_loss(room: float) -> None:
    text = "The class token's attention on each patch, mean over heads, in the pass over the whole image. Each its own."
    lines = wrapped(text, room)
    assert " ".join(lines) == text
    assert all(text_width(line, NORMAL) <= room for line in lines)


@pytest.mark.parametrize("sheet", [attention_sheet, attribute_sheet, patch_sheet, contact_sheet])
def test_sentences_on_a_sheet_are_not_truncated(inspections: list[Inspection], tmp_path: Path, sheet: Any) -> None:
    names = [f"a{number}" for number in range(5)]
    with themed():
        figure = {
            attention_sheet: lambda: attention_sheet(inspections[:1], "Title", score="rollout"),
            attribute_sheet: lambda: attribute_sheet(inspections[:1], "Title", names, strongest=0, named=(1,)),
            patch_sheet: lambda: patch_sheet(inspections[:1], "Title", score_source="rollout"),
            contact_sheet: lambda: contact_sheet(
                sorted_groups(inspections, 8, kinds("test"))[0], "Title", looked_at=12
            ),
        }[sheet]()
    sentences = [text for text in figure.texts if text.get_fontsize() == NORMAL]
    assert sentences
    for text in sentences:
        assert "…" not in text.get_text()
        assert MARGIN + text_width(text.get_text(), NORMAL) <= figure.get_figwidth()


def test_a_long_class_and_a_long_answer_fit_on_one_line(inspections: list[Inspection]) -> None:
    long = "003.red_crowned_red_winged_forked_tailed_" + 3 * "and_so_on_"
    one = replace(inspections[0], true_class=long, answer=replace(inspections[0].answer, name=f"{long}x"))
    with themed():
        figure = attention_sheet([one], "Title", score="rollout")
    left, right = (text for text in figure.texts if text.get_text().startswith(("003.", "seen ·", "unseen ·")))
    ends = [text.get_position()[0] * figure.get_figwidth() for text in (left, right)]
    assert ends[0] + text_width(left.get_text()) < ends[1] - text_width(right.get_text())
    assert status_line(replace(one, true_class=None, is_seen=None), 1.0).startswith("classified as ")


@pytest.mark.parametrize(
    "name", ["038.Great_Crested_Flycatcher", "a", "→ 011.red_crowned_blue_winged_pointed_tail", "W" * 40]
)
def test_a_name_is_broken_after_underscores_into_lines_that_fit(name: str) -> None:
    lines = wrapped(name, 1.1, SMALL, most=3)
    assert len(lines) <= 3
    assert all(text_width(line) <= 1.1 for line in lines)
    assert "".join(lines) == name or "…" in lines[-1]


def test_places_are_inches_from_the_top_left(tmp_path: Path) -> None:
    with themed():
        sheet = Sheet(4, 2)
        sheet.tile(1, 0.5, 2, 1).picture(np.zeros((4, 4, 3), dtype=np.uint8))
        save(sheet.figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        dark = np.asarray(image.convert("L")) < 128
    rows, columns = np.nonzero(dark)
    assert dark.shape == (300, 600)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (75, 224, 150, 449)


def test_an_outline_separates_marked_cells_from_the_others() -> None:
    cells = np.array([[True, True, False], [True, False, False]])
    with themed():
        sheet = Sheet(3, 2)
        sheet.tile(0, 0, 3, 2).outline(cells, "red")
    (lines,) = sheet.canvas.collections
    found = {tuple(map(tuple, path.vertices)) for path in lines.get_paths()}
    assert found == {((1, 1), (2, 1)), ((2, 0), (2, 1)), ((1, 1), (1, 2))}
