"""Pages of the documentation site that are not Markdown files of docs/: notebooks, and files from above docs/.

mkdocs calls these functions (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
FROM_ABOVE = {"changelog.md": "CHANGELOG.md", "benchmarks.md": "benchmarks/README.md"}
"""Page -> the file that it shows."""


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for page, source in FROM_ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite links that leave docs/: to the page that shows the file, or to its name if none does."""
    depth = "../" * page.file.src_uri.count("/")
    pages = {source: depth + name for name, source in FROM_ABOVE.items()}

    def rewritten(link: re.Match[str]) -> str:
        text, target, anchor = link.groups()
        if target in pages:
            return f"[{text}]({pages[target]}{anchor or ''})"
        return f"[{text}]({depth}{target.removeprefix('docs/')}{anchor or ''})" if "docs/" in target else text

    markdown = re.sub(r"\.ipynb\)", ".md)", markdown)
    if page.file.src_uri in FROM_ABOVE:
        return re.sub(r"\[([^]]+)\]\((docs/[^)#\s]+)(#[^)\s]+)?\)", rewritten, markdown)
    return re.sub(
        r"\[([^]]+)\]\((?:\.\./)+((?:svipctl|benchmarks|tests)/[^)#\s]*|[A-Z]+\.md)(#[^)\s]+)?\)", rewritten, markdown
    )


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown: its text, and its cells as blocks of Python."""
    cells = nbformat.read(path, as_version=4).cells
    parts = [cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```" for cell in cells]
    return "\n\n".join(parts) + "\n"
