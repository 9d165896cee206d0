"""Check the benchmarks, their word vectors, and the cached pretrained weights."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.datasets.registry import pictures_to_draw, word_vectors_file
from svipctl.datasets.status import status_of
from svipctl.doctor.finding import Finding
from svipctl.model import lite_weights
from svipctl.quoting import shell_command
from svipctl.settings.layers import RECIPES
from svipctl.settings.preset import preset_settings


def check_benchmarks(data_dir: Path) -> Iterator[Finding]:
    """Yield a finding for each official benchmark: complete, absent (not an error), or in need of repair."""
    for name in OFFICIAL:
        status = status_of(name, data_dir)
        if status.state == "complete":
            yield Finding(name, "ok", f"{status.images_in_all or 0:,} images in {data_dir / name}")
        elif status.state == "absent":
            yield Finding(name, "absent", "not fetched", status.todo)
        else:
            yield Finding(name, "wrong", status.problem or status.state, status.todo)
        if status.state != "absent":
            yield _word_vectors(
                name, data_dir, shell_command("w2v", "build", name, "--vectors", "word2vec-google-news-300")
            )
    for name in BUILT_IN:
        to_draw = pictures_to_draw(name, data_dir)
        found = f"{to_draw:,} images are generated on first use" if to_draw else f"generated in {data_dir / name}"
        yield Finding(name, "ok", found)
        if not to_draw:
            yield _word_vectors(name, data_dir, shell_command("w2v", "build", name))


def _word_vectors(name: str, data_dir: Path, build: str) -> Finding:
    path = word_vectors_file(name, data_dir)
    if path.is_file():
        return Finding(f"{name} word vectors", "ok", str(path))
    return Finding(f"{name} word vectors", "absent", "not built", build)


def check_weights(offline: bool) -> Iterator[Finding]:
    """Check that the pretrained weights of the presets are in timm's cache, without using the network."""
    from svipctl.model.weights import cached_weights

    used: dict[str, list[str]] = {}
    for dataset, recipe in product((*OFFICIAL, "folder"), RECIPES):
        backbone = preset_settings(recipe, dataset=dataset, recipe=recipe).model.backbone
        presets = used.setdefault(backbone, [])
        if dataset not in presets:
            presets.append(dataset if recipe == RECIPES[0] else f"{dataset} with {recipe}")
    for backbone, presets in used.items():
        name = f"pretrained {backbone}"
        if backbone == lite_weights.NAME:  # a default only if they are installed
            yield Finding(name, "ok", str(lite_weights.stem_weights_file()))
            continue
        path = cached_weights(backbone)
        if path is not None:
            yield Finding(name, "ok", f"in the cache: {path}")
            continue
        missing = (
            "not in the cache, and downloads are disabled (--offline)"
            if offline
            else "not in the cache; downloaded by the first training"
        )
        todo = "pass --weights FILE, or omit --offline" if offline else ""
        yield Finding(name, "absent", f"{missing} (for {', '.join(presets)})", todo)
