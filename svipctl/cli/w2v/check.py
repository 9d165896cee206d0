"""Implement `svipctl w2v check`."""

from __future__ import annotations

from pathlib import Path

from svipctl.cli._command import Dataset, Overrides, command, option, sink
from svipctl.datasets.names import check_present
from svipctl.errors import CheckFailed, ConfigError
from svipctl.files import require_path
from svipctl.quoting import shell_command
from svipctl.settings import flags


@command(flags.OFFLINE, flags.DATA_DIR, layers=False)
def check(
    dataset: Dataset,
    *,
    overrides: Overrides,
    against: Path | None = option(None, "Published .pkl file; nothing in it is executed."),
) -> None:
    """Compare word vectors with the published ones.

    The comparison is by checksum, and by value if a published file is given.

    Exit code 0: equal to the published vectors; 1: different, or undecided. Rounding may change the checksum on some
    machines; --against then decides.

    Examples:
        svipctl w2v check cub
        svipctl w2v check cub --against CUB_attribute.pkl

    """
    settings = overrides.workspace()
    check_present(dataset, settings.data_dir)
    if against is not None:
        require_path(against, "file")

    from svipctl.datasets.registry import attribute_names, word_vectors_file
    from svipctl.pickles import read_pickled_array
    from svipctl.semantics.matrix import WordMatrix
    from svipctl.semantics.published_matrix import SHA256, TOLERANCE, WIDTH, compare, values_sha256

    published = SHA256.get(dataset)
    if published is None and against is None:
        raise ConfigError(
            f"there are no published word vectors for {dataset}", todo="compare with a file: --against FILE.pkl"
        )
    path = word_vectors_file(dataset, settings.data_dir)
    matrix = WordMatrix.load(path, attribute_names(dataset, settings.data_dir))
    sha256 = values_sha256(matrix.vectors)
    same_bytes, difference = sha256 == published, ""
    document: dict[str, object] = {"dataset": dataset, "file": str(path), "sha256": sha256, "source": matrix.source}
    document["same_values"] = True if same_bytes else None
    if published is not None:
        document |= {"published_sha256": published, "same_bytes": same_bytes}
        sink.say(f"{path}: {'the published values, bit for bit' if same_bytes else 'not the published bytes'}")
    if against is not None:
        comparison = compare(matrix, read_pickled_array(against))
        document |= comparison.document()
        sink.say(f"largest difference from {against.name}: {comparison.largest:.3g} (tolerance {TOLERANCE:g})")
        difference = "" if comparison.same else comparison.explained(matrix)
    elif matrix.vectors.shape[1] != WIDTH:
        document["same_values"] = False
        difference = f"the published ones have {WIDTH} numbers per attribute, yours have {matrix.vectors.shape[1]}"
    if difference:
        raise CheckFailed(
            f"the word vectors of {dataset} are not the published ones",
            why=difference,
            todo=shell_command("w2v", "build", dataset, "--vectors", "word2vec-google-news-300"),
            document=document,
        )
    if document["same_values"] is None:
        raise CheckFailed(
            f"the SHA-256 of the word vectors of {dataset} differs from the published one",
            why="the cause may be rounding, which differs by machine; --against compares the values with a published file",
            todo=shell_command("w2v", "check", dataset, "--against", f"{dataset.upper()}_attribute.pkl"),
            document=document,
        )
    sink.document(document)
