"""Implement `svipctl visualize attention`."""

from __future__ import annotations

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._images import draw_pages, plan_images, show_plan
from svipctl.cli.visualize._options import ImageOptions
from svipctl.settings import flags

_SHOWN = 7  # images per page


@command(*flags.EVALUATION[1:], dry_run=True, reads="IMAGES")
def attention(dataset: _options.Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show what each block attends to.

    Each map is the class token's attention on every patch.

    Examples:
        svipctl visualize attention toybirds
        svipctl visualize attention cub photo.jpg -o attention.png

    """
    plan = plan_images("attention", dataset, options, overrides, shown=_SHOWN)
    if dry_run:
        show_plan(plan)
        return

    from svipctl.visuals.attention import PER_PAGE, attention_sheet
    from svipctl.visuals.inspection import open_inspector
    from svipctl.visuals.patches import SCORES

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    score = SCORES[inspector.model.network.recipe.score_source]
    draw_pages(
        plan,
        inspector,
        lambda page: attention_sheet(page, plan.heading("Attention of each block", inspector), score=score),
        PER_PAGE,
    )
