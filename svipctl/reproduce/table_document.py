"""Build the table as one document: the content of `reproduction.json`, from which the other files are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from svipctl.reproduce.published_numbers import compare_with_published
from svipctl.reproduce.rows import FULL, all_rows
from svipctl.reproduce.run_results import CHOSEN_ON_TEST, RowResults, RunResult
from svipctl.reproduce.seed_statistics import SeedMean, interval_over_images, paired_difference, rounded
from svipctl.reproduce.table_plan import TablePlan
from svipctl.settings.command_line import assignment

_BASELINES = {
    "ridge": "ridge regression to attributes, closed form",
    "eszsl": "ESZSL (Romera-Paredes & Torr 2015), closed form",
    "sae": "SAE (Kodirov et al. 2017), Sylvester equation",
    "prototypes": "ridge regression from class attributes to mean features, cosine to these prototypes, closed form",
    "bilinear": "bilinear compatibility (as DeViSE, ALE and SJE) with softmax cross-entropy, SGD",
}
_ENVIRONMENT = (
    *("git_commit", "source_sha256", "python", "platform", "processor"),
    *("device", "gpu", "threads", "precision", "weights"),
)


def table_document(plan: TablePlan, rows: Sequence[RowResults]) -> dict[str, Any]:
    """Return the document of the table; the same runs give the same document."""
    request, settings = plan.request, plan.steps[0].settings
    full = {row.recipe: row for row in rows if row.row == FULL}
    first = full[next(iter(request.rows))]
    results = [result for row in rows for result in row.results]
    environments = _environments(results)
    images = [dict(pair) for pair in sorted({tuple(sorted(result.evaluation.images.items())) for result in results})]
    return {
        "dataset": settings.dataset,
        "backbone": settings.model.backbone,
        "recipes": list(request.rows),
        "seeds": request.seeds,
        "folds": request.folds,
        "images": images,
        "rows": [_row(row, first if row.row == FULL else full.get(row.recipe, first)) for row in rows],
        "leak": [leak for row in full.values() if len(leak := _leak(row)) > 1],
        "published": compare_with_published(settings.dataset, rows),
        "left_out": dict(plan.left_out),
        "missing": [run for row in rows for run in row.missing],
        "warnings": [
            *_mixed(images, environments, results),
            *_gammas(rows),
            *sorted({warning for result in results for warning in result.evaluation.warnings}),
        ],
        "elsewhere": sorted({setting for result in results for setting in result.hidden_settings}),
        "environment": environments,
        "command": request.command,
        "commands": [step.command for step in plan.steps],
    }


def _row(row: RowResults, full: RowResults) -> dict[str, Any]:
    control = {one.name: one for one in all_rows()}.get(row.row)
    figures, differences = {}, {}
    for name in sorted({name for result in row.results for name in result.figures}):
        values = row.values(name)
        widths = [result.half_widths[name] for result in row.results if name in result.half_widths]
        half_width = rounded(fmean(widths)) if widths else None
        figures[name] = {**SeedMean(values.values()).to_dict(), "half_width": half_width}
        base = {} if full is row else full.values(name)
        if difference := paired_difference(_of_seeds(values, base), base):
            over_images = _interval_over_images(row, full, name)
            differences[name] = {**difference.to_dict_with_interval(), "interval_images": over_images}
    return {
        "row": row.row,
        "recipe": row.recipe or None,
        "about": control.about if control else _BASELINES[row.row],
        "choice": next((result.choice for result in row.results if result.choice), None),
        "n": len(row.results),
        "runs": [result.run.name for result in row.results],
        "missing": list(row.missing),
        "figures": figures,
        "differences": differences,
        "switches": [assignment(key, value) for key, value in control.switches.items()] if control else [],
    }


def _of_seeds(values: Mapping[int, Any], base: Mapping[int, Any]) -> Mapping[int, Any]:
    """Return values by seed; that of a baseline is the same for every seed of `base`."""
    return dict.fromkeys(base, values[-1]) if -1 in values else values


def _interval_over_images(row: RowResults, full: RowResults, name: str) -> list[float | None] | None:
    """Return the interval of the difference over seeds and test images, None without answers to the same images."""
    scored = full.results[0].scored
    base = full.resampled(name, scored)
    found = interval_over_images(_of_seeds(row.resampled(name, scored), base), base)
    return None if found is None else [rounded(bound) for bound in found]


def _leak(row: RowResults) -> dict[str, Any]:
    """Return the gain in H from choosing on test over gamma from validation: gamma alone, then as published."""
    calibrated = row.values("gzsl-calibrated.H")
    chosen = {"gamma": "gzsl-oracle.H", "offset": "reference.H", "offset_and_epoch": f"{CHOSEN_ON_TEST}.H"}
    differences = {name: paired_difference(row.values(figure), calibrated) for name, figure in chosen.items()}
    found = {name: one.to_dict_with_interval() for name, one in differences.items() if one is not None}
    return {"recipe": row.recipe, **found}


def _environments(results: Sequence[RunResult]) -> list[dict[str, Any]]:
    """Return the different machines, states of the code and weights, each with its runs."""
    environments: dict[str, dict[str, Any]] = {}
    for result in results:
        recorded = result.run.environment()
        one = {key: recorded.get(key) for key in _ENVIRONMENT}
        one["packages"] = recorded.get("packages") or {}
        known = environments.setdefault(json.dumps(one, sort_keys=True), {**one, "runs": []})
        known["runs"].append(result.run.name)
    return sorted(environments.values(), key=str)


def _gammas(rows: Sequence[RowResults]) -> list[str]:
    """Return a warning if seeds of a row have different gammas: the intervals are for one gamma per row."""
    values = {f"{row.recipe}/{row.row}": {*row.values("gzsl-calibrated.gamma").values()} for row in rows}
    if different := [name for name, gammas in values.items() if len(gammas) > 1]:
        return [f"the seeds of {', '.join(different)} have different gammas: development runs were trained again"]
    return []


def _mixed(
    images: Sequence[Mapping[str, int]], environments: Sequence[Mapping[str, Any]], results: Sequence[RunResult]
) -> list[str]:
    """Return a warning for every difference between runs apart from their rows."""
    warnings = []
    if len(images) > 1 or len({result.scored for result in results if result.scored}) > 1:
        counts = ", ".join(f"{one.get('seen')} seen and {one.get('unseen')} unseen" for one in images)
        warnings.append(f"the runs were scored on different images ({counts}): their differences are meaningless")
    used = {
        "code": {one["source_sha256"] or one["git_commit"] for one in environments},
        "version of torch": {one["packages"].get("torch") for one in environments},
        "arithmetic": {one["precision"] for one in environments},
        "pretrained weights": {(one["weights"] or {}).get("sha256") for one in environments},
        "word vectors": {result.word_vectors for result in results} - {""},
        "training images": {result.run.training_images() for result in results},
    }
    different = [name for name, values in used.items() if len(values) > 1]
    if different:
        warnings.append(f"the runs differ in {', '.join(different)} (see the end): rows may differ for this reason")
    return warnings
