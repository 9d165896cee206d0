"""Publish an export on the Hugging Face Hub with its checkpoint and a model card, in one commit."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCardData
from huggingface_hub.errors import HfHubHTTPError

from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError, DataError, NetworkError
from svipctl.export.artifact import ExportResult
from svipctl.export.card import CARD
from svipctl.inference.checkpoint import METADATA, WEIGHTS
from svipctl.model.weights import first_line
from svipctl.runs.run import Run

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]*")


def check_push(repository: str, licence: str | None, *, offline: bool) -> None:
    """Check the options of a publication before the export.

    Raises:
        ConfigError: The repository name is invalid, or no licence is given.
        NetworkError: `offline` forbids it.

    """
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository!r} is not a repository name of the Hub", todo="use --push OWNER/NAME")
    if not licence:
        raise ConfigError("publishing weights needs a licence", todo="add one, for instance --licence cc-by-4.0")
    if offline:
        raise NetworkError("--offline forbids --push", todo="omit one of them")


def push(result: ExportResult, run: Run, repository: str, licence: str) -> str:
    """Publish the checkpoint of a run with its exported file and model card.

    A new repository is private until you change that on its page.

    Args:
        result: Export that passed its verification.
        run: The exported run.
        repository: `OWNER/NAME`; created if it does not exist.
        licence: Identifier of the Hub (`apache-2.0`, `cc-by-4.0`, ...) or the text of another licence.

    Returns:
        The address with the commit, `hf://OWNER/NAME@COMMIT`, for `svipctl.load`.

    Raises:
        DataError: The Hub refuses: the token is missing, or has no write access.
        NetworkError: The Hub cannot be reached.

    """
    card = (result.path.parent / CARD).read_text(encoding="utf-8")
    files: dict[str, Path | bytes] = {
        "README.md": (front_matter(run, repository, licence) + _usage(repository) + card).encode(),
        WEIGHTS: run.best / WEIGHTS,
        METADATA: run.best / METADATA,
        f"export/{result.path.name}": result.path,
        f"export/{result.report.name}": result.report,
    }
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    try:
        api.create_repo(repository, private=True, exist_ok=True)
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"svipctl: {run.name}",
        )
    except Exception as error:  # huggingface_hub and its HTTP client raise different exceptions
        if isinstance(error, ValueError) or (isinstance(error, HfHubHTTPError) and error.response.status_code < 500):
            raise DataError(
                f"the Hub refuses to publish {repository}",
                why=first_line(error),
                todo="log in with a token that has write access: hf auth login",
            ) from error
        raise NetworkError(
            f"{repository} is not published: the Hub cannot be reached",
            why=first_line(error),
            todo=f"the export is complete; try again with --force: {result.path}",
        ) from error
    return f"hf://{repository}@{commit.oid}"


def front_matter(run: Run, repository: str, licence: str) -> str:
    """Return the YAML head of the model card: licence, tags, and the metrics of `eval/metrics.json`, in percent."""
    evaluation, dataset = run.evaluation(), dataset_name(run.settings().dataset)
    is_known = bool(_IDENTIFIER.fullmatch(licence))
    results = [
        EvalResult(
            task_type="zero-shot-image-classification",
            dataset_type=dataset,
            dataset_name=dataset,
            metric_type="accuracy",
            metric_name=f"{figure} ({row})",
            metric_value=round(value, 2),
        )
        for row, figures in (evaluation.protocols if evaluation else {}).items()
        for figure, value in figures.items()
        if figure in ("T1", "U", "S", "H")
    ]
    more: dict[str, Any] = {"eval_results": results, "model_name": repository.partition("/")[2]} if results else {}
    data = ModelCardData(
        license=licence if is_known else "other",
        license_name=None if is_known else licence,
        library_name="svipctl",
        tags=["zero-shot-learning", "attributes", "svip"],
        pipeline_tag="image-classification",
        **more,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _usage(repository: str) -> str:
    return f"""
```python
import svipctl

model = svipctl.load("hf://{repository}")
answers = model.classify(["photo.jpg"], classes="classes.csv")  # a table of your classes and their attributes
```

"""
