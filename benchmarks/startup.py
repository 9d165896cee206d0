"""Time help and completion, and `python -c "import typer, rich"` for comparison, in alternation on one machine."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator

from svipctl.cli._app import COMMANDS, Commands, Group

ROUNDS = 15
PROGRAM = [sys.executable, "-m", "svipctl"]
LINES = ("svipctl tr", "svipctl train cu", "svipctl eval cub --run ", "svipctl train cub --set optim.")


def processor_time(command: list[str], **environment: str) -> float:
    """Return the user and system time of a command, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=os.environ | environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def paths(commands: Commands, *above: str) -> Iterator[tuple[str, ...]]:
    """Return the words of every command and group."""
    yield above
    for name, place in commands.items():
        yield from paths(place.commands, *above, name) if isinstance(place, Group) else [(*above, name)]


def main() -> None:
    bare, libraries = "bare interpreter", 'python -c "import typer, rich"'
    cases: dict[str, tuple[list[str], dict[str, str]]] = {
        bare: ([sys.executable, "-c", "pass"], {}),
        libraries: ([sys.executable, "-c", "import typer, rich"], {}),
    }
    for path in paths(COMMANDS):
        words = [*path, "--help"]
        cases["svipctl " + " ".join(words)] = ([*PROGRAM, *words], {})
    for line in LINES:
        cases[f"{line}<TAB>"] = (PROGRAM, {"_SVIPCTL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line})
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (command, environment) in cases.items():
            times[name].append(processor_time(command, **environment))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"Python {platform.python_version()}, medians of {ROUNDS} rounds, processor time\n")
    print("| what | ms | times the libraries | ms above the bare interpreter |\n|---|---|---|---|")
    for name, taken in medians.items():
        print(f"| `{name}` | {taken:.0f} | {taken / medians[libraries]:.2f} | {taken - medians[bare]:.0f} |")


if __name__ == "__main__":
    main()
