"""Test that each command's JSON document follows its schema in docs/schemas/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.cli.program import ROOT, commands
from tests.conftest import Command
from tests.reference.traces import FOLDER

pytestmark = pytest.mark.slow

SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "schemas").glob("*.json")}
PREDICTIONS = (FOLDER / "evaluation" / "tiny.npz").resolve()


def follows(name: str, document: Any) -> bool:
    problems = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(SCHEMAS[name]).iter_errors(document)
    ]
    assert problems == []
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_schema_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_every_command_has_a_schema() -> None:
    wanted = {page.path.removeprefix("svipctl ").replace(" ", "-") for page in commands()}
    assert wanted - set(SCHEMAS) == set()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("config-show", ("config", "show", "cub")),
        ("config-show", ("config", "show", "cub", "--origin")),
        ("config-show", ("config", "show", "cub", "--diff", "reference")),
        ("completion", ("completion", "fish")),
        ("doctor", ("doctor", "--offline")),
        ("eval", ("eval", "--predictions", str(PREDICTIONS))),
        ("train", ("train", "toybirds", "--dry-run")),
        ("embed", ("embed", "toybirds", "-o", "toybirds.npz", "--dry-run")),
        ("data-fetch", ("data", "fetch", "cub", "--dry-run")),
        ("data-status", ("data", "status")),
        ("data-pack", ("data", "pack", "toybirds", "--dry-run")),
        ("w2v-build", ("w2v", "build", "toybirds", "--dry-run")),
        ("error", ("train", "nowhere")),
        ("error", ("train", "cub", "--epochs", "many")),
        ("error", ("eval", "cub")),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one[:3]),
)
def test_a_document_follows_its_schema(name: str, arguments: tuple[str, ...], command: Command) -> None:
    assert follows(name, command(*arguments, "--json").document)


def test_training_and_evaluation_follow_their_schemas(
    command: Command, shared_folder: Path, tiny: tuple[str, ...]
) -> None:
    assert follows("train", command("train", str(shared_folder), *tiny, "--json").document)
    assert follows("eval", command("eval", str(shared_folder), "--json", "--gpu", "cpu").document)


def test_a_pack_follows_its_schema(command: Command, small_folder: Path) -> None:
    flags = ("--backbone", "vit_tiny", "--json")
    assert follows("data-pack", command("data", "pack", str(small_folder), *flags).document)
    assert follows("data-pack", command("data", "pack", str(small_folder), "--verify", *flags).document)


def test_a_schema_refuses_what_is_not_documented() -> None:
    document = {"healthy": True, "findings": [], "more": 1}
    assert list(Draft202012Validator(SCHEMAS["doctor"]).iter_errors(document))
