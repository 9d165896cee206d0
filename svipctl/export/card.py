"""Write the model card of an exported file, from the template `model_card.md.jinja`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svipctl.evaluation.protocols import CHOSEN_ON_SCORED
from svipctl.templates import template_environment

CARD = "MODEL_CARD.md"
_MARK = "<!-- written by svipctl export -->"


def is_ours(path: Path) -> bool:
    """Return True if a card was written by `svipctl export` and may be replaced."""
    try:
        return path.read_text(encoding="utf-8").startswith(_MARK)
    except (OSError, UnicodeDecodeError):
        return False


def model_card(about: dict[str, Any], report: dict[str, Any]) -> str:
    """Return the card as Markdown.

    Args:
        about: Description of the file.
        report: Parity report of the file.

    """
    compared = report["comparisons"]
    return (
        template_environment("svipctl.export")
        .get_template("model_card.md.jinja")
        .render(
            mark=_MARK,
            chosen_on_scored=CHOSEN_ON_SCORED,
            about=about,
            report=report,
            worst={name: max(one["largest_difference"][name] for one in compared) for name in about["outputs"]},
            equal=min(one["equal_answers"] for one in compared),
            unseen=[name for name in about["classes"] if name not in set(about["seen_classes"])],
        )
    )
