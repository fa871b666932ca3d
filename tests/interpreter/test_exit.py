"""The interpreter exits while daemon threads are inside an operation of ctxvars."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# Each thread repeats one of these operations. The function `code` runs Python code, and lets other
# threads run. `K(n)` is a key whose hash and comparison call `code`, and `V` is such a value.
OPERATIONS = {
    "a look-up": "m.get(K(3))",
    "subscription": "m[K(3)]",
    "in": "K(3) in m",
    "set": "m.set(K(3), 1)",
    "delete": "m.delete(K(3))",
    "building a map": "ctxvars.Map((K(i), i) for i in range(3))",
    "update": "m.update({K(1): 2})",
    "filter": "m.filter(code)",
    "map_values": "m.map_values(code)",
    "diff": "m.diff(other)",
    "merge": "m.merge(m.set(K(1), 1), m.set(K(1), 2), resolve=code)",
    "==": "m == other",
    "hash": "hash(ctxvars.Map({K(1): V()}))",
    "repr": "repr(m)",
    "views": "m.keys() & other.keys()",
    "items": "(K(1), V()) in m.items()",
    "a mutation": "mutation[K(1)] = V()",
    "deepcopy": "copy.deepcopy(ctxvars.Map(a=V()))",
    "dropping a map": "ctxvars.Map(a=V())",
    "Context.run": "ctxvars.Context().run(code)",
    "copy_context": "ctxvars.copy_context().run(code)",
    "comparing contexts": "with_value() == with_value()",
    "setting a variable": "variable.set(V())",
    "a scope": "with ctxvars.scope((p for p in [(variable, V())] if not code())): code()",
    "a default": "ctxvars.Context().run(made.get)",
    "a message": "with suppress(TypeError): ctxvars.Context.wrap(V())",
    "an isolated function": "isolated()",
    "a bound function": "bound()",
    "an isolated generator": "for _ in isolated_generator(): pass",
    "a live generator": "for _ in live_generator(): pass",
    "an isolated coroutine": "drive(isolated_coroutine())",
    "an isolated async generator": "drive(isolated_async_generator().asend(None))",
    "closing a generator": "next(closing())",
    "build_class": "ctxvars.classes.build_class(body, 'C')",
    "an attribute": "with suppress(AttributeError): isolated.missing",
}

PROGRAM = """
import copy, json, os, sys, threading
from contextlib import suppress
import ctxvars, ctxvars.classes

def code(*_):
    for _ in range(300): pass

class V:
    def __del__(self): code()
    def __eq__(self, other): code(); return True
    def __hash__(self): code(); return 1
    def __repr__(self): code(); return "V"
    def __deepcopy__(self, memo): code(); return V()

class K:
    def __init__(self, n): self.n = n
    def __hash__(self): code(); return self.n
    def __eq__(self, other): code(); return self.n == other.n
    def __repr__(self): code(); return "K"

class Original:
    def __call__(self): code()
    def __getattr__(self, name):
        code()
        raise AttributeError(name)

@ctxvars.isolated
def isolated_generator():
    code(); yield
    code(); yield

@ctxvars.isolated(inherit="live")
def live_generator():
    variable.set(V()); yield
    code(); yield

@ctxvars.isolated
async def isolated_coroutine(): code()

@ctxvars.isolated
async def isolated_async_generator(): code(); yield

@ctxvars.isolated
def closing():
    try: yield
    finally: code()

def drive(awaitable):
    with suppress(StopIteration): awaitable.send(None)

def with_value():
    context = ctxvars.Context()
    context.run(variable.set, V())
    return context

def body():
    code()

m = ctxvars.Map({K(i): V() for i in range(5)})
other = ctxvars.Map({K(i): V() for i in range(5)})
variable = ctxvars.ContextVar("variable")
made = ctxvars.ContextVar("made", default_factory=V)
isolated = ctxvars.isolated(Original())
bound = ctxvars.bind(code)
mutation = m.mutate()

def work(operation, started):
    while True:
        operation()
        started.set()

def run(operation):
    for _ in range(3):
        started = threading.Event()
        threading.Thread(target=work, args=[operation, started], daemon=True).start()
        started.wait()

failed = []
for name, text in json.load(sys.stdin).items():
    exec(f"def operation():\\n    {text}")
    operation()
    child = os.fork()
    if not child:
        sys.setswitchinterval(1e-6)
        run(operation)
        sys.exit()
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(*failed, sep=", ")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each run is a fork of one program")
def test_the_interpreter_exits_while_daemon_threads_are_inside_an_operation() -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    operations = json.dumps(OPERATIONS)
    ran = subprocess.run(command, input=operations, capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "\n", "")
