"""`svipctl visualize attention`."""

from __future__ import annotations

from svipctl.cli import options
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import Flags, draw_pages, planned, tell

_SHOWN = 7  # a page


def attention(
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
    """Show what each block of the network attends to: the class token's attention on every patch.

    Examples: `svipctl visualize attention toybirds`, `svipctl visualize attention cub photo.jpg -o attention.png`
    """
    given = Flags(
        figure="attention",
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
    plan = planned(given, shown=_SHOWN)
    if dry_run:
        tell(plan)
        return

    from svipctl.visuals.attention import PER_PAGE, attention_sheet
    from svipctl.visuals.inspection import open_inspector
    from svipctl.visuals.patches import SCORES

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    score = SCORES[inspector.model.network.recipe.score_source]
    draw_pages(
        plan,
        inspector,
        lambda page: attention_sheet(page, f"What it attends to: {plan.title}", score=score),
        PER_PAGE,
    )
