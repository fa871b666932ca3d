"""Python source, divided into parts of one colour.

The standard library's tokenizer is enough for the colours, and works without Pygments.
"""

from __future__ import annotations

import keyword
import tokenize
from collections.abc import Iterator
from io import StringIO
from typing import TypeAlias

from ctxvars._pages.escape import visible

Part: TypeAlias = tuple[str, str]
"""The kind, or an empty string, and the text."""

STRINGS = {"STRING", "FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END"} | {
    *("TSTRING_START", "TSTRING_MIDDLE", "TSTRING_END")
}


def coloured(source: str) -> list[list[Part]]:
    """Return the parts of each line."""
    lines = source.split("\n")
    marks: list[list[tuple[int, int, str]]] = [[] for _ in lines]
    for kind, first, start, last, end in kinds(source):
        for line in range(first, min(last, len(lines)) + 1):
            begin = start if line == first else 0
            stop = end if line == last else len(lines[line - 1])
            marks[line - 1].append((begin, stop, kind))
    return [parts(line, found) for line, found in zip(lines, marks, strict=True)]


def parts(line: str, marks: list[tuple[int, int, str]]) -> list[Part]:
    found: list[Part] = []
    at = 0
    for start, end, kind in marks:
        # Python 3.12 reports wrong columns for doubled braces in f-strings.
        start = max(start, at)
        found += [("", line[at:start]), (kind, line[start:end])]
        at = end
    found.append(("", line[at:]))
    return [(kind, visible(text)) for kind, text in found if text]


def kinds(source: str) -> Iterator[tuple[str, int, int, int, int]]:
    """Return the kinds of tokens, with line and column of their start and end."""
    previous = ""
    try:
        for token in tokenize.generate_tokens(StringIO(source, newline="\n").readline):
            kind = kind_of(token, previous)
            if kind:
                yield kind, *token.start, *token.end
            if token.string.strip():
                previous = token.string
    except (tokenize.TokenError, SyntaxError):
        # The compiler accepts a few texts that the tokenizer rejects. The rest has no colours.
        return


def kind_of(token: tokenize.TokenInfo, previous: str) -> str:
    name = tokenize.tok_name[token.type]
    if name in STRINGS:
        return "string"
    if name in ("COMMENT", "NUMBER"):
        return name.lower()
    if name == "NAME":
        if keyword.iskeyword(token.string):
            return "keyword"
        if previous in ("class", "def"):
            return "defined"
        if previous == "@":
            return "decorator"
    return ""
