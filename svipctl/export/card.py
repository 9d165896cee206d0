"""The model card: what an exported file is, for whoever finds it without us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = "MODEL_CARD.md"
_MARK = "<!-- written by svipctl export -->"


def is_ours(path: Path) -> bool:
    """Whether a card was written here and may be replaced."""
    try:
        return path.read_text(encoding="utf-8").startswith(_MARK)
    except (OSError, UnicodeDecodeError):
        return False


def model_card(about: dict[str, Any], report: dict[str, Any]) -> str:
    """Markdown.

    Args:
        about: The file's description.
        report: Its parity report.

    """
    names = about["classes"]
    unseen = [name for name in names if name not in set(about["seen_classes"])]
    rows, columns = about["windows"]
    size = about["image_size"]
    sides = "any height and width" if about["pixels"]["resize_inside"] else f"height = width = {size}"
    values = "bytes, 0 to 255" if about["pixels"]["kind"] == "uint8" else "float32, 0 to 1"
    pretrained = about["weights"]["pretrained"]
    accuracy = report["accuracy"]
    altered = (
        " (enlarged, and made one size in each batch, so that the file has to resize)"
        if about["pixels"]["resize_inside"]
        else ""
    )
    worst = {name: max(one["largest_difference"][name] for one in report["comparisons"]) for name in about["outputs"]}
    equal = min(one["equal_answers"] for one in report["comparisons"])
    return f"""{_MARK}
# {report["file"]}

Zero-shot image classifier: SVIP (Chen et al., ICCV 2025), recipe `{about["recipe"]}`, trained on {about["dataset"]} for
{about["epoch"]} epochs. It predicts {len(about["attributes"])} attributes of an image and scores any classes that are
described by them.

| | |
|---|---|
| file | {report["format"]}, {about["precision"]}, {report["bytes"]:,} bytes, SHA-256 `{report["sha256"]}` |
| backbone | {about["backbone"]} |
| checkpoint | run {about["run"]}, SHA-256 `{about["weights"]["checkpoint_sha256"]}` |
| pretrained weights | {pretrained.get("source", "none")} {pretrained.get("sha256", "")} |
| licence of the weights | {about["licence"]["weights"]} |
| made by | {about["made_by"]} ({about["licence"]["program"]}) |

## Inputs

- `images`: RGB, (batch, 3, height, width), {values}, {sides}.
- `class_attributes`: float32, (classes, {len(about["attributes"])}), one row a class, values as in the training table,
  not normalised. The table of the run's classes is in the file's description under `class_attributes`.
- `gamma`: float32, (classes,), subtracted from the scores. For trained classes {about["gamma"]:g}
  ({about["gamma_origin"]}), for all others 0.

## Outputs

- `scores`: (batch, classes); the largest is the answer.
- `attributes`: (batch, {len(about["attributes"])}), the predicted attributes.
- `patch_scores`: (batch, {rows * columns}), probability that a window of the {rows} x {columns} grid shows something of
  the object; the {about["windows_kept"]} highest are kept, the others contextualized.

## Figures

{_metrics(about["metrics"])}
Against the model in eager fp32 on {accuracy["images"]} evaluation images ({report["runtime"]}): largest difference of scores
{worst["scores"]:.2g}, of attributes {worst["attributes"]:.2g}, of patch scores {worst["patch_scores"]:.2g}; at least
{100 * equal:.1f} % equal answers. Accuracy on these images{altered} among all {len(names)} classes, gamma as above: model
{accuracy["model"]:.1f} %, this file {accuracy["exported"]:.1f} %.

## Limits

- Classes that differ only in what is not an attribute cannot be told apart; what the attributes do not describe is
  not seen.
- Trained classes are favoured over others unless gamma is set; the figures above say under which protocol.
- Trained on {len(about["seen_classes"])} classes, not on these {len(unseen)}: {", ".join(unseen[:10])}{", ..." if len(unseen) > 10 else ""}.
"""


def _metrics(metrics: dict[str, Any]) -> str:
    lines = [f"From {metrics['of']}, percent:", ""]
    for row, figures in metrics.items():
        if isinstance(figures, dict):
            values = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
            lines.append(f"- {row}: {values}")
        elif isinstance(figures, (int, float)) and row in ("T1", "U", "S", "H"):
            lines.append(f"- {row}: {figures:.1f}")
    return "\n".join(lines) + "\n"
