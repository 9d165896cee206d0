"""Test the report's page: complete, escaped, valid, self-contained, and working in a browser."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svipctl.errors import ConfigError, DataError
from svipctl.evaluation.per_class import per_class
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.settings.schema import Settings
from svipctl.visuals.report.comparison import check_same_images
from svipctl.visuals.report.contents import gather
from svipctl.visuals.report.page import check_page_name, render, write_page
from tests.conftest import SEEN, UNSEEN
from tests.evaluation.cases import benchmark
from tests.runs.made import make_old
from tests.visuals.browser import needs_browser, opened, opened_with_script, script_output
from tests.visuals.evaluated import Evaluated, evaluated

pytestmark = pytest.mark.slow

ODD = ["<script>alert(1)</script>", "&amp; \"quoted\" 'class'", "$x^2$ {{ 7 * 7 }}", "Größe_中文"]
HUNDREDS = 717
LOADING = ("src", "srcset", "href", "action", "data", "poster", "background", "formaction", "xlink:href")


@pytest.fixture(scope="module")
def subject(trained: Path, masked_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    return evaluated(trained, masked_folder, tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def contents(subject: Evaluated) -> dict[str, Any]:
    return gather(subject.run, subject.benchmark, subject.settings, subject.evaluation)


@pytest.fixture(scope="module")
def page(contents: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, render("run.html", contents))
    return path


@pytest.fixture(scope="module")
def large(contents: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a benchmark with as many classes as SUN, some of them with unusual names."""
    rng = np.random.default_rng(0)
    names = [*ODD, *(f"class_{number:03}" for number in range(len(ODD), HUNDREDS))]
    labels = np.repeat(np.arange(HUNDREDS), 3)
    scores = rng.standard_normal((len(labels), HUNDREDS)) + 3 * np.eye(HUNDREDS)[labels]
    case = Scored(scores, labels, np.arange(645), np.arange(645, HUNDREDS))
    classes = per_class(evaluate_protocols(case, gamma=0.1, resamples=0), names)
    ranked = sorted(classes, key=lambda one: one.accuracy["gzsl-calibrated"])
    path = tmp_path_factory.mktemp("large") / "report.html"
    many = contents | {
        "title": ODD[0],
        "classes": classes,
        "class_rows": ["zsl", "gzsl", "gzsl-calibrated", "gzsl-oracle"],
        "reading": "gzsl-calibrated",
        "hardest": [classes[0], *ranked[:7]],
        "best": ranked[::-1][:8],
    }
    write_page(path, render("run.html", many))
    return path


class Attributes(HTMLParser):
    """Attributes of every element, the text of table cells, and the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += "" if tag == "wbr" else " "  # a name may be broken there, and is one name
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_is_complete(page: Path, subject: Evaluated) -> None:
    text = " ".join(Attributes(page.read_text()).text.split())
    for protocol in subject.evaluation.document["protocols"]:
        assert protocol in text
    for name in (*SEEN, *UNSEEN):
        assert name in text
    for part in ("Hardest", "Best", "Classified correctly", "Misclassified", "Training data", "its own labels"):
        assert part in text
    network = subject.evaluation.model.network
    assert f"calling every window related is correct {network.keep} times in {network.grid.windows}" in text
    for fact in (
        "ground-truth masks",
        "bootstrap interval",
        "Environment of the training",
        "36 images of 6 seen classes",
    ):
        assert fact in text
    settings = subject.run.settings()
    assert "model.backbone vit_tiny_patch16_224 flag" in text
    assert re.search(rf"svipctl train {re.escape(settings.dataset)} [^|]*--name first [^|]*--epochs 1", text)
    assert f"svipctl visualize report {subject.settings.dataset} --run first" in text
    assert "no row gzsl-calibrated" in text


def test_numbers_are_those_of_the_evaluation(page: Path, subject: Evaluated) -> None:
    rows = re.findall(r'<tr class="row-([\w-]+)">(.*?)</tr>', page.read_text(), re.DOTALL)
    shown = {row: [float(one) for one in re.findall(r">(-?[\d.]+)(?:<| )", cells)] for row, cells in rows}
    for row, figures in subject.evaluation.document["protocols"].items():
        values = [value for name, value in figures.items() if name not in ("gamma", "offset")]
        assert shown[row] == pytest.approx(values, abs=0.051)


def test_localisation_has_a_line_for_all_attributes_and_for_each_part(page: Path, subject: Evaluated) -> None:
    found = subject.evaluation.document["localisation"]["object"]
    text = " ".join(Attributes(page.read_text()).text.split())
    groups = {name.removeprefix("has_").replace("_", " "): one for name, one in found["groups"].items()}
    assert groups
    for name, one in ({"all": found} | groups).items():
        figures = " ".join(f"{one[key]:.1f}" for key in ("inside", "uniform", "centre", "shuffled"))
        assert f" {name} {figures} {one['peaks']} " in text


def test_every_chart_has_a_light_and_a_dark_version(page: Path) -> None:
    text = page.read_text()
    dark = re.findall(
        r'<source media="\(prefers-color-scheme: dark\)" srcset="data:image/svg\+xml;base64,([^"]+)"', text
    )
    light = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)"', text)
    assert len(light) == len(dark) == 7
    for one, other in zip(light, dark):
        assert one != other
        assert base64.b64decode(one).decode().endswith("</svg>\n")


def test_the_same_run_gives_the_same_page(page: Path, subject: Evaluated) -> None:
    again = gather(subject.run, subject.benchmark, subject.settings, subject.evaluation)
    assert render("run.html", again) == page.read_text()


@pytest.mark.parametrize("which", ["page", "large"])
def test_the_page_loads_nothing(which: str, request: pytest.FixtureRequest) -> None:
    text = request.getfixturevalue(which).read_text()
    parsed = Attributes(text)
    for _, name, value in parsed.attributes:
        if name in LOADING:
            assert value.startswith(("data:", "#")), value[:80]
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(", text)
    policy = next(value for tag, name, value in parsed.attributes if tag == "meta" and value.startswith("default-src"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    for encoded in re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text):
        drawing = base64.b64decode(encoded).decode()
        assert not re.search(r'(?:href|src)="(?!#|data:)', drawing)


def test_a_name_with_markup_is_shown_literally(large: Path) -> None:
    text = large.read_text()
    parsed = Attributes(text)
    assert parsed.tags.count("script") == 1
    assert "<script>alert" not in text
    for name in ODD:
        assert name in parsed.text
    assert "49" not in re.findall(r"\$x\^2\$ (\S+)", parsed.text)


def test_control_characters_of_a_name_are_escaped(contents: dict[str, Any]) -> None:
    first, *others = contents["classes"]
    page = render("run.html", contents | {"classes": [replace(first, name="\x1b[31mred\u202e"), *others]})
    assert not re.search("[\x1b\u202e]", page)
    assert r"\x1b[31mred\u202e" in page


def test_a_report_of_hundreds_of_classes_is_complete_and_of_reasonable_size(large: Path, page: Path) -> None:
    rows = re.findall(r"<tr><th scope=\"row\">", large.read_text().partition('id="class-table"')[2])
    assert len(rows) >= HUNDREDS
    assert large.stat().st_size < page.stat().st_size + 400 * HUNDREDS + 50_000 < 2**21


@pytest.mark.skipif(shutil.which("tidy") is None, reason="tidy is not installed")
@pytest.mark.parametrize("which", ["page", "large"])
def test_the_page_is_valid_html(which: str, request: pytest.FixtureRequest) -> None:
    done = subprocess.run(["tidy", "-errors", "-quiet", request.getfixturevalue(which)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("tidy") is None, reason="tidy is not installed")
def test_the_validator_finds_errors(page: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(page.read_text().replace("</table>", "", 1))
    done = subprocess.run(["tidy", "-errors", "-quiet", broken], capture_output=True, text=True)
    assert done.returncode > 0


@needs_browser
@pytest.mark.parametrize("which", ["page", "large"])
def test_a_browser_opens_the_page_without_an_error(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = opened(request.getfixturevalue(which), tmp_path)
    assert found.console == []
    assert "Protocols" in found.document
    dialog = "alert(1)"
    assert f"<script>{dialog}" not in found.document


@needs_browser
def test_the_browser_test_detects_errors_and_refused_loads(page: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    more = '<img src="https://example.org/a.png" alt=""><script>nothing();</script></body>'
    broken.write_text(page.read_text().replace("</body>", more))
    console = "\n".join(opened(broken, tmp_path).console)
    assert "nothing is not defined" in console
    assert "Content Security Policy" in console


SORTING = """
const table = document.getElementById("class-table");
const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
const heads = [...table.tHead.rows[0].cells];
const state = () => heads.map((head) => head.getAttribute("aria-sort")).join();
const column = (number) => [...table.tBodies[0].rows].map((row) => row.cells[number].textContent.trim());
const rising = (values) => values.every((value, i) => i === 0 || values[i - 1] <= value);
const numbers = () => column(5).map(Number);
const before = names();
tell(state());
heads[5].querySelector("button").click();
tell(state()); tell(rising(numbers()));
heads[5].querySelector("button").click();
tell(state()); tell(rising(numbers().reverse()));
heads[3].querySelector("button").click();
tell(column(3)[0]);
heads[0].querySelector("button").click();
tell(names().length === before.length && [...names()].sort().join() === [...before].sort().join());
tell(names().indexOf("class_100") < names().indexOf("class_101"));
const input = document.querySelector("input[type=search]");
input.value = "SCRIPT>"; input.dispatchEvent(new Event("input"));
tell([...table.tBodies[0].rows].filter((row) => !row.hidden && getComputedStyle(row).display !== "none").length);
tell(document.querySelector("[role=status]").textContent);
"""


@needs_browser
def test_a_heading_sorts_the_table_and_the_filter_finds_a_class(large: Path, tmp_path: Path) -> None:
    found = opened_with_script(large, SORTING, tmp_path)
    assert found.console == []
    unsorted, up, rises, down, falls, absent, complete, ordered, shown, status = script_output(found)
    assert set(unsorted.split(",")) == {"none"}
    assert up.split(",")[5] == "ascending"
    assert down.split(",")[5] == "descending"
    assert (rises, falls, absent, complete, ordered) == ("true", "true", "–", "true", "true")
    assert (shown, status) == ("1", f"1 of {HUNDREDS} classes")


@needs_browser
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_the_width_of_a_phone_and_of_a_desktop(width: int, large: Path, tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.html", tmp_path / "outer.html"
    script = (
        "<script>const root = document.documentElement;"
        "onload = () => parent.postMessage([root.scrollWidth, root.clientWidth], '*');</script></body>"
    )
    inner.write_text(large.read_text().replace("</body>", script))
    outer.write_text(
        f'<!DOCTYPE html><pre id="told"></pre><iframe src="inner.html" style="width: {width}px; height: 800px; border: 0">'
        '</iframe><script>onmessage = (one) => { document.getElementById("told").textContent = `${one.data[0]}\\n${one.data[1]}\\n`; };'
        "</script>"
    )
    needed, there = map(int, script_output(opened(outer, tmp_path)))
    assert width - 20 <= there <= width
    assert needed == there


def test_a_run_of_an_earlier_version_shows_the_origin_of_its_settings(subject: Evaluated, tmp_path: Path) -> None:
    from svipctl.runs.run import Run
    from svipctl.visuals.report.tables import configuration

    run = Run(Path(shutil.copytree(subject.run.folder, tmp_path / "old")))
    (run.folder / "origins.json").unlink()
    make_old(run.folder)
    found = {one.key: one for one in configuration(run, run.settings())}
    assert (found["train.batch_size"].origin, found["train.batch_size"].differs) == ("the run", True)
    assert (found["optim.warmup_lr"].origin, found["optim.warmup_lr"].differs) == ("default", False)
    assert any(one.origin.startswith("preset folder") for one in found.values())
    (run.folder / "origins.json").write_text("[")
    with pytest.raises(DataError, match="damaged"):
        configuration(run, run.settings())


def test_a_report_must_be_an_html_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="HTML"):
        check_page_name(tmp_path / "report.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(ConfigError, match="folder"):
        check_page_name(tmp_path / "folder.html")
    check_page_name(tmp_path / "new" / "report.html")


DEVELOPMENT = {
    "rule": "median over the development runs",
    "epochs": 3,
    "gamma": 0.125,
    "runs": [{"run": "a-fold1", "fold": 1, "seed": 0, "epochs": 3, "gamma": 0.125, "harmonic": 61.26}],
}


def test_a_final_run_reports_its_choices_and_their_images(subject: Evaluated, tmp_path: Path) -> None:
    from svipctl.runs.run import Run
    from svipctl.visuals.report.tables import commands, provenance

    run = Run(Path(shutil.copytree(subject.run.folder, tmp_path / "final")))
    (run.folder / "validation_images.txt").write_text("images/one.png\nimages/two.png\n")
    document = subject.evaluation.document | {"development": DEVELOPMENT}
    evaluation = replace(subject.evaluation, document=document)
    said = dict(provenance(run, run.settings(), evaluation, subject.benchmark))
    assert said["gamma"] == "0.1250, median over the development runs"
    assert said["development run a-fold1"] == "fold 1, seed 0: 3 epochs, gamma 0.1250, H 61.3 on its validation images"
    assert said["checked"] == "none of the 2 validation images is scored here"
    train, evaluate_, report = commands(run, run.settings(), DEVELOPMENT, "small")
    assert "--final --from-development a-fold1" in train
    assert "--epochs" not in train
    assert (evaluate_[:12], report.split()[:3]) == ("svipctl eval", ["svipctl", "visualize", "report"])


def test_the_leak_is_reference_minus_calibrated(contents: dict[str, Any], subject: Evaluated) -> None:
    assert contents["leak"] is None
    protocols = subject.evaluation.document["protocols"]
    calibrated = protocols | {"gzsl-calibrated": {"gamma": 0.1, "U": 10.0, "S": 20.0, "H": 13.3}}
    evaluation = replace(subject.evaluation, document=subject.evaluation.document | {"protocols": calibrated})
    found = gather(subject.run, subject.benchmark, subject.settings, evaluation)
    assert found["leak"] == pytest.approx(protocols["reference"]["H"] - 13.3)
    assert "The leak: choosing on test" in " ".join(Attributes(render("run.html", found)).text.split())


def test_runs_that_are_scored_on_different_images_are_not_compared(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    one, other = benchmark(tmp_path / "a"), benchmark(tmp_path / "b")
    settings = [Settings(dataset="toy")] * 2
    check_same_images(["x", "y"], [one, one], settings)
    with pytest.raises(ConfigError, match="x and y are not scored on the same images"):
        check_same_images(["x", "y"], [one, other], settings)
    shorter = replace(one, test_unseen=one.test_unseen[1:])
    with pytest.raises(ConfigError, match="x and y are not scored on the same images") as caught:
        check_same_images(["x", "y"], [one, shorter], settings)
    assert caught.value.why == "their images differ"
