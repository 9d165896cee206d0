"""The table as one document: what `reproduction.json` holds, and what the other files are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from svipctl.reproduce.collect import CHOSEN, Result, RowResults
from svipctl.reproduce.plan import Plan
from svipctl.reproduce.published import compare
from svipctl.reproduce.rows import FULL, all_rows
from svipctl.reproduce.statistics import Difference, Summary, paired, summary

_DIGITS = 4
_BASELINES = {
    "ridge": "ridge regression to attributes, closed form",
    "eszsl": "ESZSL (Romera-Paredes & Torr 2015), closed form",
    "sae": "SAE (Kodirov et al. 2017), Sylvester equation",
}


def table_document(plan: Plan, rows: Sequence[RowResults]) -> dict[str, Any]:
    """Everything that the runs say; the same for the same runs."""
    request = plan.request
    settings = plan.steps[0].settings if plan.steps else None
    dataset = settings.dataset if settings else request.dataset
    full = {row.recipe: row for row in rows if row.row == FULL}
    first = next(iter(request.rows), "")
    results = [result for row in rows for result in row.results]
    switches = {(recipe, row.name): row.assignments for recipe, of_recipe in request.rows.items() for row in of_recipe}
    environments = _environments(results)
    images = [dict(pair) for pair in sorted({tuple(sorted(result.images.items())) for result in results})]
    return {
        "dataset": dataset,
        "backbone": settings.model.backbone if settings else None,
        "recipes": list(request.rows),
        "seeds": request.seeds,
        "folds": request.folds,
        "images": images,
        "rows": [
            {**_row(row, full.get(row.recipe or first)), "switches": list(switches.get((row.recipe, row.row), ()))}
            for row in rows
        ],
        "leak": [leak for row in full.values() if (leak := _leak(row)) is not None],
        "published": [
            {
                "row": one.row,
                "figure": one.figure,
                "published": one.published,
                "ours": round(one.ours.mean, _DIGITS),
                "sd": None if one.ours.sd is None else round(one.ours.sd, _DIGITS),
                "difference": round(one.difference, _DIGITS),
                "n": one.ours.n,
            }
            for one in compare(dataset, rows)
        ],
        "left_out": dict(plan.left_out),
        "missing": [run for row in rows for run in row.missing],
        "warnings": [
            *_unlike(images, environments),
            *sorted({warning for result in results for warning in result.warnings}),
        ],
        "elsewhere": sorted({setting for result in results for setting in result.elsewhere}),
        "environment": environments,
        "command": request.command,
        "commands": [step.command for step in plan.steps],
    }


def _row(row: RowResults, full: RowResults | None) -> dict[str, Any]:
    about = {one.name: one.about for one in all_rows()} | _BASELINES
    names = sorted({name for result in row.results for name in result.figures})
    figures, differences = {}, {}
    for name in names:
        values = row.values(name)
        widths = [result.half_widths[name] for result in row.results if name in result.half_widths]
        width = round(fmean(widths), _DIGITS) if widths else None
        figures[name] = {**_numbers(summary(list(values.values()))), "half_width": width}
        if full is None or full is row:
            continue
        base = full.values(name)
        if not row.recipe:  # a baseline is the same for every seed
            values = dict.fromkeys(base, values[-1])
        found = paired(values, base)
        if found is not None:
            differences[name] = _with_interval(found)
    return {
        "row": row.row,
        "recipe": row.recipe or None,
        "about": about[row.row],
        "choice": next((dict(result.choice) for result in row.results if result.choice), None),
        "n": len(row.results),
        "runs": [result.run for result in row.results],
        "missing": list(row.missing),
        "figures": figures,
        "differences": differences,
    }


def _leak(row: RowResults) -> dict[str, Any] | None:
    """What choosing on the test set gives, over what was chosen on validation: gamma alone, then as published."""
    honest = row.values("gzsl-calibrated.H")
    chosen = {"gamma": "gzsl-oracle.H", "offset": "reference.H", "offset_and_epoch": f"{CHOSEN}.H"}
    found: dict[str, Any] = {"recipe": row.recipe}
    for name, figure in chosen.items():
        difference = paired(row.values(figure), honest)
        if difference is not None:
            found[name] = _with_interval(difference)
    return found if len(found) > 1 else None


def _numbers(found: Summary) -> dict[str, Any]:
    return {
        "n": found.n,
        "mean": round(found.mean, _DIGITS),
        "sd": None if found.sd is None else round(found.sd, _DIGITS),
    }


def _with_interval(found: Difference) -> dict[str, Any]:
    interval = None if found.interval is None else [round(bound, _DIGITS) for bound in found.interval]
    return {**_numbers(found), "interval": interval}


def _environments(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The different machines, states of the code and weights that the runs name, each with its runs."""
    found: list[dict[str, Any]] = []
    for result in results:
        one = _short(result.environment)
        same = next((other for other in found if {**other, "runs": None} == {**one, "runs": None}), None)
        if same is None:
            found.append(one | {"runs": [result.run]})
        else:
            same["runs"].append(result.run)
    return sorted(found, key=str)


def _short(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{key: environment.get(key) for key in ("git_commit", "source_sha256", "python", "platform", "processor")},
        **{key: environment.get(key) for key in ("device", "gpu", "threads", "precision", "weights")},
        "packages": environment.get("packages") or {},
    }


def _unlike(images: Sequence[Mapping[str, int]], environments: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the runs is not alike although their differences are read as the rows'."""
    found = []
    if len(images) > 1:
        counts = ", ".join(f"{one.get('seen')} seen and {one.get('unseen')} unseen" for one in images)
        found.append(f"the runs were scored on different images ({counts}): their differences mean nothing")
    told = {
        "code": [one["source_sha256"] or one["git_commit"] for one in environments],
        "version of torch": [one["packages"].get("torch") for one in environments],
        "arithmetic": [one["precision"] for one in environments],
        "pretrained weights": [(one["weights"] or {}).get("sha256") for one in environments],
    }
    unlike = [name for name, values in told.items() if len(set(values)) > 1]
    if unlike:
        found.append(f"the runs differ in {', '.join(unlike)} (at the end): rows may differ for that")
    return found
