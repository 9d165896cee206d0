"""Test which starting weights of a development run and a final run are the same."""

from __future__ import annotations

import pytest

from svipctl.training.development import are_other_weights


@pytest.mark.parametrize(
    ("before", "now", "other"),
    [
        ({"source": "none", "sha256": ""}, {"source": "none", "sha256": ""}, False),
        ({"source": "a.pth", "sha256": "1"}, {"source": "b.pth", "sha256": "1"}, False),
        ({"source": "a.pth", "sha256": "1"}, {"source": "a.pth", "sha256": "2"}, True),
        ({"source": "timm:vit", "sha256": "1"}, {"source": "timm:vit", "sha256": "2"}, False),
        ({"source": "timm:vit", "sha256": "1"}, {"source": "timm:deit", "sha256": "2"}, True),
        ({"source": "timm:vit", "sha256": "1"}, {"source": "a.pth", "sha256": "2"}, True),
        ({}, {"source": "a.pth", "sha256": "2"}, False),
    ],
)
def test_weights_are_others_by_their_digest_or_by_timms_name(
    before: dict[str, str], now: dict[str, str], other: bool
) -> None:
    assert are_other_weights(before, now) is other
