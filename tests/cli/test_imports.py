"""Test that help, completion and `import svipctl` import no heavy library and so stay instant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import pages
from tests.marks import first_fast
from tests.processes import clean_environment

HEAVY = {"torch", "timm", "gensim", "scipy", "numpy", "matplotlib"}

# Forks a process per request before anything is imported, and reports modules and exit codes.
_PROGRAM = """
import json, os, sys, io, contextlib
answers = []
for request in json.loads(sys.argv[1]):
    reader, writer = os.pipe()
    if os.fork() == 0:
        code, out = 0, io.StringIO()
        os.environ.update(request["environment"])
        sys.argv = ["svipctl", *request["arguments"]]
        try:
            with contextlib.redirect_stdout(out):
                if request["import"]:
                    import svipctl
                else:
                    from svipctl.cli._main import main
                    main()
        except SystemExit as error:
            code = error.code or 0
        os.write(writer, json.dumps({"code": code, "out": out.getvalue()[:3000], "modules": sorted(
            {name.partition(".")[0] for name in sys.modules})}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answers.append(json.loads(pipe.read()))
    os.wait()
print(json.dumps(answers))
"""


def tree() -> list[list[str]]:
    """Return every command and group of the program."""
    return [page.path.split()[1:] for page in pages()]


def ask(requests: list[dict[str, object]], cwd: Path) -> list[dict[str, object]]:
    """Return what each request printed and imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(requests)],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return json.loads(done.stdout)


def request(*arguments: str, library: bool = False, **environment: str) -> dict[str, object]:
    return {"arguments": arguments, "environment": environment, "import": library}


def test_the_tree_has_every_documented_command() -> None:
    names = {" ".join(path) for path in tree()}
    assert {"train", "eval", "predict", "export", "visualize", "reproduce", "config show", "doctor"} <= names
    assert {"data fetch", "data status", "data pack", "data import", "w2v build", "w2v check"} <= names


@pytest.mark.parametrize("words", [("trian",), ("train",), ("train", "cub", "--epochs", "many"), ("data",), ()])
def test_an_invalid_command_line_imports_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    (answer,) = ask([request(*words)], tmp_path)
    assert answer["code"] == 2
    assert not HEAVY.intersection(answer["modules"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "line",
    first_fast(
        [
            *("train nowhere", "eval toybirds --run nope", "predict nope.jpg", "export nowhere"),
            *("train cub", "train toybirds --resume nope", "train toybirds --weights nope.pth"),
            *("train toybirds --init-from nope.pth", "train toybirds --final --from-development nope"),
            *("eval nowhere", "eval sun", "eval --predictions nope.npz"),
            *("eval toybirds --checkpoint nope.pth", "baseline nowhere", "reproduce nowhere", "reproduce cub"),
            *("embed nope.jpg -o x.npz", "embed cub -o x.npz", "embed toybirds --run nope -o x.npz"),
            *("baseline toybirds --features nope.npz", "embed toybirds --weights nope.pth -o x.npz"),
            *("predict --run nope nope.jpg", "export toybirds --run nope"),
            *("visualize patches nowhere", "visualize patches toybirds --run nope", "visualize report nowhere"),
            *("visualize curves nowhere", "visualize compare a b", "data pack nowhere", "data status nowhere"),
            *("w2v build nowhere", "w2v build cub", "w2v check nowhere", "config show nowhere"),
        ],
        4,
    ),
)
def test_a_missing_name_is_reported_before_anything_heavy_is_imported(line: str, tmp_path: Path) -> None:
    (answer,) = ask([request(*line.split())], tmp_path)
    assert answer["code"] in (2, 3)
    assert not HEAVY.intersection(answer["modules"])  # type: ignore[arg-type]


def test_import_and_every_help_import_nothing_heavy(tmp_path: Path) -> None:
    paths = tree()
    answers = ask([request(library=True), *(request(*path, "--help") for path in paths)], tmp_path)
    assert all("svipctl" in answer["modules"] for answer in answers)  # type: ignore[operator]
    assert [answer["code"] for answer in answers] == [0] * (len(paths) + 1)
    heavy = {" ".join(path): HEAVY.intersection(answer["modules"]) for path, answer in zip(paths, answers[1:])}  # type: ignore[arg-type]
    assert {path: modules for path, modules in heavy.items() if modules} == {}
    assert not HEAVY.intersection(answers[0]["modules"])  # type: ignore[arg-type]
    assert all("Usage" in str(answer["out"]) for answer in answers[1:])
    assert all("pydantic" not in answer["modules"] for answer in answers)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("svipctl tr", ["train"]),
        ("svipctl train toy", ["toybirds"]),
        ("svipctl eval su", ["sun"]),
        ("svipctl train cub --recipe p", ["paper"]),
        ("svipctl eval cub --run", ["--run", "--runs-dir"]),
        ("svipctl train cub --set optim.warmup_l", ["optim.warmup_lr="]),
        ("svipctl reproduce cub --controls svipctl/sel-n", ["svipctl/sel-none"]),
    ],
)
def test_completion_answers_and_imports_nothing_heavy(line: str, expected: list[str], tmp_path: Path) -> None:
    words = line.split()
    bash = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    (answer,) = ask([request(_SVIPCTL_COMPLETE="complete_bash", **bash)], tmp_path)
    assert str(answer["out"]).splitlines() == expected
    assert not HEAVY.intersection(answer["modules"])  # type: ignore[arg-type]
