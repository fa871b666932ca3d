"""Excerpts of the stored results in other documents: the text between two marks.

<!-- begin numbers: NAME -->
<!-- end numbers: NAME -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from publishing.results import Result, Stored, ratio_cell

Found = Mapping[str, Sequence[Stored]]
MARKED = re.compile(
    r"(<!-- begin numbers: ([\w-]+) -->\n).*?(<!-- end numbers: \2 -->\n)", re.DOTALL
)


def result(stored: Stored, operation: str) -> Result:
    return next(each for each in stored.results if each.operation == operation)


def ratio(stored: Stored, operation: str) -> str:
    middle = result(stored, operation).quartiles
    return ratio_cell(middle.middle) if middle else "-"


def readme_speed(found: Found) -> str:
    """A sentence on speed and a row for each interpreter."""
    shown = {
        "`get()`": "get() hit",
        "`set`, 10 variables": "set, 10 variables",
        "`set`, 1000 variables": "set, 1000 variables",
        "`copy_context()`": "copy_context()",
        "a scope of 5, to 5 `set` and 5 `reset`": "scope of 5 variables",
    }
    head = f"| ratio of times | {' | '.join(shown)} |"
    rows = [
        f"| {each.environment} | "
        + " | ".join(ratio(each, operation) for operation in shown.values())
        + " |"
        for each in found["contextvars"]
    ]
    return "\n".join(
        [
            "A variable is set in place as long as no copy of the context shares its values. The",
            "first `set` after a copy is slower. Below 1, ctxvars is faster than `contextvars`:",
            "",
            head,
            "| --- |" + " ---: |" * len(shown),
            *rows,
            "",
        ]
    )


EXCERPTS: dict[str, Callable[[Found], str]] = {"readme-speed": readme_speed}


def fill_in(text: str, found: Found) -> str:
    """The text of a document with its excerpts made anew."""
    return MARKED.sub(lambda it: it[1] + EXCERPTS[it[2]](found) + it[3], text)
