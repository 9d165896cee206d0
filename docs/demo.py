"""Run the commands that README shows with their output, and put the output there. `--check` only compares the figures.

A block of output follows a comment `<!-- demo: COMMANDS -->`. The commands run in a folder of their own, with the program
of this checkout; `docs/results/demo.json` keeps what `svipctl eval toybirds --json` then says.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README, RESULT = ROOT / "README.md", ROOT / "docs" / "results" / "demo.json"
BLOCK = re.compile(r"<!-- demo: (?P<commands>.+?) -->\n```text\n(?P<output>.*?)```\n", re.DOTALL)


def run(commands: str, folder: Path) -> str:
    """Return what shell commands print on both streams in a folder."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "svipctl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m svipctl "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": f"{ROOT}"}
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return re.sub(r"^epoch \S+  step .*\n", "", done.stdout, flags=re.MULTILINE)  # only a slow machine prints these


def figures(text: str) -> dict[str, set[str]]:
    """Return the figures of each row of an evaluation's table, as they stand there, by the row's name."""
    rows = re.findall(r"^  (zsl|gzsl[a-z-]*|reference|ausuc) +(.*)$", text, re.MULTILINE)
    return {name: set(re.findall(r"(?<![±\d])\d+\.\d", rest)) for name, rest in rows}


def differences(readme: str, evaluation: dict[str, dict[str, float]]) -> list[str]:
    """Return a line for each row of an evaluation's `protocols` of which README's table lacks a figure."""
    shown = {name: row for block in BLOCK.finditer(readme) for name, row in figures(block["output"]).items()}
    found = []
    for name, row in evaluation.items():
        wanted = {f"{value:.1f}" for key, value in row.items() if key not in ("gamma", "offset")}
        if missing := wanted - shown.get(name, set()):
            found.append(f"{name}: README lacks {', '.join(sorted(missing))} of {RESULT.name}")
    return found


def main() -> int:
    """Write README's outputs, or compare them."""
    readme = README.read_text(encoding="utf-8")
    if "--check" not in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for block in BLOCK.finditer(readme):
                output = run(block["commands"], folder)
                readme = readme.replace(block[0], f"<!-- demo: {block['commands']} -->\n```text\n{output}```\n")
            document = json.loads(run("svipctl eval toybirds --json 2>/dev/null", folder))
        README.write_text(readme, encoding="utf-8")
        kept = {key: document[key] for key in ("dataset", "run", "recipe", "images", "protocols", "intervals")}
        RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    found = differences(readme, json.loads(RESULT.read_text(encoding="utf-8"))["protocols"])
    sys.stdout.write("".join(f"{line}\n" for line in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
