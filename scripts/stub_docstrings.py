"""Copies the docstrings of the compiled module into its stubs, for editors to show.

    python scripts/stub_docstrings.py           writes the stubs
    python scripts/stub_docstrings.py --check   exits with 1 if a stub is not up to date

A stub has the summary of each docstring and the paragraph after it, for the public classes,
functions and methods. The whole text, with its examples, is shown by `help()`.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ctxvars
import ctxvars.classes
from ctxvars import _core

PACKAGE = Path(__file__).parent.parent / "python" / "ctxvars"
STUBS = [
    PACKAGE / "_core.pyi",
    PACKAGE / "_map" / "core_map.pyi",
    PACKAGE / "_core_set.pyi",
    PACKAGE / "_core_classes.pyi",
]
PUBLIC = {*ctxvars.__all__, *ctxvars.classes.__all__}
"""The names that other modules make public; `_core` has a few others, for the package."""
Definition = ast.ClassDef | ast.FunctionDef


def documentation(thing: Any) -> str:
    """The summary of the docstring of a compiled thing, and the paragraph after it."""
    paragraphs = inspect.cleandoc(thing.__doc__ or "").split("\n\n")
    if paragraphs[0].startswith(f"{getattr(thing, '__name__', '')}("):
        del paragraphs[0]
    return "\n\n".join(it for it in paragraphs[:2] if not it.startswith(">>> "))


def definitions(tree: ast.Module) -> Iterator[tuple[Definition, Any]]:
    """The public classes, functions and methods of the stub, each with what it is at run time."""
    owners: list[tuple[list[ast.stmt], Any]] = [(tree.body, _core)]
    for body, owner in owners:
        seen = set()
        for node in body:
            if not isinstance(node, Definition) or node.name in seen or node.name.startswith("_"):
                continue
            if owner is _core and node.name not in PUBLIC:
                continue
            seen.add(node.name)
            thing = inspect.getattr_static(owner, node.name)
            if isinstance(node, ast.ClassDef):
                owners.append((node.body, thing))
            yield node, thing


def quoted(text: str, indent: str) -> list[str]:
    """The lines of a docstring."""
    return [f"{indent}{line}".rstrip() for line in f'"""{text}"""'.splitlines()]


def with_docstrings(stub: str) -> str:
    """Return the text of the stub with the docstrings of the compiled module."""
    lines = stub.splitlines()
    tree = ast.parse(stub)
    # From the end, so that the numbers of the lines before stay right.
    for node, thing in sorted(definitions(tree), key=lambda it: -it[0].lineno):
        text = documentation(thing)
        if not text:
            raise ValueError(f"{node.name} has no docstring")
        first = node.body[0]
        docstring = quoted(text, " " * (node.col_offset + 4))
        is_expression = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if is_expression and first.value.value is ...:  # type: ignore[attr-defined]
            # The body is on the line on which the signature ends.
            line, rest = lines[first.lineno - 1], lines[first.lineno :]
            if node.col_offset == 0 and rest and rest[0]:
                docstring.append("")
            lines[first.lineno - 1 :] = [line[: first.col_offset].rstrip(), *docstring, *rest]
        elif is_expression:
            lines[first.lineno - 1 : first.end_lineno] = docstring
        else:
            decorators = getattr(first, "decorator_list", [])
            place = min([first.lineno, *(it.lineno for it in decorators)]) - 1
            # The comments above the first member are about that.
            while lines[place - 1].strip().startswith("#"):
                place -= 1
            lines[place:place] = [*docstring, ""]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args()
    for stub in STUBS:
        before = stub.read_text(encoding="utf-8")
        after = with_docstrings(before)
        if before == after:
            continue
        if options.check:
            print(
                "run `python scripts/stub_docstrings.py`: a docstring has changed", file=sys.stderr
            )
            return 1
        stub.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
