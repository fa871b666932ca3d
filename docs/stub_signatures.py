"""An extension of Sphinx: signatures of compiled functions come from the stubs.

The compiled module has signatures without types. If a docstring begins with a signature, as those
of some compiled classes do, Sphinx takes it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent / "python" / "ctxvars"
STUBS = [
    PACKAGE / "_core.pyi",
    PACKAGE / "_map" / "core_map.pyi",
    PACKAGE / "_core_set.pyi",
    PACKAGE / "_core_classes.pyi",
]


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


def has_decorator(node: ast.FunctionDef, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in node.decorator_list)


def signature(name: str, node: ast.FunctionDef) -> tuple[str, str]:
    """The parameters, without `self`, and the result."""
    parameters = node.args
    if "." in name and not has_decorator(node, "staticmethod"):
        (parameters.posonlyargs or parameters.args).pop(0)
    text = f"({ast.unparse(parameters)})".replace("(/, ", "(").replace("(/)", "()")
    result = ast.unparse(node.returns) if node.returns else ""
    # A type variable `_T` is an internal name.
    shown = (re.sub(r"\b_([A-Z]\w*)", r"\1", each) for each in (text, result))
    return next(shown), next(shown)


def signatures() -> dict[str, list[tuple[str, str]]]:
    """The signatures of each function: several, if it is overloaded."""
    found: dict[str, list[tuple[str, str]]] = {}
    for stub in STUBS:
        for name, node in functions(ast.parse(stub.read_text(encoding="utf-8")).body):
            found.setdefault(name, []).append(signature(name, node))
    return found


SIGNATURES = signatures()


def is_compiled(obj: Any) -> bool:
    return not hasattr(obj, "__code__") and not hasattr(obj, "__wrapped__")


def process_signature(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, result: str
) -> tuple[str, str] | None:
    # Without a signature, a property for example, there is nothing to replace.
    if signature is None or not is_compiled(obj):
        return None
    found = SIGNATURES.get(name.removeprefix("ctxvars."))
    return max(found, key=lambda it: it[0].count(",")) if found else None


def process_docstring(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    overloads = SIGNATURES.get(name.removeprefix("ctxvars."), [])
    if is_compiled(obj) and len(overloads) > 1:
        simple = name.rpartition(".")[2]
        calls = [f"   {simple}{parameters} -> {result}" for parameters, result in overloads]
        lines[:0] = [".. code-block:: python", "", *calls, ""]
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")) and " -> " not in line:
            # `*args` is not the beginning of an emphasis.
            lines[index] = re.sub(
                r"(?<![\w*`\\])(\*\*?)(?=\w)", lambda it: it[1].replace("*", "\\*"), line
            )


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)
    return {"parallel_read_safe": True}
