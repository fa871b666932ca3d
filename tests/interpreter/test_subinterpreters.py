"""Subinterpreters, which cannot import the package, and the main interpreter next to them."""

from __future__ import annotations

import gc
import importlib
import math
import os
import sys
from typing import Any

import pytest

import ctxvars
from tests.support.subprocesses import in_subprocess

REFUSED = (
    "ctxvars works in the main interpreter only: in a subinterpreter, use contextvars and pass "
    "values as arguments, or run the code in a thread or process"
)
CAUSE = "module ctxvars._core does not support loading in subinterpreters"

# The GIL of the subinterpreter is that of the main interpreter, or another one from 3.12 on.
GILS = ["shared", "isolated"]


def interpreters() -> Any:
    """The private module that creates interpreters: the public one came with 3.14."""
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    return importlib.import_module(name)


def create(gil: str) -> Any:
    if sys.version_info >= (3, 13):
        return interpreters().create("legacy" if gil == "shared" else "isolated")
    return interpreters().create(isolated=gil == "isolated")


def run(interpreter: Any, source: str) -> list[str]:
    """Run code in an interpreter, and return the lines that it passes to `show`."""
    reader, writer = os.pipe()
    setup = f"""
import os, sys
sys.path[:] = {sys.path!r}
def show(*things):
    os.write({writer}, (" ".join(map(str, things)) + "\\n").encode())
"""
    try:
        # Before 3.13, an exception of the code is raised here. Later, it is returned.
        failed = interpreters().run_string(interpreter, setup + source)
        assert failed is None, failed
    finally:
        os.close(writer)
        with open(reader, encoding="utf-8") as lines:
            shown = lines.read().splitlines()
    return shown


IMPORT = """
try:
    import ctxvars
except ImportError as error:
    show(error)
    show(error.name, type(error.__cause__).__name__)
    show(error.__cause__)
    show(*[name for name in sys.modules if name.startswith("ctxvars")])
"""


def import_twice_in_a_subinterpreter(gil: str) -> list[str]:
    created = create(gil)
    lines = [*run(created, IMPORT), *run(created, IMPORT)]
    interpreters().destroy(created)
    return lines


@pytest.mark.parametrize("gil", GILS)
def test_the_error_in_a_subinterpreter_says_how_to_proceed(gil: str) -> None:
    once = [REFUSED, "ctxvars ImportError", CAUSE, ""]
    assert in_subprocess(import_twice_in_a_subinterpreter, gil) == once * 2


IMPORT_WITHOUT_THE_COMPILED_MODULE = """
sys.modules["ctxvars._core"] = None
try:
    import ctxvars
except ImportError as error:
    show(type(error).__name__, error)
"""


def import_without_the_compiled_module(gil: str) -> list[str]:
    created = create(gil)
    lines = run(created, IMPORT_WITHOUT_THE_COMPILED_MODULE)
    interpreters().destroy(created)
    return lines


@pytest.mark.parametrize("gil", GILS)
def test_other_import_errors_stay_as_they_are(gil: str) -> None:
    halted = "import of ctxvars._core halted; None in sys.modules"
    lines = in_subprocess(import_without_the_compiled_module, gil)
    assert lines == [f"ModuleNotFoundError {halted}"]


def use_the_standard_library(gil: str) -> list[str]:
    created = create(gil)
    source = """
import contextvars
user = contextvars.ContextVar("user")
user.set("Ada")
show(user.get())
"""
    lines = run(created, IMPORT + source)
    interpreters().destroy(created)
    return lines[-1:]


@pytest.mark.parametrize("gil", GILS)
def test_the_standard_library_works_there_after_the_failed_import(gil: str) -> None:
    assert in_subprocess(use_the_standard_library, gil) == ["Ada"]


MANY_IMPORTS = """
import gc
def import_many_times():
    for _ in range(1000):
        try:
            import ctxvars
        except ImportError:
            pass
def count():
    gc.collect()
    return sys.getallocatedblocks(), len(gc.get_objects())
import_many_times()
before = count()
import_many_times()
after = count()
show(after[0] - before[0], after[1] - before[1])
"""


def import_many_times(gil: str) -> list[int]:
    variable = ctxvars.ContextVar[object]("variable")
    token = variable.set([1])
    created = create(gil)
    (growth,) = run(created, MANY_IMPORTS)
    interpreters().destroy(created)
    gc.collect()
    m = ctxvars.Map({number: [number] for number in range(1000)})
    assert (m[7], len(m.delete(7))) == ([7], 999)
    assert [*ctxvars.copy_context().items()] == [(variable, [1])]
    assert variable.get() == [1]
    variable.reset(token)
    assert variable.get(None) is None
    return [int(number) for number in growth.split()]


@pytest.mark.parametrize("gil", GILS)
def test_failed_imports_leave_nothing_behind_and_the_main_interpreter_alone(gil: str) -> None:
    blocks, objects = in_subprocess(import_many_times, gil)
    # A leak of one block or object for each import would be 1000.
    assert blocks < 500
    assert objects < 500


def switch_between_interpreters(gil: str) -> int:
    """Set variables in place in turn with failed imports on the same thread."""
    variable = ctxvars.ContextVar[int]("variable", default=0)
    created = [create(gil) for _ in range(3)]
    for number in range(100):
        variable.set(variable.get() + 1)
        run(created[number % 3], IMPORT)
    for each in created:
        interpreters().destroy(each)
    return variable.get()


@pytest.mark.parametrize("gil", GILS)
def test_the_main_interpreter_keeps_its_values_between_failed_imports(gil: str) -> None:
    assert in_subprocess(switch_between_interpreters, gil) == 100


def use_a_pool() -> list[str]:
    # The type checker has the names of 3.11.
    create_pool: Any = importlib.import_module("concurrent.futures").InterpreterPoolExecutor
    user = ctxvars.ContextVar[str]("user")
    user.set("Ada")
    path = f"import sys; sys.path[:] = {sys.path!r}"
    with create_pool(max_workers=1, initializer=exec, initargs=(path,)) as pool:
        imported = pool.submit(importlib.import_module, "ctxvars").exception()
        # A bound function has a context, which cannot be sent.
        bound = pool.submit(ctxvars.bind(math.sqrt), 4).exception()
        # A carried function can be sent, but the worker imports ctxvars to call it.
        carried = pool.submit(ctxvars.carry(math.sqrt), 4).exception()
        return [
            f"{type(imported).__name__}: {imported}",
            str(
                isinstance(bound, TypeError) and "does not support cross-interpreter" in str(bound)
            ),
            str(REFUSED in str(carried.__cause__) if carried else None),
            str(pool.submit(str.upper, user.get()).result()),
        ]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="pools of interpreters came with 3.14")
def test_a_pool_of_interpreters_refuses_contexts_and_takes_values() -> None:
    assert in_subprocess(use_a_pool) == [f"ImportError: {REFUSED}", "True", "True", "ADA"]
