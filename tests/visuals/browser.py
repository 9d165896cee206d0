"""Open a page in headless Chromium, and return its content after its scripts have run, and the console messages."""

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
    """Page that was opened from the disk."""

    document: str
    """HTML after the scripts have run."""
    console: list[str]
    """Errors, refused loads and other messages of the console."""


def opened(page: Path, folder: Path, *flags: str) -> Opened:
    """Open a page.

    Args:
        page: The file.
        folder: Folder for the profile of the browser.
        flags: More flags.

    """
    assert PROGRAM is not None
    profile = folder / "profile"
    done = subprocess.run(
        [PROGRAM, *_FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return Opened(done.stdout, _CONSOLE.findall(done.stderr))


def opened_with_script(page: Path, script: str, folder: Path) -> Opened:
    """Open a page with a script added at its end; the text that it passes to `tell` is in `<pre id="told">`."""
    script_output = (
        '<pre id="told"></pre><script>const tell = (text) => { document.getElementById("told").textContent += text '
        f'+ "\\n"; }};\n{script}</script></body>'
    )
    copy = folder / "probed.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script_output), encoding="utf-8")
    return opened(copy, folder)


def script_output(page: Opened) -> list[str]:
    """Return the lines that the script passed to `tell`."""
    found = re.search(r'<pre id="told">(.*?)</pre>', page.document, re.DOTALL)
    assert found is not None, "the probe's script did not run"
    return found.group(1).split("\n")[:-1]
