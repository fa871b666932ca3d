"""Internal objects that Python code can reach cannot be created, changed, or replaced."""

from __future__ import annotations

import contextvars
import gc
import operator
import pickle
from typing import Any

import pytest

import ctxvars
from tests.support.copies import COPIES
from tests.support.parity import attempt
from tests.support.subprocesses import in_subprocess


def a_node() -> Any:
    return next(iter(gc.get_referents(ctxvars.Map.fromkeys(range(100), []))))


def test_nodes_offer_nothing() -> None:
    node = contextvars.Context().run(a_node)
    with pytest.raises(TypeError):
        type(node)()
    with pytest.raises(TypeError):
        object.__new__(type(node))
    with pytest.raises(TypeError):
        type("Sub", (type(node),), {})
    with pytest.raises(TypeError):
        type(node).x = 1
    with pytest.raises(AttributeError):
        node.x = 1
    for copied in COPIES.values():
        with pytest.raises((TypeError, pickle.PicklingError)):
            copied(node)


def put_into_root(kind: str) -> list[str]:
    """Set the native variable that carries the bindings to another kind of value."""

    def inside() -> list[str]:
        variable = ctxvars.ContextVar[object]("v")
        variable.set([1])
        (root,) = contextvars.copy_context()
        root.set({"int": 42, "text": "x" * 100, "list": [1] * 100, "none": None}[kind])
        context = ctxvars.copy_context()
        return [
            attempt(variable.get, None),
            attempt(len, context),
            attempt(dict, context),
            attempt(operator.contains, context, variable),
            attempt(operator.eq, context, ctxvars.Context()),
            attempt(variable.set, 1),
        ]

    outcomes = contextvars.Context().run(inside)
    gc.collect()
    return outcomes


@pytest.mark.parametrize("kind", ["int", "text", "list", "none"])
def test_root_variable_with_a_foreign_value(kind: str) -> None:
    # Python code can get the root variable by iterating over a native context.
    get, size, *_ = in_subprocess(put_into_root, kind)
    assert get == "returned None" or get.startswith("raised")
    assert size == "returned 0" or size.startswith("raised")
