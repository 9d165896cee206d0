"""Implement `svipctl w2v build`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svipctl.cli import _completion
from svipctl.cli._command import Dataset, Overrides, command, option, output_option, sink
from svipctl.datasets.names import check_present
from svipctl.settings import flags

_DOWNLOADED = ("word2vec-google-news-300", "glove-wiki-gigaword-50", "glove-wiki-gigaword-300")


@command(flags.OFFLINE, flags.DATA_DIR, layers=False)
def build(
    dataset: Dataset,
    *,
    overrides: Overrides,
    vectors: str | None = option(
        None,
        "word2vec (.bin, .bin.gz, .txt) or GloVe file, or a gensim-data name to download: "
        f"{', '.join(_DOWNLOADED)}. Toybirds needs none.",
        autocompletion=_completion.choices(*_DOWNLOADED),
    ),
    pooling: Literal["sum", "mean"] = option("sum", "Pooling of the words of a phrase: sum (published) or mean."),
    output: Path | None = output_option("Output file. (default: word_vectors.npz of the data set)"),
    dry_run: bool,
) -> None:
    """Build the word vectors of attributes.

    By default, as in the published code, the vector of a phrase is the sum of its words' vectors.

    Examples:
        svipctl w2v build toybirds
        svipctl w2v build cub --vectors GoogleNews-vectors-negative300.bin.gz

    """
    settings = overrides.workspace()
    check_present(dataset, settings.data_dir)

    from svipctl.array_files import check_ending
    from svipctl.datasets.registry import attribute_names, open_benchmark, pictures_to_draw, word_vectors_file
    from svipctl.semantics.build import build_matrix, choose_source

    attributes = attribute_names(dataset, settings.data_dir)
    source = choose_source(dataset, vectors, settings.data_dir, offline=settings.offline)
    path = output or word_vectors_file(dataset, settings.data_dir)
    check_ending(path, "word vectors")
    # A folder with only word vectors would prevent the drawing.
    to_draw = pictures_to_draw(dataset, settings.data_dir) if output is None else 0
    if dry_run:
        plan = {"attributes": len(attributes), "vectors": source.describe(), "output": str(path)}
        plan["pictures_to_draw"] = to_draw
        sink.plan(plan, "\n".join(f"{key}: {value}" for key, value in plan.items()))
        return
    if to_draw:
        with sink.progress(f"drawing {dataset}") as progress:
            open_benchmark(dataset, settings.data_dir, progress)
    with sink.progress(f"reading {source.name}") as progress:
        matrix = build_matrix(dataset, attributes, source, pooling=pooling, progress=progress)
    matrix.save(path)
    rows, width = matrix.vectors.shape
    if matrix.unknown:
        sink.warn(f"unknown words, which contribute nothing: {', '.join(matrix.unknown)}")
    if matrix.zero_rows:
        sink.warn(f"attributes without any known word, whose vectors are zero: {', '.join(matrix.zero_rows)}")
    text = f"{path}: {rows} attributes x {width} from {matrix.source}"
    sink.result(text, {"dataset": dataset, "output": str(path), **matrix.document()})
