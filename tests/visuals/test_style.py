"""Test that figures are the same on every machine and at every time, and leave matplotlib's settings unchanged."""

from __future__ import annotations

import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from svipctl.errors import ConfigError, ResourceError
from svipctl.quoting import printable
from svipctl.visuals.style import (
    CYCLE,
    RELATED,
    SEEN,
    SEQUENTIAL,
    UNRELATED,
    UNSEEN,
    Theme,
    new_figure,
    save,
    themed,
)
from svipctl.visuals.text import entitle
from tests.faults import largest_file
from tests.processes import clean_environment

NAME = "<script>alert('x')</script> & $a_b$"


def draw(path: Path, theme: Theme = "light") -> bytes:
    with themed(theme):
        figure = new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([1, 2, 3], [3, 1, 2], label=NAME)
        axes.set_title(NAME)
        axes.imshow(np.arange(12).reshape(3, 4))
        axes.legend()
        save(figure, path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_same_figure_gives_the_same_bytes_under_any_user_style(tmp_path: Path, suffix: str) -> None:
    first = draw(tmp_path / f"a{suffix}")
    assert draw(tmp_path / f"b{suffix}") == first
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "savefig.dpi": 30}):
        assert draw(tmp_path / f"c{suffix}") == first
    assert draw(tmp_path / f"d{suffix}", "dark") != first


def test_a_name_is_shown_literally(tmp_path: Path) -> None:
    text = draw(tmp_path / "a.svg").decode()
    assert "<script>" not in text
    assert text.count("&lt;script&gt;alert('x')&lt;/script&gt; &amp; $a_b$") >= 2


@pytest.mark.parametrize(("theme", "is_light"), [("light", True), ("dark", False)])
def test_a_theme_has_its_background(tmp_path: Path, theme: Theme, is_light: bool) -> None:
    draw(tmp_path / "a.png", theme)
    corner = np.asarray(Image.open(tmp_path / "a.png").convert("L"))[0, 0]
    assert (corner > 200) == is_light
    assert (corner < 50) != is_light


def test_matplotlibs_settings_are_unchanged(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    draw(tmp_path / "a.png", "dark")
    assert dict(matplotlib.rcParams) == before


def test_no_display_and_no_pyplot_are_needed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.visuals.test_style import draw; "
        f"draw(Path({str(tmp_path / 'a.png')!r})); assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = clean_environment(MPLBACKEND="tkagg")
    environment.pop("DISPLAY", None)
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=100)


def test_other_formats_are_refused_and_folders_are_created(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PNG or SVG"):
        draw(tmp_path / "a.pdf")
    draw(tmp_path / "new" / "folder" / "a.svg")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written there"):
        draw(tmp_path / "file" / "a.png")


def test_a_full_disk_leaves_the_existing_image(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with largest_file(len(before) // 2), pytest.raises(ResourceError):
        draw(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# Machado, Oliveira and Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency",
# full severity, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(linear: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear.clip(0, 1) @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize("colours", [CYCLE, (SEEN, UNSEEN), (RELATED, UNRELATED)], ids=["cycle", "seen", "related"])
def test_colours_are_distinct_with_every_kind_of_colour_vision(colours: tuple[str, ...], deficiency: str) -> None:
    values = np.array([matplotlib.colors.to_rgb(colour) for colour in colours])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = lab(linear @ np.array(DEFICIENCIES[deficiency]).T)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2) + 1000 * np.eye(len(colours))
    assert distances.min() > (9 if colours == CYCLE else 20)  # 2.3 is a just noticeable difference


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_colour_map_of_magnitudes_grows_lighter_throughout(deficiency: str) -> None:
    values = matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 1, 33))[:, :3]
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    assert (np.diff(lab(linear @ np.array(DEFICIENCIES[deficiency]).T)[:, 0]) > 0.5).all()


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\x00b", "a\udcffb", "a\u202eb", "a & <b>"])
def test_an_svg_file_is_valid_with_any_name(name: str, tmp_path: Path) -> None:
    with themed():
        figure = new_figure(3, 2)
        figure.subplots().set_xlabel(printable(name))
        figure.text(0.1, 0.5, name.replace("\udcff", ""))
        entitle(figure, name)
        save(figure, tmp_path / "a.svg")
    xml.dom.minidom.parse(str(tmp_path / "a.svg"))


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no theme 'sepia'"), themed("sepia"):  # type: ignore[arg-type]
        pass
