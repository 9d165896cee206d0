"""Write and read the answers for each image of an evaluation: `eval/images.csv` of a run."""

from __future__ import annotations

import numpy as np

from svipctl.datasets.csv_rows import csv_rows, number
from svipctl.errors import DataError, explained_disk_errors
from svipctl.evaluation.calibration import Answers
from svipctl.evaluation.result import Evaluation
from svipctl.runs.folder import RunFile
from svipctl.runs.records import as_table, rewrite
from svipctl.runs.run import Run

IMAGES = "eval/images.csv"


def save_evaluation(run: Run, evaluation: Evaluation) -> None:
    """Write `eval/images.csv` and `eval/metrics.json` of a run.

    Raises:
        ResourceError: The disk is full.

    """
    run.check_folder()
    with explained_disk_errors(f"the evaluation of {run.folder}"):
        (run.folder / IMAGES).parent.mkdir(parents=True, exist_ok=True)
        rewrite(run.folder / IMAGES, as_table(evaluation.image_rows()))
    run.save_json(RunFile.EVALUATION, evaluation.document)


def read_answers(run: Run) -> tuple[tuple[str, ...], Answers] | None:
    """Return the scored images and the answers of a run's last evaluation; None if svipctl 0.1 wrote it.

    Classes are numbered in the order of their names.

    Raises:
        DataError: The file is damaged, or of another evaluation than `eval/metrics.json`.

    """
    path, evaluation = run.folder / IMAGES, run.evaluation()
    if evaluation is None or not path.exists():
        return None
    try:
        head, *rows = csv_rows(path)
        columns = dict(zip(head, zip(*rows, strict=True), strict=True))
        classes = {name: number for number, name in enumerate(sorted(set(columns["class"])))}
        labels, seen_answers, unseen_answers = (
            np.array([classes.get(name, -1) for name in columns[column]], dtype=np.int64)
            for column in ("class", "seen_answer", "unseen_answer")
        )
        seen, unseen = (np.array([*map(number, columns[one])]) for one in ("seen_score", "unseen_score"))
        if not {"0", "1"} >= set(columns["seen"]):
            raise ValueError("column seen has other values than 0 and 1")
        is_seen = np.array([cell == "1" for cell in columns["seen"]])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged", why=str(error), todo="run `svipctl eval` again") from error
    answers = Answers(labels, is_seen, seen - unseen, seen_answers, unseen_answers, seen, unseen)
    found = {"seen": int(is_seen.sum()), "unseen": int((~is_seen).sum())}
    accuracy = 100 * answers.zero_shot_accuracy
    if found != evaluation.images or not np.isclose(accuracy, evaluation.protocols.get("zsl", {}).get("T1", accuracy)):
        raise DataError(
            f"{path} does not belong to the evaluation in eval/metrics.json", todo="run `svipctl eval` again"
        )
    return columns["image"], answers
