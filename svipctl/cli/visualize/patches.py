"""Implement `svipctl visualize patches`."""

from __future__ import annotations

from typing import Any

from svipctl.cli._command import Dataset, Overrides, command, sink
from svipctl.cli.visualize._images import ImageOptions, draw_pages, plan_images
from svipctl.settings import effects, flags


@command(*flags.EVALUATION[1:], reads=effects.IMAGES)
def patches(dataset: Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show the patch selection of the model.

    For each image it shows the related windows (a window is a block of patches), the patch classifier's probability,
    the attention rollout that supervises it, the ground-truth mask or box, and the AUC of the patch classifier against
    that mask or box.

    Examples:
        svipctl visualize patches toybirds
        svipctl visualize patches cub --split unseen --limit 8 -o birds.svg
        svipctl visualize patches cub photo.jpg --theme dark

    """
    plan = plan_images("patches", dataset, options, overrides)
    if dry_run:
        plan.show_plan()
        return

    from svipctl.visuals.inspection import evaluated_selection
    from svipctl.visuals.patches import PER_PAGE, patch_sheet

    inspector = plan.inspector()
    is_test = options.split == "test"
    evaluated = evaluated_selection(plan.run, inspector.model.metadata.epoch) if is_test else {}
    heading, source = plan.heading("Patch selection", inspector), inspector.model.network.recipe.score_source
    files, aucs = draw_pages(
        plan, inspector, lambda page: patch_sheet(page, heading, score_source=source, evaluated=evaluated), PER_PAGE
    )
    selection: dict[str, Any] = {"auc": sum(aucs) / len(aucs), "images": len(aucs)} if aucs else {}
    sink.document({"files": files, "selection": selection | ({"eval": evaluated} if evaluated else {})})
