"""Test what is, and what is not, called damage of a training state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from svipctl.errors import DataError
from svipctl.training.state import FILE, Position, load_state, read_position, save_state
from tests.training.test_optimisation import optimisation


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_an_error_of_the_machine_is_not_called_damage(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(optimizer: torch.optim.Optimizer, state: Any) -> None:
        raise error

    save_state(tmp_path, Position(epoch=2, step=1), optimisation())
    monkeypatch.setattr(torch.optim.Optimizer, "load_state_dict", fail)
    with pytest.raises(type(error)):
        load_state(tmp_path, optimisation())


@pytest.mark.parametrize("lost", [1, 200, 5000])
def test_a_truncated_state_is_damaged_and_a_whole_one_has_its_position(lost: int, tmp_path: Path) -> None:
    save_state(tmp_path, Position(epoch=2, step=1), optimisation())
    assert read_position(tmp_path) == (2, 1)
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[:-lost])
    with pytest.raises(DataError, match="is damaged"):
        load_state(tmp_path, optimisation())
