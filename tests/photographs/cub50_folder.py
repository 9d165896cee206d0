"""Build a data folder of real photographs: CUB classes 001-050 with CUB's attributes and the proposed split.

    python -m tests.photographs.cub50_folder FOLDER

reads `../shared/datasets` (or the folder named by SVIP_TEST_DATA) and writes FOLDER in the layout of README's
`Your own data`. Images are linked, nothing is copied. The result: 40 seen and 10 unseen classes, 1,837 training,
460 seen-test and 592 unseen-test photographs, 312 attributes in 28 groups.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
from scipy.io import loadmat

SOURCE = Path(os.environ.get("SVIP_TEST_DATA", Path(__file__).parents[3] / "shared" / "datasets"))


def build(folder: Path, source: Path = SOURCE) -> Path:
    """Write the data folder and return it."""
    splits = loadmat(source / "metadata" / "CUB" / "xlsa17" / "att_splits.mat")
    images = loadmat(source / "metadata" / "CUB" / "xlsa17" / "res101_nofeatures.mat")["image_files"]
    names = [str(cell[0]) for cell in splits["allclasses_names"][:, 0]]
    attributes = [
        line.split(" ", 1)[1].strip()
        for line in (source / "metadata" / "CUB" / "CUB_200_2011" / "attributes.txt").read_text().splitlines()
    ]
    # The split's positions (1-based) are indices into res101.mat's list of images, not into images.txt.
    relative = ["/".join(str(cell[0]).split("/")[-2:]) for cell in images[:, 0]]
    photographs = source / "cub50" / "CUB_200_2011" / "images"
    present = sorted(path.name for path in photographs.iterdir())

    (folder / "images").mkdir(parents=True)
    for name in present:
        (folder / "images" / name).symlink_to(photographs / name, target_is_directory=True)
    with (folder / "attributes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["class", *attributes])
        writer.writerow(["group", *(attribute.partition("::")[0] for attribute in attributes)])
        writer.writerows([name, *splits["att"][:, names.index(name)]] for name in present)
    with (folder / "split.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split"])
        for key, split in (
            ("trainval_loc", "trainval"),
            ("test_seen_loc", "test_seen"),
            ("test_unseen_loc", "test_unseen"),
        ):
            for position in np.sort(splits[key].ravel()):
                if relative[position - 1].split("/")[0] in present:
                    writer.writerow([relative[position - 1], split])
    return folder


if __name__ == "__main__":
    build(Path(sys.argv[1]))
