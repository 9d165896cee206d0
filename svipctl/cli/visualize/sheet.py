"""Implement `svipctl visualize sheet`."""

from __future__ import annotations

from svipctl.cli._command import Dataset, Overrides, command, sink
from svipctl.cli.visualize._images import ImageOptions, inspected, plan_images
from svipctl.settings import effects, flags

_SHOWN, _LOOKED_AT = 24, 20


@command(*flags.EVALUATION[1:], reads=effects.IMAGES)
def sheet(dataset: Dataset, *, options: ImageOptions, overrides: Overrides, dry_run: bool) -> None:
    """Show many images at a glance.

    It shows correctly and incorrectly classified images of seen and unseen classes.

    Random images are classified until each of the four groups (seen or unseen, correct or incorrect) is full. At most
    20 times as many images are classified as the sheet shows. --set seed=N changes the sample.

    Examples:
        svipctl visualize sheet toybirds
        svipctl visualize sheet cub --split unseen --limit 48

    """
    plan = plan_images("sheet", dataset, options, overrides, shown=None)
    if dry_run:
        plan.show_plan()
        return

    import numpy as np

    from svipctl.visuals.sheet import contact_sheet, kinds, sorted_groups
    from svipctl.visuals.style import save

    inspector = plan.inspector()
    wanted = kinds(options.split, own=bool(options.images))
    count = options.limit or (len(plan.images) if options.images else _SHOWN)
    order = np.random.default_rng(plan.settings.seed).permutation(len(plan.images))[: _LOOKED_AT * count]
    chosen = plan.images if options.images else [plan.images[place] for place in order]
    with inspected(plan, inspector, chosen) as inspections:
        groups, looked_at = sorted_groups(inspections, count, wanted)
        save(contact_sheet(groups, plan.heading("Contact sheet", inspector), looked_at=looked_at), plan.file)
    shown = [one for found in groups.values() for one in found]
    images = [{**one.document(), "file": str(plan.file)} for one in shown]
    document = {**plan.head, **inspector.model.gamma.document(), "images": images, "files": [str(plan.file)]}
    text = f"{plan.file}: {len(shown)} images of {looked_at} inspected images"
    sink.result(text, {**document, "looked_at": looked_at})
