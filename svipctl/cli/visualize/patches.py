"""Implement `svipctl visualize patches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._images import draw_pages, plan_images, show_plan
from svipctl.cli.visualize._options import ImageOptions, SplitPart
from svipctl.settings import flags

if TYPE_CHECKING:
    from svipctl.visuals.inspection import Inspection


@command(*flags.EVALUATION[1:], dry_run=True, reads="IMAGES")
def patches(dataset: _options.Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show the patch selection of the model.

    The related windows are shown with the scores that trained the selection and, given masks or boxes, the ground
    truth.

    For each image: the related windows, the patch classifier's probability, the score of the source pass (attention
    rollout), the ground-truth mask or box, and the AUC of the classifier against it, as in `svipctl eval`.

    Examples:
        svipctl visualize patches toybirds
        svipctl visualize patches cub --split unseen --limit 8 -o birds.svg
        svipctl visualize patches cub photo.jpg --theme dark

    """
    plan = plan_images("patches", dataset, options, overrides)
    if dry_run:
        show_plan(plan)
        return

    from svipctl.visuals.inspection import evaluated_selection, open_inspector
    from svipctl.visuals.patches import PER_PAGE, patch_sheet

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    on_test = options.split is SplitPart.test
    evaluated = evaluated_selection(plan.run, inspector.model.metadata.epoch) if on_test else {}
    known: list[float] = []

    def details(one: Inspection) -> dict[str, Any]:
        known.extend([] if one.auc is None else [one.auc])
        return {}

    def summary() -> dict[str, Any]:
        selection: dict[str, Any] = {"auc": sum(known) / len(known), "images": len(known)} if known else {}
        return {"selection": {**selection, **({"eval": evaluated} if evaluated else {})}}

    draw_pages(
        plan,
        inspector,
        lambda page: patch_sheet(
            page,
            plan.heading("Patch selection", inspector),
            score_source=inspector.model.network.recipe.score_source,
            evaluated=evaluated,
        ),
        PER_PAGE,
        details=details,
        summary=summary,
    )
