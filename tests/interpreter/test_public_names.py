"""The names of the package: which there are, where they say they are, and how they are called."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any, get_type_hints

import pytest

import ctxvars
from ctxvars import classes, logging

PUBLIC = {
    "ctxvars": [name for name in ctxvars.__all__ if name != "MISSING"],
    "ctxvars.classes": classes.__all__,
    "ctxvars.logging": logging.__all__,
}
THINGS = [
    pytest.param(getattr(sys.modules[module], name), module, id=f"{module}.{name}")
    for module, names in PUBLIC.items()
    for name in names
]
# Their parameters are those of the standard library, or are fields.
OTHERS = {
    *("Context", "ContextVar", "ContextThread", "ContextThreadPoolExecutor"),
    *("ContextFuture", "ContextProcess", "ContextProcessPoolExecutor"),
    *("create_task", "build_class"),
    *("Change", "Conflict", "MapDiff", "MergeConflict", "ClassTrace", "Step", "Trace"),
}


MODULES = ["classes", "contextvars", "immutables", "logging", "strategies"]

OURS = [it.values[0] for it in THINGS if it.values[0].__name__ not in OTHERS]


def test_dir_shows_public_names_only() -> None:
    names = {name for name in dir(ctxvars) if not name.startswith("__")}
    assert names == {*ctxvars.__all__, *MODULES}
    assert not [name for name in names if name.startswith("_")]


@pytest.mark.parametrize(("thing", "module"), THINGS)
def test_a_public_thing_names_its_public_module(thing: Any, module: str) -> None:
    assert thing.__module__ == module
    assert pickle.loads(pickle.dumps(thing)) is thing
    if isinstance(thing, type):
        assert repr(thing) == f"<class '{module}.{thing.__name__}'>"
        get_type_hints(thing)


def parameters(function: Any) -> list[inspect.Parameter]:
    try:
        return [*inspect.signature(function).parameters.values()]
    except ValueError:
        return []  # `pop` has a default that cannot be written


@pytest.mark.parametrize("thing", OURS)
def test_options_are_keywords_and_everything_else_is_positional(thing: Any) -> None:
    functions = [thing]
    if isinstance(thing, type):
        found = [getattr(thing, name) for name in vars(thing) if not name.startswith("_")]
        functions = [it for it in found if callable(it)]
    for function in functions:
        for parameter in parameters(function):
            is_either = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            assert not is_either or parameter.name in ("self", "record"), (function, parameter)


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_is_imported_when_it_is_used(name: str) -> None:
    source = f"""
import sys, ctxvars
assert "ctxvars.{name}" not in sys.modules
assert ctxvars.{name}.__name__ == "ctxvars.{name}"
"""
    subprocess.run([sys.executable, "-c", source], check=True)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'ctxvars' has no attribute 'merge'$"):
        _ = ctxvars.merge  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_crate() -> None:
    assert ctxvars.__version__.split(".")[:2] == ["0", "1"]
