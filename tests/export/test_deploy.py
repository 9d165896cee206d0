"""Test that the example of docs/deploy.md runs unchanged, without svipctl."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svipctl.datasets.toybirds.drawing import draw_bird
from svipctl.datasets.toybirds.species import ATTRIBUTES, draw_species
from svipctl.export.graph import ExportGraph, Pixels
from svipctl.export.onnx import write_onnx
from svipctl.model.recipe import Recipe
from svipctl.model.svip import SVIP
from tests.model.tiny import scramble, vit

DOCUMENT = Path(__file__).parents[2] / "docs" / "deploy.md"
MINE = {
    "firebird": ("has_crown_color::red", "has_wing_color::red", "has_belly_color::yellow"),
    "skybird": ("has_crown_color::blue", "has_wing_color::blue", "has_belly_color::blue"),
}


def example() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    return found


def test_the_example_has_twenty_lines_and_does_not_import_svipctl() -> None:
    lines = [line for line in example().splitlines() if line.strip()]
    assert len(lines) <= 20
    assert not re.search(r"(import|from)\s+(svipctl|torch)", example())


@pytest.mark.slow
def test_the_example_prints_the_class_that_the_model_predicts(tmp_path: Path) -> None:
    model = SVIP(vit(depth=1), len(ATTRIBUTES), Recipe(keep=2, context="free"), hidden=8).eval()
    graph = ExportGraph(scramble(model, 1), [0.5] * 3, [0.5] * 3, 32, Pixels(resize=True))
    about = {"precision": "fp32", "made_by": "test", "attributes": ATTRIBUTES}
    write_onnx(graph, about, tmp_path / "toybirds.onnx")
    table = torch.tensor([[float(name in has) for name in ATTRIBUTES] for has in MINE.values()])
    answers = set()
    for number, species in enumerate(draw_species(0)[:12]):
        picture, _ = draw_bird(species, np.random.default_rng(number))
        picture.save(tmp_path / "bird.png")
        images = torch.from_numpy(np.asarray(Image.open(tmp_path / "bird.png")).transpose(2, 0, 1).copy())[None]
        with torch.no_grad():
            scores = graph(images, table, torch.zeros(2))[0][0]
        expected = list(MINE)[int(scores.argmax())]
        if expected in answers:
            continue
        answers.add(expected)
        script = example() + "\nimport sys\nassert not {'svipctl', 'torch'} & set(sys.modules)\n"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr
    assert answers
