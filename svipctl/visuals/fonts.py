"""Choose the fonts of figures: matplotlib's, and fonts of this machine for characters that it lacks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from unicodedata import bidirectional

from matplotlib.font_manager import findfont, fontManager, get_font

FONT = "DejaVu Sans"
"""Font of matplotlib, so that a figure is the same on every machine."""
_CJK = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans"),
    *("WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "IPAexGothic", "NanumGothic", "Unifont"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS"),
)


@cache
def font_families() -> tuple[str, ...]:
    """Return the font of figures, followed by those on this machine with Chinese, Japanese and Korean characters."""
    installed = {font.name for font in fontManager.ttflist}
    return (FONT, *(name for name in _CJK if name in installed))


def undrawable(names: Iterable[str]) -> list[str]:
    """Return the names that a PNG cannot show: no font has a character, or the script is written from right to left."""
    drawable = _characters()
    return [
        name for name in names if any(ord(one) not in drawable or bidirectional(one) in ("R", "AL") for one in name)
    ]


@cache
def _characters() -> frozenset[int]:
    return frozenset(code for name in font_families() for code in get_font(findfont(name)).get_charmap())
