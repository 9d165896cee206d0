"""`svipctl w2v check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from svipctl.cli import options
from svipctl.cli.output import sink
from svipctl.errors import CheckFailed, ConfigError


def check(
    dataset: options.Dataset,
    against: Annotated[
        Path | None, typer.Option("--against", help="A published .pkl; it is read without running anything in it.")
    ] = None,
    offline: options.Offline = None,
    data_dir: options.DataDir = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare built word vectors with the published ones: by checksum, and given a published file by value.

    Examples: `svipctl w2v check cub`, `svipctl w2v check cub --against CUB_attribute.pkl`
    """
    from svipctl.cli.configure import resolved

    settings = resolved(dataset, data_dir=data_dir, offline=offline).settings

    from svipctl.datasets.registry import attribute_names, word_vectors_file
    from svipctl.restricted import read_pickled_array
    from svipctl.semantics.matrix import WordMatrix
    from svipctl.semantics.published import SHA256, TOLERANCE, compare, values_sha256

    published = SHA256.get(dataset)
    if published is None and against is None:
        raise ConfigError(f"nothing is published for {dataset}", todo="compare with a file: --against FILE.pkl")
    path = word_vectors_file(dataset, settings.data_dir)
    matrix = WordMatrix.load(path, attribute_names(dataset, settings.data_dir))
    sha256 = values_sha256(matrix.vectors)
    document: dict[str, object] = {"dataset": dataset, "file": str(path), "sha256": sha256, "source": matrix.source}
    same_bytes = sha256 == published
    problems, todo = [], f"svipctl w2v build {dataset} --vectors word2vec-google-news-300"
    if published is not None:
        document |= {"published_sha256": published, "same_bytes": same_bytes}
        sink.say(f"{path}: {'the published values, bit for bit' if same_bytes else 'not the published bytes'}")
    if against is not None:
        comparison = compare(matrix, read_pickled_array(against))
        document |= {"largest_difference": comparison.largest, "different_attributes": list(comparison.different)}
        sink.say(f"largest difference from {against.name}: {comparison.largest:.3g} (tolerance {TOLERANCE:g})")
        if not comparison.same:
            shown = ", ".join(comparison.different[:5])
            rows = f"{len(comparison.different)} of {len(matrix.attributes)} rows differ, for instance {shown}"
            problems.append(f"{rows}; the published table is {comparison.shape}, yours {matrix.vectors.shape}")
    elif not same_bytes:
        problems.append("their SHA-256 is another one, as it is already when one last bit is another")
        todo = f"svipctl w2v check {dataset} --against FILE.pkl tells rounding from other values"
    if problems:
        raise CheckFailed(
            f"the word vectors of {dataset} are not the published ones" + ("" if against else ", bit for bit"),
            why="\n".join(problems),
            todo=todo,
            found=document,
        )
    sink.document(document)
