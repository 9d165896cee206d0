"""Load the Jinja templates of the package's Markdown and HTML files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jinja2

from svipctl.quoting import markdown_text


def template_environment(
    package: str, folder: str = ".", *, html: bool = False, **filters: Callable[..., Any]
) -> jinja2.Environment:
    """Return the environment of a package's templates, in which an undefined name is an error.

    Args:
        package: Name of the package, for instance `svipctl.export`.
        folder: Folder of the templates, within the package.
        html: Escape values for HTML.
        filters: Further filters by name.

    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, folder),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"markdown": markdown_text, **filters}
    return environment
