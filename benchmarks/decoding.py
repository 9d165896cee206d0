"""Time the way from a JPEG to the network's input, by part, with other decoders and another resizing.

    PYTHONPATH=. python benchmarks/decoding.py PHOTOGRAPHS [--size 500x375] [--images 150] [--rounds 7]

PHOTOGRAPHS is a folder of JPEGs, which are resized and saved (quality 90) in a temporary folder. Reports the processor
time of one thread and the fastest round of each variant; the variants alternate. simplejpeg is included if installed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from svipctl.datasets.images import CROP_RATIO, Geometry, channels_first, decode

SIDE = 224
SHAPE = Geometry("shorter-side", SIDE)
Decoder = Callable[[Path], Image.Image | Tensor]


def by_draft(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.draft("RGB", (round(SIDE / CROP_RATIO),) * 2)
        return image.convert("RGB")


def by_torchvision(path: Path) -> Tensor:
    return decode_jpeg(torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8), mode=ImageReadMode.RGB)


def by_simplejpeg(path: Path) -> Tensor:
    import simplejpeg  # type: ignore[import-not-found]

    return torch.from_numpy(simplejpeg.decode_jpeg(path.read_bytes())).permute(2, 0, 1)


def as_image(decoded: Image.Image | Tensor) -> Image.Image:
    return decoded if isinstance(decoded, Image.Image) else Image.fromarray(decoded.permute(1, 2, 0).numpy())


def as_tensor(decoded: Image.Image | Tensor) -> Tensor:
    return decoded if isinstance(decoded, Tensor) else torch.from_numpy(np.array(decoded)).permute(2, 0, 1)


def by_pillow(decoded: Image.Image | Tensor) -> Tensor:
    return channels_first(SHAPE(as_image(decoded)))


def by_torch(decoded: Image.Image | Tensor) -> Tensor:
    """Resize and crop with the same geometry by torch's vector instructions."""
    pixels = as_tensor(decoded)
    shorter = min(pixels.shape[1:])
    high, wide = (int(round(SIDE / CROP_RATIO) * side / shorter) for side in pixels.shape[1:])
    resized = F.interpolate(pixels.unsqueeze(0), size=(high, wide), mode="bilinear", antialias=True)[0]
    top, left = (round((side - SIDE) / 2) for side in (high, wide))
    return resized[:, top : top + SIDE, left : left + SIDE].contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--size", default="500x375")
    parser.add_argument("--images", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=7)
    wanted = parser.parse_args()
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.set_num_threads(1)
    width, height = (int(side) for side in wanted.size.split("x"))
    found = sorted(Path(folder) / name for folder, _, names in os.walk(wanted.photographs) for name in names)
    photographs = [path for path in found if path.suffix == ".jpg"]
    photographs = photographs[:: max(1, len(photographs) // wanted.images)][: wanted.images]
    decoders: dict[str, Decoder] = {"Pillow": decode, "Pillow, draft": by_draft, "torchvision": by_torchvision}
    try:
        import simplejpeg  # noqa: F401

        decoders["simplejpeg"] = by_simplejpeg
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, photograph in enumerate(photographs):
            paths.append(Path(folder) / f"{number}.jpg")
            decode(photograph).resize((width, height), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
        ways: dict[str, Callable[[Path], object]] = {}
        for name, decoder in decoders.items():
            ways[f"{name}: decode"] = decoder
            ways[f"{name}, resized by Pillow"] = lambda path, decoder=decoder: by_pillow(decoder(path))
            ways[f"{name}, resized by torch"] = lambda path, decoder=decoder: by_torch(decoder(path))
        decoded = {path: decode(path) for path in paths}
        ways["resize and crop by Pillow"] = lambda path: SHAPE(decoded[path])
        shaped = {path: SHAPE(decoded[path]) for path in paths}
        ways["convert"] = lambda path: channels_first(shaped[path])
        fastest = dict.fromkeys(ways, float("inf"))
        for _ in range(wanted.rounds):
            for name, way in ways.items():
                started = time.process_time()
                for path in paths:
                    way(path)
                fastest[name] = min(fastest[name], 1000 * (time.process_time() - started) / len(paths))
        today = fastest["Pillow, resized by Pillow"]
        print(f"{len(paths)} JPEGs of {wanted.size} to {SIDE} x {SIDE}, one thread, fastest of {wanted.rounds}")
        for name, way in ways.items():
            row = f"{name:36} {fastest[name]:6.3f} ms, {today / fastest[name]:5.2f}"
            if ", resized" in name:
                differences = [np.abs(channels_first(shaped[path]).int() - way(path).int()) for path in paths]  # type: ignore[attr-defined]
                largest = max(int(one.max()) for one in differences)
                share = 100 * float(np.mean([(one > 0).float().mean() for one in differences]))
                row += f", pixels differ by {largest} at most, {share:.2f} % of them"
            print(row)


if __name__ == "__main__":
    main()
