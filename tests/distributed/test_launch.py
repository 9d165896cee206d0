"""Test the common exit code of several processes."""

from __future__ import annotations

import pytest

from svipctl.distributed.launch import common_exit_code, launch
from svipctl.errors import ConfigError


@pytest.mark.parametrize(
    ("codes", "code"),
    [([3, 1], 3), ([1, 3], 3), ([-15, 1], 1), ([1, -9], 1), ([5, 75], 5), ([75, 1], 75), ([-9, -9], 1), ([2, 2], 2)],
)
def test_the_process_that_failed_first_on_its_own_gives_the_exit_code(codes: list[int], code: int) -> None:
    assert common_exit_code(codes) == code


def test_a_missing_device_is_an_error_before_anything_starts() -> None:
    with pytest.raises(ConfigError):
        launch("cpu,999", ["--version"])
