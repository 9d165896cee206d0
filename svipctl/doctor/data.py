"""Benchmarks, their word vectors, and the pretrained weights that are on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from svipctl.datasets.installed import status_of
from svipctl.datasets.names import BUILT_IN, OFFICIAL
from svipctl.datasets.registry import pictures_to_draw, word_vectors_file
from svipctl.doctor.finding import Finding


def check_benchmarks(data_dir: Path) -> Iterator[Finding]:
    """Each official benchmark: complete, absent (then nothing is wrong), or in need of mending."""
    for name in OFFICIAL:
        status = status_of(name, data_dir)
        if status.state == "complete":
            yield Finding(name, "ok", f"{status.images_in_all or 0:,} images in {data_dir / name}")
        elif status.state == "absent":
            yield Finding(name, "absent", "not fetched", status.todo)
        else:
            yield Finding(name, "wrong", status.problem or status.state, status.todo)
        if status.state != "absent":
            yield _word_vectors(name, data_dir, f"svipctl w2v build {name} --vectors word2vec-google-news-300")
    for name in BUILT_IN:
        to_draw = pictures_to_draw(name, data_dir)
        found = f"{to_draw:,} pictures are drawn on first use" if to_draw else f"drawn in {data_dir / name}"
        yield Finding(name, "ok", found)
        if not to_draw:
            yield _word_vectors(name, data_dir, f"svipctl w2v build {name}")


def _word_vectors(name: str, data_dir: Path, build: str) -> Finding:
    path = word_vectors_file(name, data_dir)
    if path.is_file():
        return Finding(f"{name} word vectors", "ok", str(path))
    return Finding(f"{name} word vectors", "absent", "not built", build)


def check_weights(offline: bool) -> Finding:
    """Whether pretrained weights of the default backbone are in timm's cache; reads the cache, never the network."""
    from huggingface_hub import try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    from svipctl.model.backbone import ALIASES
    from svipctl.settings.schema import ModelSettings

    name, _ = ALIASES.get(ModelSettings().backbone, (ModelSettings().backbone, {}))
    described = get_pretrained_cfg(name)
    place = described.hf_hub_id if described is not None else None
    files = ("model.safetensors", "pytorch_model.bin")
    found = [try_to_load_from_cache(place, file) for file in files] if place else []
    path = next((one for one in found if isinstance(one, str)), None)
    if path:
        return Finding("pretrained weights", "ok", f"{name}, in the cache")
    todo = "give --weights FILE, or allow the network" if offline else ""
    said = "not in the cache; downloaded when first trained" if not offline else "not in the cache, and --offline"
    return Finding("pretrained weights", "absent", f"{name}: {said}", todo)
