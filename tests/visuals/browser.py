"""A page in headless Chromium: what stands in it once its scripts have run, and what the console says."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
_CONSOLE = re.compile(r":CONSOLE[:(]\d+\)?\] (.*)")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom"),
)


@dataclass(frozen=True)
class Opened:
    """A page that was opened from the disk."""

    document: str
    """HTML of what stands in it."""
    console: list[str]
    """Errors, refused loads and whatever else the console shows."""


def opened(page: Path, folder: Path, *flags: str) -> Opened:
    """Open a page.

    Args:
        page: The file.
        folder: Where the browser may keep its profile.
        flags: More of them.

    """
    assert PROGRAM is not None
    profile = folder / "profile"
    done = subprocess.run(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return Opened(done.stdout, _CONSOLE.findall(done.stderr))


def probed(page: Path, script: str, folder: Path) -> Opened:
    """The same with a script of the test's own at its end; what it passes to `tell` stands in `<pre id="told">`."""
    told = (
        '<pre id="told"></pre><script>const tell = (text) => { document.getElementById("told").textContent += text '
        f'+ "\\n"; }};\n{script}</script></body>'
    )
    copy = folder / "probed.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", told), encoding="utf-8")
    return opened(copy, folder)


def told(page: Opened) -> list[str]:
    """What a probe told."""
    found = re.search(r'<pre id="told">(.*?)</pre>', page.document, re.DOTALL)
    assert found is not None, "the probe's script did not run"
    return found.group(1).split("\n")[:-1]
