"""From an attribute's name to the words that describe it."""

from __future__ import annotations


def attribute_words(name: str) -> list[str]:
    """Words of an attribute name in CUB's scheme: `has_bill_shape::hooked_seabird` -> bill shape hooked seabird."""
    text = name.replace("_", " ").replace("-", " ").replace("::", " ")
    text = text.partition("(")[0].removeprefix("has ")
    return [word for word in text.split(" ") if word]
