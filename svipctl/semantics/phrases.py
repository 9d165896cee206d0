"""Split attribute names into words, as for the published word vectors (data, section 4)."""

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


def scheme_of(dataset: str) -> str:
    """Return the scheme of a data set: `awa2` and `sun` have their own; all others, toybirds and folders too, use
    CUB's.
    """
    return dataset if dataset in ("awa2", "sun") else "cub"


def attribute_words(name: str, scheme: str = "cub") -> list[str]:
    """Return the words of an attribute name in the scheme `cub`, `awa2` or `sun`.

    `has_bill_shape::hooked_seabird` is bill shape hooked seabird; SUN's `sunsunny` is sun sunny.
    """
    if scheme == "awa2":
        return _replaced(name.split(" "), _AWA2_WORDS)
    if scheme == "sun":
        # A slash joins two words only if no space follows it: `rock/stone`, but `sailing/ boating`.
        return _replaced(name.replace("/", "").split(" "), _SUN_WORDS)
    text = name.replace("_", " ").replace("-", " ").replace("::", " ")
    text = text.partition("(")[0].removeprefix("has ")
    return _replaced(text.split(" "), _CUB_WORDS)


def _replaced(words: list[str], replacements: dict[str, list[str]]) -> list[str]:
    return [part for word in words if word for part in replacements.get(word, [word])]
