"""`svipctl visualize patches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svipctl.cli import options
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import Flags, draw_pages, planned, tell

if TYPE_CHECKING:
    from svipctl.visuals.inspection import Inspection


def patches(
    dataset: options.Dataset,
    images: flags.Images = None,
    run: options.RunName = None,
    split: flags.SplitName = flags.Split.test,
    limit: flags.Limit = None,
    classes: flags.Class = None,
    theme: flags.ThemeName = flags.Theme.light,
    output: flags.Out = None,
    precision: options.Precision = None,
    gpu: options.Gpu = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    config: options.Config = None,
    assignments: options.Set = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Show which windows the model takes for the object, beside what taught it and, with masks or boxes, the truth.

    Each image comes with the windows kept, the patch classifier's probability, the score of the source pass (attention
    rollout), the object's mask or box, and the AUC of the one against the other, which is `svipctl eval`'s.

    Examples: `svipctl visualize patches toybirds`, `svipctl visualize patches cub --split unseen --limit 8 -o birds.svg`,
    `svipctl visualize patches cub photo.jpg --theme dark`
    """
    given = Flags(
        figure="patches",
        dataset=dataset,
        images=images,
        run=run,
        split=split,
        limit=limit,
        classes=classes,
        theme=theme,
        output=output,
        precision=precision,
        gpu=gpu,
        data_dir=data_dir,
        runs_dir=runs_dir,
        config=config,
        assignments=assignments,
    )
    plan = planned(given)
    if dry_run:
        tell(plan)
        return

    from svipctl.visuals.inspection import evaluated_selection, open_inspector
    from svipctl.visuals.patches import PER_PAGE, patch_sheet

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    evaluated = evaluated_selection(plan.run, inspector.model.metadata.epoch) if split is flags.Split.test else {}
    known: list[float] = []

    def notice(one: Inspection) -> None:
        known.extend([] if one.auc is None else [one.auc])

    def summary() -> dict[str, Any]:
        selection: dict[str, Any] = {"auc": sum(known) / len(known), "images": len(known)} if known else {}
        return {"selection": {**selection, **({"eval": evaluated} if evaluated else {})}}

    draw_pages(
        plan,
        inspector,
        lambda page: patch_sheet(
            page,
            f"What the model keeps: {plan.title}",
            score_source=inspector.model.network.recipe.score_source,
            evaluated=evaluated,
        ),
        PER_PAGE,
        summary=summary,
        notice=notice,
    )
