"""What an epoch is worth: the figures of its network on the monitored split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svipctl.evaluation.protocols import evaluate
from svipctl.evaluation.score import scored
from svipctl.settings.schema import Settings
from svipctl.training.setup import Setup
from svipctl.training.step_log import Record


def monitor(settings: Settings, setup: Setup, check: Callable[[], None]) -> Record:
    """T1, U, S, H, the best H over all gammas and the published protocol's H on the monitored split, in percent; nothing without one."""
    split = setup.monitored
    if split is None:
        return {}
    predictor = setup.predictor(settings.eval.batch_size, settings.data.workers)
    predictions = predictor.predict(
        setup.benchmark, np.concatenate([split.seen, split.unseen]), progress=lambda done, total: check()
    )
    rows = evaluate(scored(setup.benchmark, split, predictions, settings.method), resamples=0).document()["protocols"]
    gzsl, oracle = rows["gzsl"], rows["gzsl-oracle"]
    figures = {"T1": rows["zsl"]["T1"], "U": gzsl["U"], "S": gzsl["S"], "H": gzsl["H"]}
    figures |= {"H_oracle": oracle["H"]} | {f"{figure}_reference": rows["reference"][figure] for figure in "USH"}
    rounded = {name: round(float(value), 3) for name, value in figures.items()}  # plain, so that the state is read back
    return {"monitor": split.name, "gamma": float(oracle["gamma"])} | rounded
