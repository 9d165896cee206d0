"""`svipctl config show`: every setting, its value and where it came from."""

from __future__ import annotations

from pathlib import Path

from svipctl.settings.layers import known_keys
from tests.processes import fresh


def test_every_setting_is_shown_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "svipctl.toml").write_text("[train]\nepochs = 7\n")
    (tmp_path / "mine.toml").write_text("[optim]\nlr = 0.25\n")
    flags = ("--origin", "--json", "--config", "mine.toml", "--set", "train.batch_size=3", "--recipe", "reference")
    done = fresh("config", "show", "cub", *flags, cwd=tmp_path, environment={"SVIPCTL_OPTIM__WARMUP_LR": "0.5"})
    assert done.code == 0, done.stderr
    settings, origins = done.document["settings"], done.document["origins"]
    assert set(origins) == {key for key, _ in known_keys()}
    shown = {
        "train.epochs": (settings["train"]["epochs"], 7, "svipctl.toml"),
        "optim.lr": (settings["optim"]["lr"], 0.25, "mine.toml"),
        "optim.warmup_lr": (settings["optim"]["warmup_lr"], 0.5, "environment"),
        "train.batch_size": (settings["train"]["batch_size"], 3, "flag"),
        "model.backbone": (settings["model"]["backbone"], "vit_base", "preset cub, reference"),
        "method.keep": (settings["method"]["keep"], 40, "preset cub"),
        "method.score_pooling": (settings["method"]["score_pooling"], "runs", "recipe reference"),
        "eval.bootstrap": (settings["eval"]["bootstrap"], 1000, "default"),
    }
    for key, (value, expected, origin) in shown.items():
        assert (value, origins[key]) == (expected, origin), key


def test_text_has_one_line_a_setting(tmp_path: Path) -> None:
    done = fresh("config", "show", "--origin", cwd=tmp_path)
    assert done.code == 0, done.stderr
    lines = dict(line.split(" = ", 1) for line in done.stdout.splitlines())
    assert list(lines) == [key for key, _ in known_keys()]
    assert lines["optim.lr"].split() == ["0.001", "#", "preset", "toybirds"]
    assert lines["offline"].split() == ["false", "#", "default"]
