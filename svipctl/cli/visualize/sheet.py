"""`svipctl visualize sheet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.cli.visualize import flags
from svipctl.cli.visualize.looking import Flags, item, planned, tell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svipctl.visuals.inspection import Inspection

_SHOWN, _LOOKED_AT = 24, 20


def sheet(
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
    """Show many images at a glance: rightly and wrongly named, of seen and of unseen classes.

    Images of the split are drawn by lot (--set seed=N) until there are equally many of each kind, or 20 times as many
    as are shown were looked at.

    Examples: `svipctl visualize sheet toybirds`, `svipctl visualize sheet cub --split unseen --limit 48`
    """
    given = Flags(
        figure="sheet",
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
    plan = planned(given, shown=None)
    if dry_run:
        tell(plan)
        return

    import numpy as np

    from svipctl.signals import listening
    from svipctl.visuals.inspection import open_inspector
    from svipctl.visuals.sheet import contact_sheet, kinds, sorted_groups
    from svipctl.visuals.style import save, themed

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    wanted = kinds(split.value, own=bool(images))
    count = limit or (len(plan.images) if images else _SHOWN)
    order = np.random.default_rng(plan.settings.seed).permutation(len(plan.images))[: _LOOKED_AT * count]
    chosen = plan.images if images else [plan.images[place] for place in order]
    looked_at = 0
    with listening() as stop, sink.progress("looking") as progress, themed(theme.value):

        def watched() -> Iterator[Inspection]:
            nonlocal looked_at
            for looked_at, one in enumerate(inspector.inspect(chosen), 1):
                stop.raise_if_asked()
                progress(looked_at, len(chosen))
                yield one

        groups = sorted_groups(watched(), count, wanted)
        save(contact_sheet(groups, f"Contact sheet: {plan.title}", looked_at=looked_at), plan.file)
    shown = [one for found in groups.values() for one in found]
    sink.say(f"{plan.file}: {len(shown)} images of {looked_at} looked at")
    sink.document(
        {
            **plan.head,
            "images": [{**item(one), "file": str(plan.file)} for one in shown],
            "files": [str(plan.file)],
            "looked_at": looked_at,
        }
    )
