"""Pass 10,000 random lists of arguments to the real entry point, in a folder with some files.

Everything runs for real except what takes minutes: each of those raises a SvipError that marks it as reached. No
connection is allowed, and every file is written below the folder.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from svipctl.cli._app import make_app
from svipctl.cli._main import answer
from svipctl.cli._output import sink
from svipctl.errors import CheckFailed, ExitCode
from svipctl.settings.keys import known_choices
from svipctl.settings.schema import Settings
from svipctl.training.setup import image_size
from tests.cli.program import Page, commands, pages
from tests.reference.traces import FOLDER

pytestmark = pytest.mark.slow

LISTS = 10_000
LONG = {
    "drawing": "svipctl.datasets.registry.draw_all",
    "training": "svipctl.training.session.prepare",
    "several devices": "svipctl.distributed.launch.launch",
    "packing": "svipctl.datasets.packed_pixels.pack",
    "features": "svipctl.inference.image_features.image_features",
    "other processes": "subprocess.Popen",
    "vectors": "svipctl.semantics.build.train_toy_vectors",
}
FLAGS = ("json", "quiet", "debug", "silent")

KIND_OF = {
    "dataset": "datasets",
    "datasets": "datasets",
    "images": "files",
    "--backbone": "backbones",
    "--diff": "presets",
    "--gpu": "gpus",
    "--set": "settings",
    "--vectors": "vectors",
    "--weights": "weights",
}


def taken(page: Page, one: Any, name: str) -> str | list[str] | None:
    """Return the values of an option or argument: a kind, values to choose from (none for numbers), or no value."""
    if getattr(one, "is_flag", False) or name in ("--help", "-h"):
        return None
    is_path = "path" in one.display_type(page.context)
    return (
        KIND_OF.get(name)
        or [item.value for item in one.shell_complete(page.context, "")]
        or ("files" if is_path else [])
    )


PROGRAMS = [tuple(page.path.split()[1:]) for page in pages() if page.path != "svipctl tune"]  # it trains many times
OPTIONS_OF = {
    tuple(page.path.split()[1:]): {
        name: taken(page, one, name)
        for one in page.parameters
        for name in one.opts
        if name[0] == "-" and name != "--self-test"  # minutes at the size of ViT-B
    }
    for page in pages()
}
ARGUMENTS_OF = {
    tuple(page.path.split()[1:]): [
        taken(page, one, one.name) for one in page.parameters if one.param_type_name == "argument"
    ]
    for page in pages()
}
COMMANDS = [tuple(page.path.split()[1:]) for page in commands()]
OPTIONS = sorted(
    {name for options in OPTIONS_OF.values() for name in options} - {"--debug"}
)  # that one requests tracebacks
KEYS = {key: values or ["1", "0.5", "x"] for key, values in known_choices().items()}

JUNK = st.sampled_from(
    ["", " ", "-", "--", "---", "=", "--=", "-o", "-1", "0", "1e400", "nan", "\udcff", "é", "鳥", "%s"]
)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=8).filter(
    lambda text: text not in ("--debug", "..")
)
NAMES = st.sampled_from(["cub", "awa2", "sun", "toybirds", "toybirds", "small", "small", "birds", "cubs", "all"])
PATHS = st.sampled_from(
    ["small", "birds", "mine.csv", "tiny.npz", "notes.txt", "settings.toml", "no/such/file", ".", "*.csv", "out.npz"]
)
NUMBERS = st.sampled_from(["0", "1", "1", "2", "3", "-4", "7", "1e-4", "0.5", "9" * 20])
VALUES = NAMES | PATHS | NUMBERS | JUNK | TEXT
SETTINGS = st.builds(
    lambda key, value: f"{key}={value}",
    st.sampled_from([*KEYS, "data_dir", "optim", "model.backbone_args", "seed.x", "nothing", ""]),
    st.sampled_from(["1", "0", "-1", "x", "[]", "{}", "{a=1}", "", "true", "nan", '"a\\u0000b"', "[1e-4, inf]", "none"])
    | TEXT,
)
SENSIBLE_SETTINGS = st.sampled_from(
    sorted(f"{key}={value}" for key, values in KEYS.items() for value in values if key not in ("dataset", "offline"))
)
OF_KIND = {
    "files": PATHS,
    "datasets": NAMES,
    "official": NAMES,
    "settings": SENSIBLE_SETTINGS | SETTINGS,
    "recipes": st.sampled_from(["svipctl", "hybrid", "reference", "paper"]),
    "presets": st.sampled_from(["cub", "paper", "sun,reference", "cub,", ","]),
    "backbones": st.sampled_from(["vit_toy", "vit_tiny", "lite", "resnet50", "vit_tiny_patch16_224"]),
    "weights": st.sampled_from(["none", "pretrained", "tiny.npz"]),
    "precisions": st.sampled_from(["auto", "fp32", "bf16"]),
    "export_precisions": st.sampled_from(["fp32", "fp16", "int8"]),
    "export_formats": st.sampled_from(["onnx", "torch", "safetensors"]),
    "gpus": st.sampled_from(["auto", "cpu", "cpu,cpu", "0", "0,1", ",", "cpu,"]),
    "vectors": st.sampled_from(["glove-wiki-gigaword-50", "tiny.npz", "notes.txt", "mine.csv"]),
}


def value_of(takes: str | list[str] | None) -> st.SearchStrategy[str]:
    """Draw a value for an option or argument, mostly one of its own kind."""
    kind = st.sampled_from(takes) if takes and isinstance(takes, list) else OF_KIND.get(str(takes), NUMBERS)
    return st.integers(0, 4).flatmap(lambda number: kind if number else VALUES)


@st.composite
def shaped(draw: st.DrawFn) -> list[str]:
    """Draw a command with its own arguments and options, so that the list passes the parser."""
    path = draw(st.sampled_from(COMMANDS))
    words = []
    for takes in ARGUMENTS_OF[path]:
        count = draw(st.sampled_from([1, 1, 1, 1, 1, 1, 0, 2]))
        words += [[draw(value_of(takes or "files"))] for _ in range(count)]
    options = OPTIONS_OF[path]
    for name in draw(st.lists(st.sampled_from(sorted(set(options) - {"--debug", "-h"})), max_size=3)):
        words.append([name] if options[name] is None else [name, draw(value_of(options[name]))])
    return [*path, *(word for group in draw(st.permutations(words)) for word in group)]


def shapeless() -> st.SearchStrategy[list[str]]:
    """Draw words of the program and others in any order."""
    known = sorted({name for path in PROGRAMS for name in path})
    return st.lists(st.sampled_from(known) | st.sampled_from(OPTIONS) | VALUES | SETTINGS, max_size=7)


@pytest.fixture
def here(tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: a data folder, an invalid one, a table, predictions, and useless files."""
    folder = tmp_path / "here"
    shutil.copytree(shared_folder, folder / "small")
    (folder / "birds" / "images").mkdir(parents=True)
    shutil.copy(FOLDER / "evaluation" / "tiny.npz", folder)
    (folder / "mine.csv").write_text("class,has_size::large\njay,1\n")
    (folder / "notes.txt").write_bytes(b"\xff\xfe\x00 no table\n")
    (folder / "settings.toml").write_text("seed = 3\n[train]\nepochs = 2\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each long operation and the network were reached; none of them runs."""
    count: Counter[str] = Counter()

    def instead(name: str) -> Callable[..., NoReturn]:
        def stop(*arguments: object, **flags: object) -> NoReturn:
            count[name] += 1
            raise CheckFailed(f"reached {name}")

        return stop

    def no_network(*arguments: object) -> NoReturn:
        count["network"] += 1
        raise OSError("no network in this test")

    for name, place in LONG.items():
        monkeypatch.setattr(place, instead(name))
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    sizes: dict[str, int] = {}

    def size_of(settings: Settings) -> int:  # the same for the same backbone, and most of the time of `data pack`
        backbone = f"{settings.model.backbone} {settings.model.backbone_args}"
        return sizes.get(backbone) or sizes.setdefault(backbone, image_size(settings))

    monkeypatch.setattr("svipctl.training.setup.image_size", size_of)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)  # between two attempts
    return count


@pytest.fixture
def program(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], tuple[object, str, str, bool]]:
    """Return a function that runs the entry point here: exit code, stdout, stderr, and whether JSON was requested."""
    everything = get_command(make_app())  # built once, where each process builds the command that it runs
    monkeypatch.setattr("svipctl.cli._app.make_app", lambda words: None)
    monkeypatch.setattr("typer.main.get_command", lambda app: everything)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # --offline sets it
    monkeypatch.setenv("MPLCONFIGDIR", str(here / "matplotlib"))  # its folder in the home, if this is the first use

    def run(arguments: list[str]) -> tuple[object, str, str, bool]:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["svipctl", *arguments])
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, "utf-8"))
            patch.setattr(sys, "stderr", io.TextIOWrapper(err, "utf-8", errors="backslashreplace"))
            patch.setattr(sys, "stdin", io.StringIO("small\nnowhere.jpg\n"))
            for flag in FLAGS:
                patch.setattr(sink, flag, False)
            patch.setattr(sink, "_items", None)
            code = answer()
            asked = sink.json
            sys.stdout.flush()
            sys.stderr.flush()
            return code, out.getvalue().decode(), err.getvalue().decode(), asked

    return run


class Written:
    """Files that were opened for writing, made, moved or removed while it listens."""

    def __init__(self) -> None:
        self.listens = False
        self.paths: set[str] = set()
        sys.addaudithook(self.hear)  # audit hooks cannot be removed, only disabled

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.listens:
            return
        opened = event == "open" and isinstance(arguments[2], int)
        for_writing = opened and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if for_writing or event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate"):
            self._add(arguments[0])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._add(arguments[1])

    def _add(self, path: object) -> None:
        if isinstance(path, str | bytes):
            self.paths.add(os.path.realpath(os.fsdecode(path)))

    def outside(self, folder: Path) -> set[str]:
        """Return the files that are not below a folder, without compiled modules and the null device."""
        beyond = {path for path in self.paths if not Path(path).is_relative_to(folder.resolve())}
        return {path for path in beyond if path != os.devnull and "__pycache__" not in path}


def one_document(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def test_no_list_of_arguments_breaks_the_program(
    here: Path, reached: Counter[str], program: Callable[[list[str]], tuple[object, str, str, bool]]
) -> None:
    written, codes = Written(), Counter[object]()

    @settings(max_examples=LISTS, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 3).flatmap(lambda number: shaped() if number else shapeless()))
    @example(["train", "toybirds"])
    @example(["train", "small", "--backbone", "vit_tiny"])
    @example(["train", "toybirds", "--gpu", "cpu,cpu"])
    @example(["baseline", "small", "--backbone", "vit_tiny", "--weights", "none"])
    @example(
        ["reproduce", "small", "--controls", "none", "--seeds", "1", "--backbone", "vit_tiny", "--weights", "none"]
    )
    @example(["embed", "small", "--backbone", "vit_tiny", "--weights", "none", "-o", "out.npz"])
    @example(["baseline", "small", "--features", "tiny.npz"])
    @example(["data", "pack", "small", "--backbone", "vit_tiny"])
    @example(["w2v", "build", "toybirds", "-o", "out.npz"])
    @example(["data", "fetch", "all", "--data-dir", "fresh"])
    @example(["reproduce", "small", "--plan", "small"])
    @example(["reproduce", "small", "--output", "settings.toml"])
    @example(["reproduce", "small", "--weights", "\udcff"])
    @example(["eval", "small", "--checkpoint", ""])
    @example(["data", "status", "", "--info", "small"])
    def survives(arguments: list[str]) -> None:
        written.listens = True
        try:
            code, out, err, asked_for_json = program(arguments)
        finally:
            written.listens = False
        codes[code] += 1
        assert code in set(ExitCode), err
        assert "Traceback" not in out + err
        assert "report its output" not in out + err, err  # what is printed about a defect
        if code == ExitCode.DONE:
            assert "error: " not in err
        elif not asked_for_json:
            assert err.startswith("error: ") or "\nerror: " in err or "Usage: " in out, err
            assert "error: " not in out
        if asked_for_json and not {"-h", "--help", "--version"} & set(arguments):
            assert one_document(out), out

    survives()
    assert written.outside(here) == set()
    assert {*LONG, "network"} <= set(reached), reached
    assert {ExitCode.DONE, ExitCode.CHECK_FAILED, ExitCode.USAGE, ExitCode.DATA, ExitCode.NETWORK} <= set(codes), codes
    assert codes[ExitCode.USAGE] < 0.9 * sum(codes.values()), codes


def test_a_file_written_elsewhere_would_be_noticed(tmp_path: Path) -> None:
    written = Written()
    written.listens = True
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    written.listens = False
    assert written.outside(tmp_path / "inside") == {str(tmp_path / "b")}
