"""`extend_native_contexts`: the contexts of the interpreter show our variables, one by one.

The extension cannot be undone, so each program runs in another process. `cli/test_run_contexts.py`
compares such contexts with those of Python.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

START = """
import asyncio, contextvars, gc, sys
import ctxvars
v = ctxvars.ContextVar("v", default=0)
native = contextvars.ContextVar("native", default=0)
before = contextvars.Context()
before.run(v.set, 1)
(root,) = before
assert ctxvars.extend_native_contexts() is None
"""


def run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", START + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


PROGRAMS = {
    "live bodies follow both kinds of variables": """
made = ctxvars.ContextVar("made", default_factory=list)
made.get().append(1)

@ctxvars.isolated(inherit="live")
def body():
    while True:
        yield native.get(), v.get(), len(made.get())

steps = body()
assert next(steps) == (0, 0, 0)
token = native.set(2)
v.set(3)
assert next(steps) == (2, 3, 0)
native.set(4)
assert next(steps) == (4, 3, 0)
native.reset(token)
assert next(steps) == (0, 3, 0)
""",
    "contexts that exist already": """
assert before[v] == 1 and list(before.items()) == [(v, 1)]
""",
    "once more": """
ctxvars.extend_native_contexts()
assert before[v] == 1 and len(before) == 1 and before == before.copy()
""",
    "both classes": """
facade = ctxvars.Context.wrap(before)
assert type(facade) is not type(before) and facade != before and before != facade
assert facade.native is before.native is before and facade.bindings is before.bindings
before.run(native.set, 2)
assert list(facade) == [v] and len(before) == 2
assert ctxvars.copy_context().diff(facade).added == {v: 1}
""",
    "the root set by other code": """
broken = contextvars.Context()
broken.run(root.set, 5), broken.run(native.set, 1)
assert broken[native] == 1 and native in broken and broken.get(native) == 1
for call in (
    lambda: broken[v], lambda: v in broken, lambda: broken.get(v), lambda: len(broken),
    lambda: list(broken), lambda: broken.items(), lambda: broken == before,
    lambda: before == broken, lambda: broken.bindings, lambda: broken.diff(before),
):
    try: print(call())
    except RuntimeError as error: assert "was set by other code, to 5" in str(error)
    else: raise AssertionError
""",
    "collections that set variables": """
def set_both(phase, info):
    v.set(v.get() + 1), native.set(native.get() + 1)
def use():
    for _ in range(50):
        here = contextvars.copy_context()
        assert len(here) == len(list(here.items())) == len({*here}) and here == here.copy()
        gc.collect(0)
gc.callbacks.append(set_both)
gc.set_threshold(1)
contextvars.Context().run(use)
gc.callbacks.clear()
""",
    "references": """
context, value = contextvars.Context(), object()
context.run(v.set, value), context.run(native.set, value)
def use():
    for _ in range(100):
        len(context), list(context), list(context.items()), list(context.values())
        context == context.copy(), context[v], context[native], v in context, context.get(v)
        context.bindings, context.native, contextvars.Context.wrap(context)
        context.diff(contextvars.Context())
        for call in (lambda: context[1], lambda: context.get(), lambda: context.diff(1)):
            try: call()
            except TypeError: pass
def counts(): return [sys.getrefcount(each) for each in (v, native, value, context)]
use()
gc.collect()
counted = counts()
use()
gc.collect()
assert counts() == counted, (counts(), counted)
""",
    "contexts that hold themselves": """
import weakref
class Value: pass
def make():
    context, value = contextvars.Context(), Value()
    context.run(v.set, value), context.run(native.set, value)
    value.context, value.iterator, value.bindings = context, context.items(), context.bindings
    return weakref.ref(value)
made = make()
gc.collect()
assert made() is None
""",
    "loops in C": """
async def change(value):
    v.set(value)
    return v.get()
async def main():
    context = contextvars.copy_context()
    assert await asyncio.create_task(change(1), context=context) == context[v] == 1
    asyncio.get_running_loop().call_soon(v.set, 2, context=context)
    await asyncio.sleep(0.001)
    assert context[v] == 2
    if hasattr(asyncio, "eager_task_factory"):
        loop = asyncio.get_running_loop()
        task = asyncio.Task(change(3), eager_start=True, context=context, loop=loop)
        assert await task == context[v] == 3
        assert v in asyncio.current_task().get_context()
v.set(0)
asyncio.run(main())
try: import uvloop
except ImportError: pass
else: uvloop.run(main())
""",
    "what copies a context variable by variable": """
def inner():
    v.set(1), native.set(2)
    return contextvars.copy_context()
other = ctxvars.ContextVar("other")
context = contextvars.copy_context().run(inner)
other.set("kept")
for variable in context: variable.set(context[variable])
assert (v.get(), native.get(), other.get()) == (1, 2, "kept")
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_extended(name: str) -> None:
    run(PROGRAMS[name])


IN_ANOTHER_INTERPRETER = '''
source = """
import contextvars
v = contextvars.ContextVar("v")
context = contextvars.copy_context()
context.run(v.set, 1)
assert len(context) == 1 and list(context) == [v] == list(context.keys())
assert list(context.items()) == [(v, 1)] and list(context.values()) == [1]
assert context[v] == 1 and v in context and context.get(v) == 1
assert context == context.copy() != contextvars.Context()
try: context[1]
except TypeError as error: assert "a ContextVar key was expected" in str(error)
"""
'''
RUNS_IT = {
    "_testcapi": "import _testcapi; assert _testcapi.run_in_subinterp(source) == 0",
    "_interpreters": (
        "import _interpreters as it; other = it.create()\n"
        "assert it.exec(other, source) is None\n"
        "it.destroy(other)"
    ),
}


@pytest.mark.parametrize("module", RUNS_IT)
def test_other_interpreters_keep_theirs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"this interpreter has no module {module}")
    run(IN_ANOTHER_INTERPRETER + RUNS_IT[module])
