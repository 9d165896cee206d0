"""Build the attribute matrix of a data set from chosen word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svipctl.datasets.fetch.assets import Asset, built_in
from svipctl.datasets.fetch.download import download
from svipctl.datasets.names import BUILT_IN
from svipctl.errors import ConfigError, DataError, NetworkError, nearest
from svipctl.quoting import shell_command
from svipctl.semantics.matrix import Pooling, WordMatrix, wanted_words, word_matrix
from svipctl.semantics.phrases import scheme_of
from svipctl.semantics.toy_corpus import train_toy_vectors
from svipctl.semantics.vector_files import read_word_vectors
from svipctl.types import ProgressCallback


@dataclass(frozen=True)
class Source:
    """Source of word vectors: a file, a file to download first, or, with neither, the built-in corpus."""

    path: Path | None
    asset: Asset | None = None

    @property
    def name(self) -> str:
        """Name of the source, without the folders of this machine."""
        if self.asset is not None:
            return self.asset.name
        return self.path.name if self.path is not None else "the built-in corpus"

    def describe(self) -> str:
        """Return the name, and the number of bytes to download if there are any."""
        if self.asset is None or self.path is None or self.path.exists():
            return self.name
        return f"{self.name}, to download: {self.asset.size or 0:,} bytes"


def choose_source(dataset: str, vectors: str | None, data_dir: Path, *, offline: bool) -> Source:
    """Return the source of word vectors that `--vectors` selects.

    Raises:
        ConfigError: No source is given, and the data set has no built-in corpus.
        DataError: It is neither a file nor the name of a download.
        NetworkError: It must be downloaded, and --offline forbids that.

    """
    if vectors is None:
        if dataset in BUILT_IN:
            return Source(None)
        raise ConfigError(
            f"the word vectors of {dataset} need a source",
            why=f"--vectors takes a file, or a name to download: {', '.join(_downloadable())}",
            todo=shell_command("w2v", "build", dataset, "--vectors", "word2vec-google-news-300"),
        )
    if vectors in _downloadable():
        asset = built_in()[vectors]
        path = data_dir / ".vectors" / asset.file
        if offline and not path.exists():
            raise NetworkError(
                f"{vectors} must be downloaded, and downloads are disabled (--offline)",
                todo="omit --offline, or pass a file: --vectors FILE",
            )
        return Source(path, asset)
    if not Path(vectors).exists():
        raise DataError(
            f"there is no file {vectors}",
            why=f"it is not the name of a download either: {nearest(vectors, _downloadable())}",
        )
    return Source(Path(vectors))


def build_matrix(
    dataset: str,
    attributes: Sequence[str],
    source: Source,
    *,
    pooling: Pooling = "sum",
    progress: ProgressCallback | None = None,
) -> WordMatrix:
    """Read the words of the attributes, downloading the file first if it is missing, and pool them.

    Raises:
        DataError: The file is damaged, or contains none of the words.
        NetworkError: The download failed.

    """
    if source.path is None:
        return train_toy_vectors(attributes, pooling=pooling)
    if source.asset is not None and not source.path.exists():
        download(source.asset, source.path.parent, progress=progress)
    scheme = scheme_of(dataset)
    words = wanted_words(attributes, scheme)
    found = read_word_vectors(source.path, words, progress)
    if not found.vectors:
        raise DataError(
            f"{source.path} contains none of the {len(words)} words of {dataset}", why=f"it was read as {found.kind}"
        )
    return word_matrix(attributes, found, scheme=scheme, pooling=pooling, source=source.name)


def _downloadable() -> list[str]:
    """Return the names of the word vectors that can be downloaded."""
    return [asset.name for asset in built_in().values() if asset.kind == "gz"]
