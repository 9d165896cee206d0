"""Render contents to one HTML page. Jinja escapes every value, and the page needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import markupsafe

from svipctl.errors import ConfigError, explained_disk_errors
from svipctl.files import atomic_write_text, check_output
from svipctl.quoting import printable, shell_words
from svipctl.templates import template_environment
from svipctl.version import __version__
from svipctl.visuals.text import readable


def _breakable(name: str) -> markupsafe.Markup:
    """Return an escaped name that the browser may break after each underscore."""
    return markupsafe.Markup(str(markupsafe.escape(name)).replace("_", "_<wbr>"))


def _number(value: float | None) -> str:
    """Return a metric with one decimal, a count unchanged, and a dash for none."""
    return "–" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)


_TEMPLATES = template_environment(
    "svipctl.visuals.report",
    "templates",
    html=True,
    percent=lambda share: f"{100 * share:.1f}",
    name=_breakable,
    number=_number,
    readable=readable,
    signed=lambda value: f"{value:+.1f}".replace("-", "−"),
)


def render(name: str, contents: Any) -> str:
    """Return a page, in which control characters are escaped.

    Args:
        name: `run.html` or `compare.html`.
        contents: Values that the template calls `it`.

    """
    return printable(_TEMPLATES.get_template(name).render(it=contents, version=__version__))


def check_page_name(path: Path) -> None:
    """Raise ConfigError unless a report can be written to a file of this name."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"{path.name}: a report is an HTML file", todo=shell_words("-o", path.with_suffix(".html").name)
        )
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", todo=shell_words("-o", path / "report.html"))
    check_output(path)


def write_page(path: Path, page: str) -> int:
    """Write a page, complete or not at all, and return its size in bytes."""
    with explained_disk_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_text(path, page)
        return path.stat().st_size
