"""Publish an export on the Hugging Face Hub with its checkpoint and a model card, in one commit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from svipctl.datasets.names import dataset_name
from svipctl.errors import ConfigError, DataError, NetworkError, first_line
from svipctl.evaluation.protocols import CHOSEN_ON_SCORED
from svipctl.export.artifact import ExportResult
from svipctl.export.card import CARD
from svipctl.inference.checkpoint import METADATA
from svipctl.runs.manifest import MANIFEST, WEIGHTS, manifest_of
from svipctl.runs.run import Run

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
LICENCES = frozenset((files("svipctl.export") / "licences.txt").read_text(encoding="utf-8").split())
"""Identifiers of licences that the Hub knows (huggingface.co/docs/hub/repositories-licenses)."""


def check_push(repository: str, licence: str | None, *, offline: bool) -> None:
    """Check the options of a publication, without network.

    Raises:
        ConfigError: The repository name is invalid, or no licence is given.
        NetworkError: `offline` forbids it.

    """
    if not REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{repository!r} is not a valid repository name of the Hub", todo="use --push OWNER/NAME")
    if not licence:
        raise ConfigError("publishing weights needs a licence", todo="add one, for instance --licence cc-by-4.0")
    if offline:
        raise NetworkError("--offline forbids --push", todo="omit one of them")


def check_access(repository: str) -> None:
    """Check, before the export, that the Hub can be reached and knows the user's token.

    Raises:
        DataError: The token is missing or invalid.
        NetworkError: The Hub cannot be reached.

    """
    with _explained(repository, todo="check the connection; --push needs it"):
        _api().whoami()


def push(result: ExportResult, run: Run, repository: str, licence: str) -> str:
    """Publish the checkpoint of a run with its exported file and model card.

    A new repository is private until you change that on its page.

    Args:
        result: Export that passed its verification.
        run: The exported run.
        repository: `OWNER/NAME`; created if it does not exist.
        licence: One of `LICENCES` (`apache-2.0`, `cc-by-4.0`, ...), or the name of another licence.

    Returns:
        The address with the commit, `hf://OWNER/NAME@COMMIT`, for `svipctl.load`.

    Raises:
        DataError: The Hub refuses: the token is missing, or has no write access.
        NetworkError: The Hub cannot be reached.

    """
    card = (result.path.parent / CARD).read_text(encoding="utf-8")
    dataset = dataset_name(run.settings().dataset)
    checkpoint = (run.best / WEIGHTS, run.best / METADATA)
    contents: dict[str, Path | bytes] = {
        "README.md": (front_matter(run, repository, licence) + _usage(repository, dataset) + card).encode(),
        **{path.name: path for path in checkpoint},
        MANIFEST: manifest_of(checkpoint).text().encode(),
        f"export/{result.path.name}": result.path,
        f"export/{result.report.name}": result.report,
    }
    with _explained(repository, todo=f"the export is complete; try again with --force: {result.path}"):
        api = _api()
        api.create_repo(repository, private=True, exist_ok=True)
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(name, content) for name, content in contents.items()],
            commit_message=f"svipctl: {run.name}",
        )
    return f"hf://{repository}@{commit.oid}"


def _api() -> HfApi:
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"))


@contextmanager
def _explained(repository: str, *, todo: str) -> Iterator[None]:
    """Raise the errors of the Hub as ours; `todo` is the advice if it cannot be reached."""
    try:
        yield
    except Exception as error:  # huggingface_hub and its HTTP client raise different exceptions
        is_refused = isinstance(error, HfHubHTTPError) and error.response.status_code < 500
        if is_refused or isinstance(error, ValueError | LocalTokenNotFoundError):
            raise DataError(
                f"the Hub refused to publish {repository}",
                why=first_line(error),
                todo="log in with a token that has write access: hf auth login",
            ) from error
        raise NetworkError(
            f"{repository} is not published: the Hub cannot be reached", why=first_line(error), todo=todo
        ) from error


def front_matter(run: Run, repository: str, licence: str) -> str:
    """Return the YAML head of the model card: licence, tags, and the metrics of `eval/metrics.json`, in percent.

    Rows whose gamma or offset was chosen on the scored images are left out: they are upper bounds.
    """
    evaluation, dataset = run.evaluation(), dataset_name(run.settings().dataset)
    is_known = licence in LICENCES
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
        if figure in ("T1", "U", "S", "H") and row not in CHOSEN_ON_SCORED
    ]
    more: dict[str, Any] = {"eval_results": results, "model_name": repository.partition("/")[2]} if results else {}
    data = ModelCardData(
        license=licence if is_known else "other",
        license_name=None if is_known else re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-"),
        library_name="svipctl",
        tags=["zero-shot-learning", "attributes", "svip"],
        pipeline_tag="image-classification",
        **more,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _usage(repository: str, dataset: str) -> str:
    return f"""
```python
import svipctl

model = svipctl.load("hf://{repository}")
answers = model.classify(["photo.jpg"], classes="classes.csv")  # a table of your classes and their attributes
model = svipctl.load("hf://{repository}", dataset="{dataset}")  # with the data set, also among its own classes
```

"""
