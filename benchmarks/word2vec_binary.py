"""Compare time and memory of `w2v build cub` and of gensim for a large word2vec binary.

    python benchmarks/word2vec_binary.py FOLDER --data-dir DATA [--words N] [--width N]

Writes the file (3,000,000 x 300: 3.6 GB) into FOLDER and deletes it at the end. The words of CUB's attributes are
spread over it. Both readers run in separate processes, one after the other, after the file was read once; measured is
the complete process, with its imports. DATA/cub must have CUB's attributes.txt.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from svipctl.datasets.registry import attribute_names
from svipctl.semantics.matrix import wanted_words

GENSIM = (
    "import sys; from gensim.models import KeyedVectors; KeyedVectors.load_word2vec_format(sys.argv[1], binary=True)"
)
BUILD = (sys.executable, "-m", "svipctl", "w2v", "build", "cub", "--quiet")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--words", type=int, default=3_000_000)
    parser.add_argument("--width", type=int, default=300)
    wanted = parser.parse_args()
    file, output = wanted.folder / "generated.bin", wanted.folder / "generated.npz"
    words = sorted(wanted_words(attribute_names("cub", wanted.data_dir)))
    try:
        write(file, words, wanted.words, wanted.width)
        print(f"{wanted.words:,} x {wanted.width}, {file.stat().st_size:,} bytes", flush=True)
        build = (*BUILD, "--data-dir", str(wanted.data_dir), "--vectors", str(file), "-o", str(output))
        ours = measure(build)
        print(f"svipctl w2v build cub: {ours[0]:.1f} s, {ours[2]:.1f} s of CPU, peak {ours[1]:.0f} MB", flush=True)
        with np.load(output) as built:
            assert not len(built["unknown"]), "words of the file were not found"
        theirs = measure((sys.executable, "-c", GENSIM, str(file)))
        print(
            f"gensim load_word2vec_format: {theirs[0]:.1f} s, {theirs[2]:.1f} s of CPU, peak {theirs[1]:.0f} MB",
            flush=True,
        )
        print(f"ratio: {theirs[0] / ours[0]:.1f}, of CPU {theirs[2] / ours[2]:.1f}")
        print(f"waiting for a core, 1 minute on average, of {os.cpu_count()}: {os.getloadavg()[0]:.1f}")
    finally:
        file.unlink(missing_ok=True)
        output.unlink(missing_ok=True)


def write(path: Path, wanted: list[str], words: int, width: int) -> None:
    """Write random vectors; at a fixed interval the word is a wanted one, and so is the last word of the file."""
    rng = np.random.default_rng(0)
    every = words // len(wanted)
    table = rng.standard_normal((10_000, width), dtype=np.float32)
    with path.open("wb") as file:
        file.write(f"{words} {width}\n".encode())
        for start in range(0, words, len(table)):
            count = min(len(table), words - start)
            block = []
            for number in range(start, start + count):
                place, rest = divmod(words - 1 - number, every)
                word = wanted[place] if not rest and place < len(wanted) else f"word_{number}"
                block.append(word.encode() + b" " + table[number - start].tobytes())
            file.write(b"".join(block))
    with path.open("rb") as file:  # so that both readers find as much of it in the page cache as fits
        while file.read(2**24):
            pass


def measure(command: tuple[str, ...]) -> tuple[float, float, float]:
    """Return seconds, peak resident megabytes (10^6 bytes) and seconds of CPU of a process."""
    started = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - started
    assert os.waitstatus_to_exitcode(status) == 0, f"{command} failed"
    megabytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return seconds, megabytes, usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
