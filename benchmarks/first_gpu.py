"""Report what to know first about a GPU, the most important measurements first, within ten minutes.

    PYTHONPATH=. python benchmarks/first_gpu.py --out FOLDER --data-dir DATA_WITH_TOYBIRDS

Each section has a budget of seconds, and is skipped if less than that is left of `--seconds`; a section that fails does
not end the others. FOLDER/report.json is rewritten after each. On a CPU (`--gpu cpu`) it only tests itself.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from svipctl.device import choose_dtype, peak_memory, use_device
from svipctl.doctor.self_test import make_workload, seconds_a_call, self_test
from svipctl.settings.layers import resolve
from svipctl.settings.schema import Settings

STEPS = 12


class First:
    """Sections of the report, on one device."""

    def __init__(self, wanted: argparse.Namespace) -> None:
        self.out, self.data, self.gpu = wanted.out, wanted.data_dir, wanted.gpu
        self.device = use_device(wanted.gpu)
        self.batch_size = 64 if self.device.type == "cuda" else 2

    def machine(self) -> dict[str, Any]:
        """Return the description of the machine."""
        found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda, "cpus": os.cpu_count()}
        found |= {"python": platform.python_version(), "platform": platform.platform()}
        if self.device.type == "cuda":
            found |= {"gpu": torch.cuda.get_device_name(self.device), "cudnn": torch.backends.cudnn.version()}
            found["tf32"] = [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]
        return found

    def agreement(self) -> list[dict[str, Any]]:
        """Run `svipctl doctor --self-test`."""
        return [finding.document() for finding in self_test(self.gpu)]

    def waits(self) -> dict[str, str]:
        """Check that a warm step never waits for the device; needs a GPU."""
        found = {}
        for recipe in ("svipctl", "reference"):
            work = make_workload(self.settings(recipe), self.device, self.dtype(recipe), 16)
            for _ in range(2):
                work.train()
            torch.cuda.set_sync_debug_mode("error")
            try:
                work.train()
                found[recipe] = "none"
            except RuntimeError as error:
                found[recipe] = str(error)[:300]
            finally:
                torch.cuda.set_sync_debug_mode("default")
        return found

    def speed(self) -> dict[str, dict[str, float]]:
        """Time a step in ms: complete, and until the host has started it; eager, compiled, recomputed, published."""
        found = {}
        for name, recipe, train in (
            ("svipctl", "svipctl", {}),
            ("compiled", "svipctl", {"compile": True}),
            ("checkpointing=mlp", "svipctl", {"checkpointing": "mlp"}),
            ("reference", "reference", {}),
        ):
            settings = self.settings(recipe)
            settings = settings.model_copy(update={"train": settings.train.model_copy(update=train)})
            started = time.perf_counter()
            work = make_workload(settings, self.device, self.dtype(recipe), self.batch_size)
            work.train()
            first = time.perf_counter() - started
            steps = STEPS if self.device.type == "cuda" else 1
            seconds = seconds_a_call(work.train, self.device, steps)
            started = time.perf_counter()
            work.train()
            host = time.perf_counter() - started
            found[name] = {
                "step_ms": round(1e3 * seconds, 1),
                "host_ms": round(1e3 * host, 1),
                "images_per_second": round(self.batch_size / seconds, 1),
                "first_s": round(first, 1),
                "peak_mib": round(peak_memory(self.device)),
            }
            del work
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
        return found

    def command_line(self) -> dict[str, Any]:
        """Train toybirds, and evaluate the run on the device and on the CPU."""
        folders = ("--data-dir", str(self.data), "--runs-dir", str(self.out / "runs"))
        commands = {
            "train": ("train", "toybirds", *folders, "--gpu", self.gpu, "--name", "first", "--epochs", "2"),
            "eval": ("eval", "toybirds", *folders, "--gpu", self.gpu, "--run", "first", "--json"),
            "eval on cpu": ("eval", "toybirds", *folders, "--gpu", "cpu", "--run", "first", "--json"),
        }
        return {name: ran(*arguments) for name, arguments in commands.items()}

    def tests(self) -> dict[str, Any]:
        """Run `tests/device/test_cuda.py`; needs a GPU."""
        return run_program(sys.executable, "-m", "pytest", "-q", "tests/device/test_cuda.py")

    def settings(self, recipe: str) -> Settings:
        """Return the preset of CUB."""
        return resolve("cub", flags={"recipe": recipe}).settings

    def dtype(self, recipe: str) -> torch.dtype:
        """Return the type of the arithmetic: fp32 for the published implementation."""
        return torch.float32 if recipe == "reference" else choose_dtype("auto", self.device)


def ran(*arguments: str) -> dict[str, Any]:
    """Return exit code, seconds and end of the output of a svipctl command."""
    return run_program(sys.executable, "-m", "svipctl", *arguments)


def run_program(*command: str) -> dict[str, Any]:
    """Return exit code, seconds and end of the output of a program."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - started, 1)
    return {"code": done.returncode, "seconds": seconds, "end": (done.stdout + done.stderr)[-1500:]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--gpu", default="0")
    parser.add_argument("--only", help="Names of sections, with commas.")
    parser.add_argument("--seconds", type=float, default=540)
    wanted = parser.parse_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    first, began = First(wanted), time.monotonic()
    sections: list[tuple[Callable[[], Any], float, bool]] = [
        (first.machine, 5, False),
        (first.agreement, 60, False),
        (first.waits, 30, True),
        (first.speed, 120, False),
        (first.command_line, 120, False),
        (first.tests, 120, True),
    ]
    report: dict[str, Any] = {}
    for section, budget, needs_gpu in sections:
        name = section.__name__
        if (wanted.only and name not in wanted.only.split(",")) or (needs_gpu and first.device.type != "cuda"):
            continue
        started = time.monotonic()
        if wanted.seconds - (started - began) < budget:
            report[name] = "no time left"
            continue
        try:
            report[name] = section()
        except Exception:
            report[name] = {"error": traceback.format_exc()[-1500:]}
        print(f"{name}: {time.monotonic() - started:.1f} s\n{json.dumps(report[name], indent=1)}", flush=True)
        (wanted.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
