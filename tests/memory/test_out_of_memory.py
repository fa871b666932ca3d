"""An operation on contexts that runs out of memory leaves them as they were."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest

from tests.support.subprocesses import in_subprocess


def fail_to_allocate(name: str, size: int) -> list[str]:
    """Make each allocation of each operation fail in turn; return half-done operations."""
    testcapi = importlib.import_module("_testcapi")
    module = importlib.import_module(name)
    variables = [module.ContextVar(f"v{number}") for number in range(size + 1)]
    first, last, new = variables[0], variables[size - 1], variables[size]
    value, later = ["value"], ["later"]
    wrong = []

    def failing(fail_at: int, function: Callable[..., object], *arguments: object) -> bool:
        testcapi.set_nomemory(fail_at, fail_at + 1)
        try:
            function(*arguments)
        except MemoryError:
            return True
        finally:
            testcapi.remove_mem_hooks()
        return False

    def state() -> dict[str, int]:
        return {variable.name: id(value) for variable, value in module.copy_context().items()}

    def try_one(operation: str, fail_at: int) -> None:
        for variable in variables[:size]:
            variable.set([variable])
        variable = first if operation.endswith("old") else new
        if operation.startswith("set"):
            before = state()
            done = before | {variable.name: id(value)}
            failed = failing(fail_at, variable.set, value)
        else:
            before_set = state()
            token = variable.set(value)
            if "later" in operation:
                (last if last is not variable else variables[1]).set(later)
            before = state()
            done = {name: number for name, number in before.items() if name != variable.name} | {
                name: number for name, number in before_set.items() if name == variable.name
            }
            failed = failing(fail_at, variable.reset, token)
        after = state()
        # The native `set` may have set the variable when it fails to allocate the token.
        if after != done and not (failed and after == before):
            wrong.append(f"{operation}, allocation {fail_at}")

    for change in ("set", "reset", "reset later"):
        for which in ("old", "new"):
            for fail_at in range(25):
                module.Context().run(try_one, f"{change} {which}", fail_at)
    context = module.Context()
    context.run(first.set, value)
    for function in (context.copy, context.items, module.Context, module.copy_context):
        for fail_at in range(10):
            failing(fail_at, function)
            failing(fail_at, lambda: list(context.items()))
            failing(fail_at, context.run, int)
            failing(fail_at, lambda: context == context.copy())
    assert list(context.values()) == [value]
    return wrong


@pytest.mark.parametrize("size", [2, 16, 17, 100])
def test_operation_that_runs_out_of_memory_changes_nothing(size: int) -> None:
    pytest.importorskip("_testcapi")
    assert in_subprocess(fail_to_allocate, "contextvars", size) == []
    assert in_subprocess(fail_to_allocate, "ctxvars", size) == []
