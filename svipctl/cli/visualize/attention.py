"""Implement `svipctl visualize attention`."""

from __future__ import annotations

from svipctl.cli._command import Dataset, Overrides, command, sink
from svipctl.cli.visualize._images import ImageOptions, draw_pages, plan_images
from svipctl.settings import effects, flags

_SHOWN = 7  # images per page


@command(*flags.EVALUATION[1:], reads=effects.IMAGES)
def attention(dataset: Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show what each block attends to.

    Each map is the class token's attention to every patch.

    Examples:
        svipctl visualize attention toybirds
        svipctl visualize attention cub photo.jpg -o attention.png

    """
    plan = plan_images("attention", dataset, options, overrides, shown=_SHOWN)
    if dry_run:
        plan.show_plan()
        return

    from svipctl.visuals.attention import PER_PAGE, attention_sheet
    from svipctl.visuals.patches import SCORES

    inspector = plan.inspector()
    score = SCORES[inspector.model.network.recipe.score_source]
    heading = plan.heading("Attention of each block", inspector)
    files, _ = draw_pages(plan, inspector, lambda page: attention_sheet(page, heading, score=score), PER_PAGE)
    sink.document({"files": files})
