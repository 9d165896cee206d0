"""Write everything that is made from the program: completions/, its table, docs/cli.md and docs/man/. `--check` only looks.

Run by `make generated`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from svipctl.cli.app import app
from svipctl.cli.reference import generated_files

ROOT = Path(__file__).resolve().parents[1]
OWNED = ("completions/*", "docs/man/*")


def stale(root: Path) -> list[str]:
    """Files that are not what the program makes now, or that it makes no more."""
    wanted = generated_files(app)
    there = {str(path.relative_to(root)) for pattern in OWNED for path in root.glob(pattern)}
    return sorted(
        {name for name, text in wanted.items() if not (root / name).is_file() or (root / name).read_text() != text}
        | (there - set(wanted))
    )


def write(root: Path) -> list[str]:
    """Mend the stale files and say which."""
    wanted = generated_files(app)
    changed = stale(root)
    for name in changed:
        path = root / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
    return changed


if __name__ == "__main__":
    names = stale(ROOT) if "--check" in sys.argv else write(ROOT)
    for name in names:
        print(name)
    if names and "--check" in sys.argv:
        sys.exit("stale: run `make generated`")
