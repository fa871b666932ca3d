"""Importing twice or in a subinterpreter, and finalisers while the interpreter ends."""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from tests.support.parity import attempt, snapshot
from tests.support.subprocesses import in_subprocess


def import_twice() -> list[str]:
    variable, other = ctxvars.ContextVar[object]("v"), ctxvars.ContextVar[object]("other")
    token = variable.set([1])
    context = ctxvars.copy_context()
    for name in [name for name in sys.modules if name.startswith("ctxvars")]:
        del sys.modules[name]
    outcome = attempt(importlib.import_module, "ctxvars").partition(" from")[0]
    other.set(2)
    return [
        outcome.partition(":")[0],
        repr(variable.get()),
        repr(snapshot(context)),
        attempt(variable.reset, token),
        repr(snapshot(ctxvars.copy_context())),
    ]


def test_import_twice() -> None:
    # The second import may fail, or return the same classes.
    assert in_subprocess(import_twice)[1:] == ["[1]", "{'v': [1]}", "returned None", "{'other': 2}"]


def import_in_subinterpreter() -> list[str]:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        break
    variable = ctxvars.ContextVar[object]("v")
    variable.set([1])
    source = f"""
import sys
sys.path[:] = {sys.path!r}
try:
    import ctxvars
    variable = ctxvars.ContextVar("v")
    variable.set([2])
except ImportError:
    pass
"""
    created = interpreters.create()
    interpreters.run_string(created, source)
    interpreters.destroy(created)
    for _ in range(500):
        ctxvars.Context().run(variable.set, [3])
    gc.collect()
    return [attempt(variable.get), attempt(lambda: snapshot(ctxvars.copy_context()))]


def test_import_in_subinterpreter_leaves_the_main_one_alone() -> None:
    assert in_subprocess(import_in_subinterpreter) == ["returned [1]", "returned {'v': [1]}"]


def public_names() -> list[str]:
    return sorted(ctxvars.__all__)


def test_import_warns_of_nothing() -> None:
    assert "ContextVar" in in_subprocess(public_names, options=("-W", "error"))


def end_with_finalisers(name: str) -> int:
    """Keep values until the end of a thread and of the process. Their finalisers use the module."""
    module = importlib.import_module(name)
    variable, other = module.ContextVar("v"), module.ContextVar("other")
    finalised = []

    class Finalised:
        def __init__(self) -> None:
            self.module = module

        def __del__(self) -> None:
            other.set([1])
            context = self.module.copy_context()
            context.run(variable.set, context)
            finalised.append(len(context))

    cyclic: Any = Finalised()
    cyclic.cycle = cyclic
    variable.set(Finalised())
    thread = threading.Thread(target=lambda: variable.set(Finalised()))
    thread.start()
    thread.join()
    daemon = threading.Thread(target=spin, args=(module, variable), daemon=True)
    daemon.start()
    sys.modules["kept to the end"] = cyclic
    return 0


def spin(module: ModuleType, variable: Any) -> None:
    while True:
        module.copy_context().run(variable.set, [variable])


@pytest.mark.parametrize("module", ["contextvars", "ctxvars"])
def test_end_of_the_interpreter(module: str) -> None:
    assert in_subprocess(end_with_finalisers, module) == 0
