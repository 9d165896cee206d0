"""Test the rules of docs/architecture.md: imports point down, one network constructor, one scoring function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEVELS = (
    ("__main__", "svipctl"),
    ("cli",),
    ("api", "visuals", "reproduce", "export", "baselines", "doctor"),
    ("training",),
    ("evaluation",),
    ("inference",),
    ("runs", "semantics"),
    ("settings",),
    ("datasets", "model"),
    (
        "distributed",
        "signals",
        "files",
        "text_files",
        "npz_files",
        "array_files",
        "pickles",
        "templates",
        "device",
        "cpu_count",
        "pace",
        "plans",
        "errors",
        "quoting",
        "types",
        "version",
    ),
)
"""Packages from the top level down; a package imports from lower levels only."""
GROUND = len(LEVELS) - 1
FUNCTIONS = ("matmul", "mm", "bmm", "einsum", "dot", "tensordot", "inner", "linear", "cosine_similarity")
PRODUCTS = {
    "svipctl.model.scores": "class scores: the one place",
    "svipctl.model.backbone": "attention",
    "svipctl.model.rollout": "attention rollout",
    "svipctl.model.svip": "pooling over windows",
    "svipctl.model.class_scorer": "class attributes in the space that they are compared in",
    "svipctl.model.attribute_attention": "keys of windows by queries of attributes",
    "svipctl.model.closed_form": "mean tokens to predicted attributes",
    "svipctl.model.patch_classifier": "pairs of windows",
    "svipctl.model.ridge": "closed form",
    "svipctl.model.eszsl": "closed form",
    "svipctl.baselines.sae": "closed form",
    "svipctl.baselines.bilinear": "gradients",
    "svipctl.baselines.choices": "features to predicted attributes, class attributes to prototypes",
    "svipctl.datasets.toybirds.drawing": "rotations",
    "svipctl.datasets.toybirds.species": "distances of species",
    "svipctl.evaluation.bootstrap": "counts of resamples",
    "svipctl.evaluation.calibration": "weighted accuracies",
    "svipctl.evaluation.protocols": "weighted accuracies",
    "svipctl.evaluation.localization": "weighted means",
    "svipctl.export.resize": "interpolation",
    "svipctl.visuals.embedding": "principal axes",
    "svipctl.visuals.tiles": "luminance",
}
"""Modules with matrix products, and what they multiply; class scores are computed in one of them only."""


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted((ROOT / "svipctl").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(name: str) -> set[str]:
    """Return the modules of svipctl that a module imports, at any place."""
    found = set()
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("svipctl"):
            whole = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {one if one in modules() else str(node.module) for one in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("svipctl")}
    return found - {name}


def package_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "svipctl"


def level(name: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if package_of(name) in rooms)


def products(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)) or (
            isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FUNCTIONS
        ):
            yield node


def test_every_module_belongs_to_a_level() -> None:
    known = {one for rooms in LEVELS for one in rooms}
    assert {package_of(name) for name in modules()} <= known


def test_imports_point_down() -> None:
    upward = [
        f"{name} -> {other}"
        for name in modules()
        for other in imports(name)
        if package_of(name) != package_of(other) and level(other) <= level(name) and level(name) != GROUND
    ]
    assert upward == []


def test_modules_and_packages_have_no_import_cycle() -> None:
    TopologicalSorter({name: imports(name) for name in modules()}).prepare()
    rooms: dict[str, set[str]] = {}
    for name in modules():
        rooms.setdefault(package_of(name), set()).update(
            package_of(other) for other in imports(name) if package_of(other) != package_of(name)
        )
    TopologicalSorter(rooms).prepare()


def test_the_network_is_constructed_in_one_place() -> None:
    calls = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "SVIP"
    ]
    assert calls == ["svipctl.inference.network"]


def test_only_the_listed_modules_have_matrix_products() -> None:
    multiplying = {name for name, tree in modules().items() if any(True for _ in products(tree))}
    assert multiplying == set(PRODUCTS), (
        "say in PRODUCTS what a new matrix product multiplies; scores are in model.scores"
    )


@pytest.mark.parametrize("call", ["print", "input", "sys.exit", "exit", "quit"])
def test_the_library_never_prints_asks_or_exits(call: str) -> None:
    calling = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call and package_of(name) not in ("cli", "__main__")
    ]
    assert calling == []


@pytest.mark.parametrize("stream", ["sys.argv", "sys.stdin", "sys.stdout", "sys.stderr"])
def test_the_library_uses_neither_arguments_nor_streams(stream: str) -> None:
    using = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) == stream
        and package_of(name) not in ("cli", "__main__")
    ]
    assert using == []


def test_no_two_public_classes_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for name, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_tests_import_public_names_only() -> None:
    """Imports of private modules of the command line are allowed; imports of private names are not."""
    private = []
    for path in sorted((Path(__file__).parent).rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and (node.module or "").startswith("svipctl")
                and node.module != "svipctl.cli"
            ):
                private += [f"{path.name}: {node.module}.{one.name}" for one in node.names if one.name.startswith("_")]
    assert private == []
