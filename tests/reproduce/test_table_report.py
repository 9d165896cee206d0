"""Test the report, from run folders to its three files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest

from svipctl.errors import DataError
from svipctl.evaluation.bootstrap import resampled_metrics
from svipctl.evaluation.calibration import Answers
from svipctl.evaluation.image_answers import save_evaluation
from svipctl.evaluation.protocols import Scored, evaluate_protocols
from svipctl.evaluation.result import Evaluation, evaluation_document
from svipctl.reproduce.execute import execute
from svipctl.reproduce.published_numbers import compare_with_published, published_numbers
from svipctl.reproduce.run_results import RunResult, collect_results
from svipctl.reproduce.seed_statistics import interval_over_images
from svipctl.reproduce.step_state import run_of
from svipctl.reproduce.table_document import table_document
from svipctl.reproduce.table_plan import TablePlan
from svipctl.reproduce.table_report import comma_separated, markdown, write_report
from svipctl.runs.run import Run
from tests.reproduce.cases import Recorder, Writer, evaluation, final_runs, plan_of
from tests.runs.made import rewrite


@pytest.fixture
def plan(tmp_path: Path) -> TablePlan:
    """Return a plan of toybirds with all runs written."""
    made = plan_of(tmp_path / "runs", seeds=3)
    execute(made, Writer(), tmp_path / "logs", Recorder())
    return made


def row_of(document: dict[str, Any], recipe: str | None, row: str) -> dict[str, Any]:
    (found,) = [one for one in document["rows"] if (one["recipe"], one["row"]) == (recipe, row)]
    return dict(found)


def values(recipe: str, row: str, protocol: str, figure: str) -> list[float]:
    return [evaluation(f"table-{recipe}-{row}-seed{seed}")["protocols"][protocol][figure] for seed in range(3)]


def test_a_row_is_mean_and_deviation_over_its_seeds(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    for recipe, row in (("svipctl", "full"), ("reference", "sel-random")):
        found = row_of(document, recipe, row)["figures"]["gzsl-calibrated.H"]
        expected = values(recipe, row, "gzsl-calibrated", "H")
        assert found == {"n": 3, "mean": round(fmean(expected), 4), "sd": round(stdev(expected), 4), "half_width": 5.0}


def test_a_difference_is_to_the_full_method_of_the_same_recipe_seed_by_seed(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    found = row_of(document, "reference", "sel-random")["differences"]["zsl.T1"]
    pairs = zip(values("reference", "sel-random", "zsl", "T1"), values("reference", "full", "zsl", "T1"))
    differences = [one - base for one, base in pairs]
    assert (found["n"], found["mean"]) == (3, round(fmean(differences), 4))
    low, high = found["interval"]
    assert (low + high) / 2 == pytest.approx(found["mean"], abs=1e-3)
    assert row_of(document, "svipctl", "full")["differences"] == {}


def test_another_recipe_is_compared_with_the_first_one(plan: TablePlan) -> None:
    found = row_of(table_document(plan, collect_results(plan)), "reference", "full")["differences"]["zsl.T1"]
    pairs = zip(values("reference", "full", "zsl", "T1"), values("svipctl", "full", "zsl", "T1"))
    assert found["mean"] == round(fmean(one - base for one, base in pairs), 4)


def test_a_baseline_is_compared_with_each_seed_of_the_first_recipe(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    found = row_of(document, None, "ridge")
    full = values("svipctl", "full", "zsl", "T1")
    assert found["figures"]["zsl.T1"]["n"] == 1
    assert found["differences"]["zsl.T1"]["n"] == 3
    expected = evaluation("table-ridge")["protocols"]["zsl"]["T1"] - fmean(full)
    assert found["differences"]["zsl.T1"]["mean"] == pytest.approx(expected, abs=1e-4)


def evaluated(run: Run, number: int, images: int = 60) -> Answers:
    """Random answers to the same images, as the run's evaluation."""
    labels = np.arange(images) % 6
    scores = np.random.default_rng(number).standard_normal((images, 6)) + np.eye(6)[labels]
    one = Scored(scores, labels, np.arange(3), np.arange(3, 6))
    results, classes = evaluate_protocols(one, gamma=0.2, resamples=0), tuple("abcdef")
    document = evaluation_document(results, classes, {"epoch": 2})
    images = tuple(f"{number}.png" for number in range(len(labels)))
    save_evaluation(run, Evaluation(document, results, one, classes, images=images))
    return results.answers


def test_a_difference_has_an_interval_over_seeds_and_test_images(plan: TablePlan) -> None:
    runs = {step.run: run_of(step) for step in plan.steps}
    names = [f"table-svipctl-{row}-seed{seed}" for row in ("full", "sel-random") for seed in range(3)]
    drawn = [
        resampled_metrics(evaluated(runs[name], number), {}, 1000, 0)["zsl", "T1"] for number, name in enumerate(names)
    ]
    ridge = resampled_metrics(evaluated(runs["table-ridge"], 9), {}, 1000, 0)["zsl", "T1"]
    document = table_document(plan, collect_results(plan))
    full = {seed: 100 * drawn[seed] for seed in range(3)}
    random = {seed: 100 * drawn[3 + seed] for seed in range(3)}
    for recipe, row, values in (("svipctl", "sel-random", random), (None, "ridge", dict.fromkeys(full, 100 * ridge))):
        found = row_of(document, recipe, row)["differences"]["zsl.T1"]["interval_images"]
        assert found == pytest.approx(interval_over_images(values, full), abs=1e-4)
    assert row_of(document, "reference", "sel-random")["differences"]["zsl.T1"]["interval_images"] is None
    low, high = row_of(document, None, "ridge")["differences"]["zsl.T1"]["interval_images"]
    assert "Over seeds and test images" in markdown(document)
    assert f"[{low:+.1f}, {high:+.1f}]" in markdown(document)


def test_answers_to_other_images_have_no_interval_over_images(plan: TablePlan) -> None:
    for step in plan.steps:
        evaluated(run_of(step), 0, images=66 if step.run == "table-svipctl-sel-random-seed1" else 60)
    document = table_document(plan, collect_results(plan))
    assert document["warnings"][0].startswith("the runs were scored on different images (30 seen and 30 unseen, 33")
    found = row_of(document, "svipctl", "sel-random")["differences"]
    assert found["zsl.T1"]["n"] == 3
    assert found["zsl.T1"]["interval_images"] == [0.0, 0.0]  # of the seeds that answered the same images, all alike


def test_as_many_other_images_give_a_warning(plan: TablePlan) -> None:
    for step in plan.steps:
        evaluated(run_of(step), 0)
    assert table_document(plan, collect_results(plan))["warnings"] == []
    file = run_of(final_runs(plan, "svipctl", "sel-random")[1]).folder / "eval" / "images.csv"
    file.write_text(file.read_text().replace("59.png", "99.png"))
    (warning,) = table_document(plan, collect_results(plan))["warnings"]
    assert warning.startswith("the runs were scored on different images (30 seen and 30 unseen)")


def test_the_leak_is_the_published_protocol_minus_the_calibrated_one(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    by_recipe = {leak["recipe"]: leak for leak in document["leak"]}
    for recipe in ("svipctl", "reference"):
        pairs = zip(values(recipe, "full", "reference", "H"), values(recipe, "full", "gzsl-calibrated", "H"))
        assert by_recipe[recipe]["offset"]["mean"] == pytest.approx(fmean(a - b for a, b in pairs), abs=1e-4)
        pairs = zip(values(recipe, "full", "gzsl-oracle", "H"), values(recipe, "full", "gzsl-calibrated", "H"))
        assert by_recipe[recipe]["gamma"]["mean"] == pytest.approx(fmean(a - b for a, b in pairs), abs=1e-4)
    assert "offset_and_epoch" not in by_recipe["svipctl"]  # it never evaluated test images between epochs
    best = []
    for step in final_runs(plan, "reference", "full"):
        lines = (run_of(step).folder / "metrics.jsonl").read_text().splitlines()
        best.append(max(json.loads(line)["H_reference"] for line in lines))
    honest = values("reference", "full", "gzsl-calibrated", "H")
    expected = fmean(one - base for one, base in zip(best, honest))
    assert by_recipe["reference"]["offset_and_epoch"]["mean"] == pytest.approx(expected, abs=1e-4)


def test_published_numbers_are_compared_under_the_published_recipe_and_protocol(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs", dataset="cub", controls="sel-none,sel-random", baselines=[])
    execute(plan, Writer(), tmp_path / "logs", Recorder())
    rows = collect_results(plan)
    found = {(one["row"], one["figure"]): one for one in compare_with_published("cub", rows)}
    ablation = {("sel-none", "T1"), ("sel-none", "H")}
    assert set(found) == {("full", figure) for figure in ("T1", "U", "S", "H")} | ablation
    assert (found["full", "H"]["published"], found["sel-none", "T1"]["published"]) == (75.0, 78.9)
    chosen = next(row for row in rows if (row.recipe, row.row) == ("reference", "full"))
    for figure in ("T1", "U", "S", "H"):
        ours = fmean(chosen.values(f"epoch chosen on test.{figure}").values())
        assert found["full", figure]["ours"] == round(ours, 4)
        assert found["full", figure]["difference"] == round(ours - found["full", figure]["published"], 4)
    (lacking,) = [run_of(step) for step in final_runs(plan, "reference", "full")[:1]]
    lacking.save_json("eval/metrics.json", evaluation(lacking.name) | {"missing_images": 3})
    assert {one["row"] for one in compare_with_published("cub", collect_results(plan))} == {
        "sel-none"
    }  # not of a part of the images


def test_published_numbers_equal_those_of_the_paper() -> None:
    assert {name: numbers["main"] for name in ("cub", "awa2", "sun") if (numbers := published_numbers(name))} == {
        "cub": {"T1": 79.8, "U": 72.1, "S": 78.1, "H": 75.0},
        "awa2": {"T1": 69.8, "U": 65.4, "S": 87.7, "H": 74.9},
        "sun": {"T1": 71.6, "U": 53.7, "S": 48.0, "H": 50.7},
    }
    assert published_numbers("toybirds") == {}


def test_missing_runs_are_named_and_n_counts_the_existing_ones(plan: TablePlan, tmp_path: Path) -> None:
    lost = final_runs(plan, "svipctl", "full")[1]
    (run_of(lost).folder / "eval" / "metrics.json").unlink()
    document = table_document(plan, collect_results(plan))
    assert document["missing"] == [lost.run]
    assert row_of(document, "svipctl", "full")["n"] == 2
    assert row_of(document, "svipctl", "sel-random")["differences"]["zsl.T1"]["n"] == 2
    assert f"no results yet: {lost.run}" in markdown(document)


def test_an_empty_table_is_reported_as_such(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs")
    text = markdown(table_document(plan, collect_results(plan)))
    assert "no results yet" in text
    assert "No results yet." in text


def test_the_report_has_every_command_and_no_time(plan: TablePlan) -> None:
    text = markdown(table_document(plan, collect_results(plan)))
    for step in plan.steps:
        assert step.command in text
    assert plan.request.command in text
    for part in ("commit c0ffee", "code abababababab", "torch 2", "float32", "weights somewhere " + "5ad" * 20):
        assert part in text


def test_the_report_lists_what_each_row_changes_and_what_a_baseline_chose(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "runs", controls="svipctl/score-dot", model__backbone="lite")
    execute(plan, Writer(), tmp_path / "logs", Recorder())
    text = markdown(table_document(plan, collect_results(plan)))
    about = "class score is the dot product, at its published scale of 5"
    assert f"- `score-dot`: {about} (`method.class_score=dot`, `method.scale=5`)" in text
    assert "best of 390 choices on the folds: features l2, targets centred, weights 0.1, score cosine" in text


def test_the_spread_over_images_is_reported_with_that_over_seeds(plan: TablePlan) -> None:
    text = markdown(table_document(plan, collect_results(plan)))
    assert "Scored: 10 seen and 20 unseen test images." in text
    assert "svipctl T1 ± 3.0, H ± 5.0; reference T1 ± 3.0, H ± 5.0" in text


def test_rows_with_other_images_code_or_arithmetic_give_a_warning(plan: TablePlan) -> None:
    assert table_document(plan, collect_results(plan))["warnings"] == []
    one, other = (run_of(step) for step in final_runs(plan, "svipctl", "sel-random")[:2])
    one.save_json("eval/metrics.json", evaluation(one.name) | {"images": {"seen": 10, "unseen": 19}})
    environment = {**other.environment(), "source_sha256": "cd" * 32, "precision": "bfloat16"}
    other.save_json("environment.json", environment)
    rewrite(other.folder / "training_images.txt", "b.png\n")
    document = table_document(plan, collect_results(plan))
    images, unlike = document["warnings"]
    assert images.startswith("the runs were scored on different images (10 seen and 19 unseen, 10 seen and 20 unseen)")
    assert unlike.startswith("the runs differ in code, arithmetic, training images")
    assert [len(one["runs"]) for one in document["environment"]] == [12, 1]


def test_rows_with_other_word_vectors_give_a_warning_and_rows_without_any_do_not(
    plan: TablePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"table-svipctl-full-seed0": "ab" * 32, "table-svipctl-full-seed1": "ab" * 32}
    monkeypatch.setattr(RunResult, "word_vectors", property(lambda result: known.get(result.run.name, "")))
    assert table_document(plan, collect_results(plan))["warnings"] == []
    known["table-svipctl-full-seed2"] = "cd" * 32
    (warning,) = table_document(plan, collect_results(plan))["warnings"]
    assert warning.startswith("the runs differ in word vectors (see the end)")


def test_seeds_with_different_gammas_give_a_warning(plan: TablePlan) -> None:
    run = run_of(final_runs(plan, "svipctl", "sel-random")[1])
    document = evaluation(run.name)
    document["protocols"]["gzsl-calibrated"]["gamma"] = 0.2
    run.save_json("eval/metrics.json", document)
    (warning,) = table_document(plan, collect_results(plan))["warnings"]
    assert warning == "the seeds of svipctl/sel-random have different gammas: development runs were trained again"


def test_settings_that_no_command_shows_are_listed(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    assert document["elsewhere"] == []
    origins = {"optim.lr": "environment", "seed": "flag", "train.epochs": "svipctl.toml", "gpu": "environment"}
    run = run_of(final_runs(plan, "svipctl", "full")[0])
    run.save_json("origins.json", origins)
    lr, epochs = run.settings().optim.lr, run.settings().train.epochs
    document = table_document(plan, collect_results(plan))
    assert document["elsewhere"] == [f"optim.lr = {lr} (environment)", f"train.epochs = {epochs} (svipctl.toml)"]
    assert f"`optim.lr = {lr} (environment)`" in markdown(document)


def test_every_line_of_the_csv_is_a_figure_of_the_document(plan: TablePlan) -> None:
    document = table_document(plan, collect_results(plan))
    lines = list(csv.DictReader(io.StringIO(comma_separated(document))))
    assert len(lines) == sum(len(row["figures"]) for row in document["rows"])
    for line in lines:
        recipe = None if line["recipe"] == "baseline" else line["recipe"]
        found = row_of(document, recipe, line["row"])["figures"][line["figure"]]
        assert float(line["mean"]) == found["mean"]
        assert int(line["n"]) == found["n"]


def test_markdown_tables_have_the_same_number_of_cells_in_each_line(plan: TablePlan) -> None:
    lines = markdown(table_document(plan, collect_results(plan))).splitlines()
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|"):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    for block in filter(None, blocks):
        assert len({line.count("|") for line in block}) == 1


def test_files_are_written_completely_and_are_reproducible(plan: TablePlan, tmp_path: Path) -> None:
    document = table_document(plan, collect_results(plan))
    first = [path.read_bytes() for path in write_report(document, tmp_path / "report")]
    again = [
        path.read_bytes() for path in write_report(table_document(plan, collect_results(plan)), tmp_path / "report")
    ]
    assert first == again
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        *("reproduction.csv", "reproduction.json", "reproduction.md")
    ]


def test_damaged_figures_are_an_error_that_names_the_file(plan: TablePlan) -> None:
    path = run_of(final_runs(plan, "svipctl", "full")[0]).folder / "eval" / "metrics.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json is damaged"):
        collect_results(plan)
