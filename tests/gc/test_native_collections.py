"""Collections that run Python code while the native context is read or changed."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The callback replaces the bindings that the operation reads or changes. On CPython up to 3.11, any
# allocation may run the callback.
PROGRAM = """
import contextvars, gc, sys
import ctxvars

variables = [ctxvars.ContextVar(f"v{i}") for i in range(30)]
natives = [contextvars.ContextVar(f"n{i}") for i in range(40)]
made = ctxvars.ContextVar("made", default_factory=list)
kept = []

busy = False

def collected(phase, info):
    global busy
    if busy: return
    busy = True
    for variable in variables[:3]: variable.set([object()])
    if sys.argv[1].startswith("live"):
        for native in natives[:3]: native.set([object()])
    junk = [ctxvars.Map({1: [i]}) for i in range(20)]  # reuses the memory of what was replaced
    busy = False

def body():
    while True: yield

followed = ctxvars.isolated(body(), inherit="live")
next(followed)
isolated = ctxvars.isolated(contextvars.copy_context)
context = ctxvars.copy_context()

def first_step():
    stepped = ctxvars.isolated(body())
    next(stepped)
    return stepped

def scope():
    with ctxvars.scope({variables[5]: 1, variables[7]: [2]}): variables[8].set([1])

def set_and_reset():
    token = variables[5].set([1])
    variables[6].set([1])
    variables[5].reset(token)

operations = {
    "copy_context": lambda: kept.append(ctxvars.copy_context()),
    "Context.copy": lambda: context.run(lambda: kept.append(context.copy())),
    "set and reset": set_and_reset,
    "scope": scope,
    "default_factory": lambda: ctxvars.Context().run(made.get),
    "isolated function": lambda: kept.append(isolated()),
    "isolated body": lambda: kept.append(first_step()),
    "live body": lambda: next(followed),
    "snapshot": lambda: kept.append(ctxvars.snapshot()),
}
operation = operations[sys.argv[1]]
for variable in variables: variable.set([variable])
gc.callbacks.append(collected)
gc.set_threshold(1)
for i in range(500):
    if operation is operations["live body"]:
        gc.disable()
        for native in natives[3:]: native.set([i])
        gc.enable()
    operation()
gc.callbacks.clear()
gc.set_threshold(700)
"""


@pytest.mark.parametrize(
    "operation",
    [
        "copy_context",
        "Context.copy",
        "set and reset",
        "scope",
        "default_factory",
        "isolated function",
        "isolated body",
        "live body",
        "snapshot",
    ],
)
def test_a_collection_sets_variables_during_an_operation(operation: str) -> None:
    command = [sys.executable, "-c", PROGRAM, operation]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
