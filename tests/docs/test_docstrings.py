"""The examples in the docstrings of the package run, and each compiled class has one."""

from __future__ import annotations

import contextvars
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

import ctxvars
from ctxvars import _core
from tests.support.doctests import run_doctest

pytestmark = pytest.mark.filterwarnings(
    # Other tests leave threads behind, which a fork does not copy.
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

WITHOUT_EXAMPLE = {"extend_native_contexts"}
"""An example would extend the contexts of this process, which cannot be undone."""


def imported(name: str) -> Any:
    """Return a module, or `None` if it needs a package that is not installed.

    Importing `__main__` would run it, and the runtime of generated programs needs a program.
    """
    if name.endswith(("__main__", "runtime")):
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        if name.startswith(("ctxvars.integrations.", "ctxvars._interop.")):
            return None
        raise


def of_python_modules() -> Iterator[doctest.DocTest]:
    """The examples of modules, and of their functions and classes.

    Public objects name `ctxvars` as their module, wherever they are defined. The finder of doctest
    would leave them out, so it gets them one by one, without a module.
    """
    names = [module.name for module in pkgutil.walk_packages(ctxvars.__path__, "ctxvars.")]
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in [ctxvars, *filter(None, map(imported, names))]:
        yield from finder.find(module)
        for thing in [*vars(module).values()]:
            where = str(getattr(thing, "__module__", None))
            if isinstance(thing, type | FunctionType) and where.partition(".")[0] == "ctxvars":
                names_of_module = dict(vars(module))
                name = f"{where}.{thing.__qualname__}"
                yield from finder.find(thing, name, module=False, globs=names_of_module)


def compiled() -> dict[str, Any]:
    """The public classes and functions of the compiled module, by their names in `ctxvars`."""
    found = {name: getattr(ctxvars, name) for name in ctxvars.__all__}
    of_core = [*vars(_core).values()]
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing) and any(thing is it for it in of_core)
    }


def of_compiled(name: str, thing: Any) -> Iterator[doctest.DocTest]:
    """The examples of a function, or of a compiled class and all its attributes.

    The finder of doctest ignores attributes that `inspect` takes neither for methods nor for
    properties.
    """
    parser = doctest.DocTestParser()
    attributes = vars(thing).items() if isinstance(thing, type) else ()
    for where, each in ((name, thing), *((f"{name}.{it}", value) for it, value in attributes)):
        doc = getattr(each, "__doc__", None)
        # A value such as `Token.MISSING` has the docstring of its class.
        if isinstance(doc, str) and (each is thing or doc is not type(each).__doc__):
            names = {it: getattr(ctxvars, it) for it in ctxvars.__all__}
            yield parser.get_doctest(doc, names, f"ctxvars.{where}", None, 0)


def all_examples() -> list[doctest.DocTest]:
    of_all = [*of_python_modules()]
    for name, thing in compiled().items():
        of_all += of_compiled(name, thing)
    # The finder of the module `ctxvars` finds some examples of compiled objects as well.
    by_name = {test.name: test for test in of_all if test.examples}
    return [by_name[name] for name in sorted(by_name)]


EXAMPLES = all_examples()


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_docstring(test: doctest.DocTest) -> None:
    # An example may set variables, so it runs in a new context.
    contextvars.Context().run(run_doctest, test)


def test_docstrings_are_found() -> None:
    found = {test.name for test in EXAMPLES}
    assert {"ctxvars.create_task", "ctxvars.Snapshot.bind", "ctxvars.scope"} <= found


def test_compiled_classes_are_found() -> None:
    names = {"Context", "ContextVar", "Map", "MapMutation", "Scope", "Token", "scope"}
    assert names <= {*compiled()}


@pytest.mark.parametrize("name", sorted(compiled().keys() - WITHOUT_EXAMPLE))
def test_each_compiled_class_and_function_has_an_example(name: str) -> None:
    assert any(test.examples for test in of_compiled(name, compiled()[name]))
