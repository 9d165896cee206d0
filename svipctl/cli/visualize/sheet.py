"""Implement `svipctl visualize sheet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svipctl.cli import _options
from svipctl.cli._command import command
from svipctl.cli._output import sink
from svipctl.cli._overrides import Overrides
from svipctl.cli.visualize._images import inspected, item, plan_images, show_plan
from svipctl.cli.visualize._options import ImageOptions
from svipctl.settings import flags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svipctl.visuals.inspection import Inspection

_SHOWN, _LOOKED_AT = 24, 20


@command(*flags.EVALUATION[1:], dry_run=True, reads="IMAGES")
def sheet(dataset: _options.Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show many images at a glance.

    The images are correctly and incorrectly classified, of seen and of unseen classes.

    Images of the split are drawn at random (--set seed=N) until each group has its share, or 20 times the number
    of shown images have been inspected.

    Examples:
        svipctl visualize sheet toybirds
        svipctl visualize sheet cub --split unseen --limit 48

    """
    plan = plan_images("sheet", dataset, options, overrides, shown=None)
    if dry_run:
        show_plan(plan)
        return

    import numpy as np

    from svipctl.visuals.inspection import open_inspector
    from svipctl.visuals.sheet import contact_sheet, kinds, sorted_groups
    from svipctl.visuals.style import save

    inspector = open_inspector(plan.run, plan.benchmark, plan.settings)
    wanted = kinds(options.split.value, own=bool(options.images))
    count = options.limit or (len(plan.images) if options.images else _SHOWN)
    order = np.random.default_rng(plan.settings.seed).permutation(len(plan.images))[: _LOOKED_AT * count]
    chosen = plan.images if options.images else [plan.images[place] for place in order]
    looked_at = 0
    with inspected(plan, inspector, chosen) as inspections:

        def counted() -> Iterator[Inspection]:
            nonlocal looked_at
            for one in inspections:
                looked_at += 1
                yield one

        groups = sorted_groups(counted(), count, wanted)
        save(contact_sheet(groups, plan.heading("Contact sheet", inspector), looked_at=looked_at), plan.file)
    shown = [one for found in groups.values() for one in found]
    sink.say(f"{plan.file}: {len(shown)} images of {looked_at} inspected images")
    images = [{**item(one), "file": str(plan.file)} for one in shown]
    sink.document(
        {
            **plan.head,
            **inspector.model.gamma.document(),
            "images": images,
            "files": [str(plan.file)],
            "looked_at": looked_at,
        }
    )
