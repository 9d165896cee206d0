"""From an attribute's name to the words that describe it, as the published word vectors were made (data, section 4)."""

from __future__ import annotations

_CUB_WORDS = {"spatulate": ["broad"], "upperparts": ["upper", "parts"], "grey": ["gray"]}
_AWA2_WORDS = {
    "newworld": ["new", "world"],
    "oldworld": ["old", "world"],
    "nestspot": ["nest", "spot"],
    "toughskin": ["tough", "skin"],
    "longleg": ["long", "leg"],
    "chewteeth": ["chew", "teeth"],
    "meatteeth": ["meat", "teeth"],
    "strainteeth": ["strain", "teeth"],
    "quadrapedal": ["quadrupedal"],
}
_SUN_WORDS = {
    "rockstone": ["rock", "stone"],
    "dirtsoil": ["dirt", "soil"],
    "sunsunny": ["sun", "sunny"],
    "electricindoor": ["electric", "indoor"],
    "semi-enclosed": ["semi", "enclosed"],
    "far-away": ["faraway"],
}


def attribute_words(name: str, dataset: str = "") -> list[str]:
    """Words of an attribute name in the scheme of `awa2`, `sun`, or else CUB's, which data folders use too.

    `has_bill_shape::hooked_seabird` is bill shape hooked seabird; SUN's `sunsunny` is sun sunny.
    """
    if dataset == "awa2":
        return _replaced(name.split(" "), _AWA2_WORDS)
    if dataset == "sun":
        # A slash joins two words only where no space follows it: `rock/stone`, but `sailing/ boating`.
        return _replaced(name.replace("/", "").split(" "), _SUN_WORDS)
    text = name.replace("_", " ").replace("-", " ").replace("::", " ")
    text = text.partition("(")[0].removeprefix("has ")
    return _replaced(text.split(" "), _CUB_WORDS if dataset == "cub" else {})


def _replaced(words: list[str], replacements: dict[str, list[str]]) -> list[str]:
    return [part for word in words if word for part in replacements.get(word, [word])]
