"""Test `svipctl visualize patches|attributes|attention|sheet`: what is written, printed and refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from svipctl.visuals.attention import PER_PAGE as ATTENTION_PAGE
from svipctl.visuals.attributes import PER_PAGE as ATTRIBUTES_PAGE
from svipctl.visuals.patches import PER_PAGE as PATCHES_PAGE
from tests.cli.test_bad_input import assert_refused
from tests.cli.test_schemas import follows
from tests.conftest import ATTRIBUTES, SEEN, UNSEEN, Command
from tests.processes import files_under

pytestmark = pytest.mark.slow

VERBS = ("patches", "attributes", "attention", "sheet")
CPU = ("--gpu", "cpu")
TEST_IMAGES = 20


@pytest.fixture
def small(masked_folder: Path, trained_copy: Path) -> str:
    """Return the data set; its run is in the folder of runs."""
    return str(masked_folder)


@pytest.mark.fast
def test_the_number_next_to_the_patches_is_the_one_eval_prints(command: Command, small: str, tmp_path: Path) -> None:
    evaluated = command("eval", small, "--json", *CPU).document["selection"]["mask"]["auc"]
    assert f"ground-truth masks: AUC {evaluated:.1f}" in command("eval", small, *CPU).stdout
    done = command("visualize", "patches", small, "--limit", "99", "-o", "all.svg", "--json", *CPU)
    assert done.code == 0, done.stderr
    selection = done.document["selection"]
    assert selection["images"] == TEST_IMAGES
    assert selection["auc"] == pytest.approx(evaluated, abs=1e-6)
    assert selection["eval"] == {"auc": evaluated, "images": TEST_IMAGES}
    assert done.document["files"] == ["all.svg"], "a file that is named is written"
    page = (tmp_path / "all.svg").read_text()
    assert f"{evaluated:.1f} over all {TEST_IMAGES} (svipctl eval)" in page
    assert f"over the {TEST_IMAGES} images here" in page
    assert "gamma 0.0000 (not calibrated on validation images" in page
    assert (done.document["gamma"], "not calibrated" in done.document["gamma_origin"]) == (0, True)


def test_a_given_folder_gets_the_pages(command: Command, small: str, tmp_path: Path) -> None:
    done = command("visualize", "patches", small, "--limit", "99", "-o", "pages/", "--json", *CPU)
    assert done.document["files"] == ["pages/patches-1.png", "pages/patches-2.png"]
    on_first = [one["auc"] for one in done.document["images"] if one["file"] == "pages/patches-1.png"]
    assert len(on_first) == PATCHES_PAGE
    named = command("visualize", "patches", small, "--limit", "2", "-o", "birds", "--json", *CPU)
    assert named.document["files"] == ["birds.png"]


@pytest.mark.parametrize("verb", VERBS)
def test_the_same_command_writes_the_same_bytes(command: Command, small: str, tmp_path: Path, verb: str) -> None:
    suffix = "svg" if verb in ("patches", "sheet") else "png"
    for name in ("one", "two"):
        done = command("visualize", verb, small, "--limit", "3", "--theme", "dark", "-o", f"{name}.{suffix}", *CPU)
        assert done.code == 0, done.stderr
        assert done.stdout.startswith(f"{name}.{suffix}: ")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


@pytest.mark.parametrize("verb", VERBS)
def test_documents_follow_their_schema_and_a_dry_run_writes_nothing(
    command: Command, small: str, tmp_path: Path, verb: str
) -> None:
    before = files_under(tmp_path)
    plan = command("visualize", verb, small, "--dry-run", "--json", *CPU)
    assert plan.code == 0, plan.stderr
    assert follows(f"visualize-{verb}", plan.document)
    assert {name for name in files_under(tmp_path) if not name.startswith(".streams")} == set(before)
    done = command("visualize", verb, small, "--json", *CPU)
    assert follows(f"visualize-{verb}", done.document)
    assert done.document["files"] == plan.document["files"] == [f"runs/small/first/figures/{verb}.png"]
    assert (tmp_path / done.document["files"][0]).exists()
    if verb != "sheet":  # which draws at random
        one_page = {"patches": PATCHES_PAGE, "attributes": ATTRIBUTES_PAGE, "attention": ATTENTION_PAGE}[verb]
        names = [one["image"] for one in done.document["images"]]
        assert names == [one["image"] for one in plan.document["images"]]
        assert len(names) == one_page


def test_split_class_and_attribute_choose_what_is_shown(command: Command, small: str) -> None:
    done = command("visualize", "patches", small, "--split", "train", "--class", SEEN[1], "--json", *CPU)
    assert {one["class"] for one in done.document["images"]} == {SEEN[1]}
    assert len(done.document["images"]) == 6
    done = command("visualize", "sheet", small, "--split", "unseen", "--json", *CPU)
    assert {one["class"] for one in done.document["images"]} <= set(UNSEEN)
    assert not any(one["seen"] for one in done.document["images"])
    wanted = ("--attribute", ATTRIBUTES[4], "--attribute", ATTRIBUTES[0])
    done = command("visualize", "attributes", small, "--top", "0", *wanted, "--json", *CPU)
    for one in done.document["images"]:
        assert list(one["attributes"]) == [ATTRIBUTES[4], ATTRIBUTES[0]]
        for shown in one["attributes"].values():
            assert shown["lowest"] < shown["highest"]
            assert all(0 <= place < side for place, side in zip(shown["peak"], one["grid"]))


@pytest.mark.parametrize("verb", VERBS)
def test_own_images_are_shown(command: Command, small: str, tmp_path: Path, verb: str) -> None:
    (tmp_path / "mine").mkdir()
    for number in range(3):
        Image.new("RGB", (90, 50), (80 * number, 40, 200)).save(tmp_path / "mine" / f"<b>{number}.jpg")
    done = command("visualize", verb, small, "mine", "-o", "folder/", "--json", *CPU)
    assert done.code == 0, done.stderr
    assert follows(f"visualize-{verb}", done.document)
    assert done.document["split"] is None
    assert [one["image"] for one in done.document["images"]] == [f"mine/<b>{number}.jpg" for number in range(3)]
    assert done.document["files"] == [f"folder/{verb}.png"]
    assert (tmp_path / "folder" / f"{verb}.png").exists()


def test_an_own_image_leaves_the_runs_figure_unchanged(command: Command, small: str, tmp_path: Path) -> None:
    Image.new("RGB", (90, 50)).save(tmp_path / "mine.jpg")
    done = command("visualize", "patches", small, "mine.jpg", "--json", *CPU)
    assert done.document["files"] == ["runs/small/first/figures/patches-own.png"]


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("patches", "--class", "seen_g"), 2, ("no class 'seen_g'", "did you mean 'seen_")),
        (
            ("attributes", "--attribute", "has_wing_color::rd"),
            2,
            ("no attribute", "did you mean 'has_wing_color::red'"),
        ),
        (("attributes", "--top", "0"), 2, ("1 to 7 fit on a page",)),
        (("attributes", "--top", "9"), 2, ("1 to 7 fit on a page",)),
        (("sheet", "-o", "sheet.pdf"), 2, ("PNG or SVG", "-o sheet.png")),
        (("patches", "mine.png", "--class", "seen_a"), 2, ("your own images",)),
        (("patches", "--split", "train", "--class", "unseen_x"), 3, ("no train image of unseen_x",)),
        (("patches", "nowhere.png"), 3, ("image not found: nowhere.png",)),
        (("attention", "--run", "frist"), 3, ("no run 'frist'", "first")),
        (("sheet", "--split", "tset"), 2, ("test",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and len(value) > 1 else None,
)
def test_a_missing_name_is_refused_with_the_nearest_one(
    command: Command, small: str, arguments: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    assert_refused(command("visualize", arguments[0], small, *arguments[1:], *CPU), code, *parts)


def test_maps_of_a_head_that_reads_the_class_token_are_refused(
    command: Command, small: str, tiny: tuple[str, ...]
) -> None:
    recipe = ("--set", "method.passes=source", "--set", "method.head=class-token")
    assert command("train", small, *tiny, *recipe, "--name", "token").code == 0
    assert_refused(
        command("visualize", "attributes", small, "--run", "token", *CPU),
        2,
        "reads the class token",
        "choose another --run",
    )
    done = command("visualize", "patches", small, "--run", "token", "--json", *CPU)
    assert done.document["selection"] == {}
    assert {(one["kept"], one["auc"]) for one in done.document["images"]} == {(None, None)}
    evaluated = command("eval", small, "--run", "token", "--json", *CPU).document
    assert evaluated["localisation"] == {}


def test_eval_measures_attribute_localization(command: Command, small: str) -> None:
    document = command("eval", small, "--json", *CPU).document
    assert follows("eval", document)
    figures = document["localisation"]["object"]
    assert (figures["truth"], figures["peaks"]) == ("mask", 2 * TEST_IMAGES)
    assert set(figures["groups"]) == {"has_bill_color", "has_wing_color"}
    assert (
        f"attribute localization: {figures['inside']:.1f} % of peaks inside the mask"
        in command("eval", small, *CPU).stdout
    )
