"""Test the language of the program, its docs and its tests: phrases that are not used, and the form of docstrings."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PHRASES = {
    # said to be known
    r"\b(is|are|was|were|been|be) told\b": "is reported, is shown; pass",
    r"\btells? (the|which|apart|why|it|from|classes|what)\b": "shows, prints, distinguishes",
    r"\bnot be told\b": "is not known",
    r"\bsay(s|ing)? (no|nothing|so)\b": "fails; does not affect; records it",
    r"\bspoken for\b": "selected",
    # verbs
    r"\b(bring|brings|bringing|brought)\b": "copy, load, include, yield",
    r"\bmend(s|ed|ing)?\b": "fix, repair",
    r"\bcontent with\b": "accept",
    r"\b(stand|stands|stood) (in|on|for|beside|at|there|where|under)\b": "is, appears, represents",
    r"\b(lie|lies|lay|lain) (in|on|at|close|beside|directly|next|below|together|outside|inside|there)\b": "is",
    r"\bcomes? to (its|an|the) end\b": "ends, finishes",
    r"\bcame to its end\b": "finished",
    r"\bcarr(y|ies|ied) (over|out)\b": "take, transfer; run, execute",
    r"\b(go|goes|going|went) on (with|from)?": "continue, resume",
    r"\b(is|are|was|were|be) begun\b": "started",
    r"\bhad begun\b|\bhas begun\b|\bhave begun\b": "has started",
    r"\b(held|holding|hold|holds) against\b": "compared with",
    r"\bh(a|u)ngs? on\b": "depends on",
    r"\blook(s|ed|ing)? at (test|the test)\b": "uses, evaluates",
    r"\b(give|gives|gave|given) way\b": "fails",
    r"\btakes? (no )?part\b": "is ignored; participates",
    r"\b(is|are) answered (with|by|rightly)\b": "is classified as, is reported as",
    r"\bwatched\b": "monitored",
    r"\bdealt? (to|out|among|them)\b": "divided among, assigned",
    r"\bgot? here\b": "written",
    r"\bto be had\b": "available",
    r"\b(is|are) to be\b": "should be, is",
    r"\b(is|are|was|were) meant\b": "is selected, is intended",
    r"\bin the way\b": "already exists; error",
    r"\bown accord\b|\bof itself\b": "by itself",
    # nouns
    r"\bwhoever\b|\bwhomever\b": "the caller, the user, name it",
    r"\b(nobody|somebody)\b": "no one, another process, name it",
    r"\b[Aa]nybody's\b": "any model's, other",
    r"\btrained class(es)?\b": "seen class",
    r"\bpictures? of your own\b|\bname (the )?pictures?\b": "your own images; classify images",
    r"\bremarks?\b": "note",
    r"\b(rightly|wrongly)\b": "correctly, incorrectly",
    r"\b(named|answered) (right|wrong)": "classified correctly, misclassified",
    r"\bwhere it is seen\b|\bis seen where\b": "localization map",
    r"\bthe very\b": "the same, exactly the",
    r"\bthe run('s)? of (the|your) user": "a run that the user named",
    # prepositions, adverbs
    r"\bbeside\b(?! the point)": "next to, in addition to",
    r"\bbesides\b": "also, other than, in addition to",
    r"\banew\b": "again, from scratch",
    r"\bmeanwhile\b": "in the meantime; while it runs",
    r"\bat all events\b|\bin spite of\b": "despite",
    r"\bby lot\b": "at random",
    r"\bfailing (these|this|them)\b": "otherwise",
    r"\ball the same\b": "anyway",
    r"\botherwise than\b": "differently from, other than",
    r"\bfor want of\b": "without, because ... is missing",
    r"\bin the place of\b": "instead of, replaces",
    r"\bas of [`\[\"]": "as for, see",
    r"\bNone of an? ": "None for a",
    r"\b(one|line|row|process|file|folder|image|class|byte|command|run|trial|number|choice)s? an? (line|row|column|GPU|device|"
    r"step|epoch|minute|image|class|attribute|run|trial|fold|seed|second|group|average|figure|command|batch|block)\b": "per",
    r"\bso (many|much) (of|times|bytes|epochs|trials|options|images|seconds)\b": "the given number of",
    r"\b(?<![Tt]here )(?<!there would )(?<!has )(is|are) no (?!longer|more|less|other)": "is not a",
    r"\b(is|are) there (already|twice|yet)\b": "already exists, appears twice",
    r"\b(is|are) not there\b|\bnot there yet\b": "is missing, does not exist",
    r"\b(asked|asks|ask) for\b": "requested, requests, needs",
    r"\bcut short\b": "truncated, interrupted",
    r"\b(of|to) (of|to)\b": "one preposition",
    # before the language guide
    r"\bships? (a|an|the) (run|model)\b|\bShipping\b": "export",
    r"\bOf everything\b": "Random seed",
    r"\bthere is nothing to resume\b": "nothing to resume, starting X",
    r"\bno command was there\b": "Interrupted before the command started",
    r"\bpeaks of part attributes\b": "attribute localization",
}
"""Regular expression of a phrase -> what to write."""
ALLOWED: dict[tuple[str, str], str] = {}
"""(File, text of the line) -> why the phrase is right there."""
FRAGMENT = re.compile(r"(Of|What|Whether|Where|Which|How)\b")
NOT_IMPERATIVE = re.compile(
    r"(The|An?|One|Each|Every|All|Everything|Everywhere|That|It|Its|True|So|As|For|To|Until|Before|\(.*)\s"
)


@cache
def texts() -> dict[str, list[tuple[int, str]]]:
    """Path -> line number and text of each text for people."""
    modules = {path for folder in ("svipctl", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")}
    found = {str(path.relative_to(ROOT)): list(_of_module(path)) for path in sorted(modules - {Path(__file__)})}
    for path in (
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs/results").glob("*.md")),
        *sorted((ROOT / "benchmarks").glob("*.md")),
        ROOT / "README.md",
        *sorted((ROOT / "svipctl").rglob("*.jinja")),
    ):
        found[str(path.relative_to(ROOT))] = list(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    releases = [number for number, line in enumerate(changelog) if line.startswith("## ")] + [len(changelog)]
    found["CHANGELOG.md"] = list(enumerate(changelog, 1))[releases[0] : releases[1]]
    return found


def _of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Yield docstrings, comments and other strings with a blank; in tests names of functions instead of such strings."""
    source = path.read_text(encoding="utf-8")
    is_test = path.is_relative_to(ROOT / "tests")
    for node in ast.walk(ast.parse(source)):
        text = node
        if is_test:  # its strings are expected output or invalid input
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.lineno, node.name.replace("_", " ")
            text = node.value if isinstance(node, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str) and " " in text.value:
            yield from enumerate(text.value.splitlines(), text.lineno)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_no_such_phrase_is_used():
    any_phrase = re.compile("|".join(f"(?:{phrase})" for phrase in PHRASES))
    found = []
    for path, lines in texts().items():
        for number, line in lines:
            if any_phrase.search(line) and (path, line.strip()) not in ALLOWED:
                instead = next(instead for phrase, instead in PHRASES.items() if re.search(phrase, line))
                found.append(f"{path}:{number}: {line.strip()}\n    write instead: {instead}")
    assert not found, "\n".join(found)


def test_every_exception_is_needed():
    lines = {(path, line.strip()) for path, found in texts().items() for _, line in found}
    assert set(ALLOWED) <= lines


@cache
def docstrings() -> list[tuple[str, ast.AST, str]]:
    """Place, node and text of each docstring; the node of an attribute's is its assignment."""
    found = []
    for path in sorted((ROOT / "svipctl").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                if text := ast.get_docstring(node):
                    found.append((f"{name}:{getattr(node, 'lineno', 1)}", node, text))
                for before, after in zip(node.body, node.body[1:], strict=False):
                    if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                        value = after.value
                        if isinstance(value, ast.Constant) and isinstance(value.value, str):
                            found.append((f"{name}:{after.lineno}", before, value.value))
    return found


def test_no_docstring_is_a_fragment():
    found = [f"{place}: {text.splitlines()[0]}" for place, _, text in docstrings() if FRAGMENT.match(text)]
    assert not found, "a sentence in the imperative, or a noun phrase\n" + "\n".join(found)


def test_docstrings_of_functions_are_imperative():
    """As far as the first word shows; ruff's D401 finds verbs in another form. A property's is a noun phrase."""
    found = []
    for place, node, text in docstrings():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = {ast.unparse(one).rpartition(".")[2] for one in node.decorator_list}
            if not decorators & {"property", "cached_property"} and NOT_IMPERATIVE.match(text):
                found.append(f"{place}: {text.splitlines()[0]}")
    assert not found, "\n".join(found)
