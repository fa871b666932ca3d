"""Phrases that make sentences hard to read do not occur in documents, comments and docstrings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORBIDDEN = {
    r"(?<![\"'])\bnobody\b(?![\"'])": "name the caller, the owner or the reference",
    r"\bsomebody\b": "name the caller, the owner or the reference",
    r"\bwhoever\b": "name the caller, the owner or the reference",
    r"(?<!there\s)\bis no (?!longer)": 'write "is not a"',
    r"\bare none\b(?! of)": 'write "there are no"',
    r"\blets? go\b": "write free, drop or release",
    r"\bas a rule\b": "drop it, or say when it does not hold",
    r"\bof (its|their|our|your|his|her) own\b": "drop it, or name the owner",
    r"\bbesides,": "write also, or drop it",
    r"\b(its|their|the) kin\b|\band kin\b": "name the others",
    r"\bbe it\b": "name the cases",
    r"\bof which\b": "make it two sentences",
    r"\bmakes? (it |them |him |her )?go on\b": "write resume",
}
"""Regular expressions, whose case does not matter, with the reasons."""

CLAUSE = re.compile(r"^#{1,6} (What|Whoever|Where) [^?\n]*$", re.MULTILINE)
"""A heading of a document that is a noun clause: a noun or an imperative verb is better."""

CHECKED = {
    "*.md": True,
    ".github/**/*": True,
    "benches/**/*.py": True,
    "benches/**/*.rs": True,
    "docs/**/*": True,
    "examples/**/*": True,
    "fuzz/**/*": True,
    "python/**/*": True,
    "scripts/**/*": True,
    "src/**/*": True,
    "tests/**/*.py": True,
    "tests/rust/**/*": True,
}
"""Files, and whether their prose has been revised."""

SUFFIXES = {".md", ".py", ".pyi", ".rs", ".sh", ".toml", ".txt", ".yml"}
SKIPPED = {
    # Written by the fuzzer.
    "tests/fuzz_found",
    # Generated: the first from pages, the second from sentences in `scripts` and `tests`.
    "docs/_build",
    "docs/reference/compatibility.md",
    # This list.
    "tests/docs/test_prose.py",
}


def files_of(pattern: str) -> list[Path]:
    return sorted(
        path
        for path in ROOT.glob(pattern)
        if path.suffix in SUFFIXES
        and not any(path.is_relative_to(ROOT / skipped) for skipped in SKIPPED)
    )


def found_in(text: str) -> list[str]:
    """Each forbidden phrase, with its line and the advice. A phrase may span two lines."""
    # Marks of comments at the start of lines do not interrupt a sentence. Their length is kept.
    joined = re.sub(r"\n[ \t]*(//[/!]?|#:?|\*|>)?", lambda it: "\n" + " " * (len(it[0]) - 1), text)
    found = []
    for pattern, advice in FORBIDDEN.items():
        spaced = pattern.replace(" ", r"\s+")
        for match in re.finditer(spaced, joined, re.IGNORECASE):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {' '.join(match[0].split())!r}: {advice}")
    return found


@pytest.mark.parametrize("pattern", [pattern for pattern, on in CHECKED.items() if on])
def test_no_forbidden_phrase(pattern: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}, {each}"
        for path in files_of(pattern)
        for each in found_in(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("pattern", ["*.md", "docs/**/*.md", ".github/**/*.md"])
def test_no_heading_is_a_noun_clause(pattern: str) -> None:
    for path in files_of(pattern):
        assert not CLAUSE.search(path.read_text(encoding="utf-8")), path


def test_a_phrase_across_lines_is_found() -> None:
    assert found_in("/// It has a context of\n    /// its own.") != []
    assert found_in('ContextVar("user", default="nobody")') == []
    assert found_in("It is no longer used.") == []
    assert CLAUSE.search("text\n\n## What it does\n")
