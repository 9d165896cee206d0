"""The table as one document: what `reproduction.json` holds, and what the other files are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svipctl.reproduce.collect import CHOSEN, RowResults
from svipctl.reproduce.plan import Plan
from svipctl.reproduce.published import compare, published_numbers
from svipctl.reproduce.rows import FULL, all_rows
from svipctl.reproduce.statistics import Summary, paired, summary

_DIGITS = 4
_BASELINES = {
    "ridge": "ridge regression to attributes, closed form",
    "eszsl": "ESZSL (Romera-Paredes & Torr 2015), closed form",
    "sae": "SAE (Kodirov et al. 2017), Sylvester equation",
}


def table_document(plan: Plan, rows: Sequence[RowResults]) -> dict[str, Any]:
    """Everything that the runs say; the same for the same runs."""
    request = plan.request
    dataset = plan.steps[0].settings.dataset if plan.steps else request.dataset
    full = {row.recipe: row for row in rows if row.row == FULL}
    first = next(iter(request.rows), "")
    return {
        "dataset": dataset,
        "recipes": list(request.rows),
        "seeds": request.seeds,
        "folds": request.folds,
        "rows": [_row(row, full.get(row.recipe or first)) for row in rows],
        "leak": [leak for row in full.values() if (leak := _leak(row)) is not None],
        "published": [
            {
                "row": one.row,
                "figure": one.figure,
                "published": one.published,
                "ours": round(one.ours, _DIGITS),
                "difference": round(one.difference, _DIGITS),
                "n": one.n,
            }
            for one in compare(dataset, rows)
        ],
        "has_published_numbers": bool(published_numbers(dataset)),
        "left_out": dict(plan.left_out),
        "missing": [run for row in rows for run in row.missing],
        "warnings": sorted({warning for row in rows for result in row.results for warning in result.warnings}),
        "environment": _environment(rows),
        "commands": [step.command for step in plan.steps],
    }


def _row(row: RowResults, full: RowResults | None) -> dict[str, Any]:
    about = {one.name: one.about for one in all_rows()} | _BASELINES
    names = sorted({name for result in row.results for name in result.figures})
    figures, differences = {}, {}
    for name in names:
        values = row.values(name)
        figures[name] = _numbers(summary(list(values.values())))
        if full is None or full is row:
            continue
        base = full.values(name)
        if not row.recipe:  # a baseline is the same for every seed
            values = dict.fromkeys(base, values[-1])
        found = paired(values, base)
        if found is not None:
            interval = None if found.interval is None else [round(bound, _DIGITS) for bound in found.interval]
            differences[name] = {**_numbers(found), "interval": interval}
    return {
        "row": row.row,
        "recipe": row.recipe or None,
        "about": about[row.row],
        "n": len(row.results),
        "runs": [result.run for result in row.results],
        "missing": list(row.missing),
        "figures": figures,
        "differences": differences,
    }


def _leak(row: RowResults) -> dict[str, Any] | None:
    """What choosing on the test set gives, over what was chosen on validation: the offset alone, and the epoch too."""
    honest = row.values("gzsl-calibrated.H")
    found: dict[str, Any] = {"recipe": row.recipe}
    for name, figure in (("offset", "reference.H"), ("offset_and_epoch", f"{CHOSEN}.H")):
        difference = paired(row.values(figure), honest)
        if difference is not None:
            interval = None if difference.interval is None else [round(bound, _DIGITS) for bound in difference.interval]
            found[name] = {**_numbers(difference), "interval": interval}
    return found if len(found) > 1 else None


def _numbers(found: Summary) -> dict[str, float | int | None]:
    return {
        "n": found.n,
        "mean": round(found.mean, _DIGITS),
        "sd": None if found.sd is None else round(found.sd, _DIGITS),
    }


def _environment(rows: Sequence[RowResults]) -> list[dict[str, Any]]:
    """The different machines, commits and weights that the runs name."""
    found: list[dict[str, Any]] = []
    for row in rows:
        for result in row.results:
            one = _short(result.environment)
            if one not in found:
                found.append(one)
    return sorted(found, key=str)


def _short(environment: Mapping[str, Any]) -> dict[str, Any]:
    packages = environment.get("packages", {})
    return {
        **{key: environment.get(key) for key in ("git_commit", "python", "platform", "device", "gpu", "threads")},
        "torch": packages.get("torch"),
        "weights": environment.get("weights"),
    }
