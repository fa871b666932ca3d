"""Under `python -m ctxvars run`, contexts are those of the interpreter, and show all variables.

Python and `run` execute each program, which must do the same. A program that does not end is
killed, and the test fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import RUN, assert_same

ROOT = Path(__file__).parents[2]

# A variable of `contextvars`, which `run` replaces, and a native one, as extensions have.
VARIABLES = """
import contextvars, _contextvars
v = contextvars.ContextVar("v", default=0)
native = _contextvars.ContextVar("native", default=0)
"""

PROGRAMS = {
    "both kinds": """
c = contextvars.Context()
print(len(c), list(c), c == contextvars.Context())
c.run(v.set, 1), c.run(native.set, 2)
print(len(c), sorted(map(repr, c.items())), sorted(c.values()), sorted(map(repr, c)))
print(c[v], c[native], c.get(v), c.get(native, 3), v in c, native in c)
print(dict(c) == {v: 1, native: 2} == dict(c.copy()), sorted(map(repr, c.keys())))
print(c == c.copy(), c != c.copy(), c == contextvars.Context())
print(len(c.keys()), v in c.keys(), native in c.keys())
""",
    "one kind": """
for variable, other in ((v, native), (native, v)):
    c = contextvars.Context()
    c.run(variable.set, 1)
    print(len(c), list(c) == [variable], variable in c, other in c, c.get(other), c.get(other, 5))
    try: c[other]
    except KeyError as error: print(error.args[0] is other)
""",
    "comparison": """
def context(*values):
    c = contextvars.Context()
    c.run(v.set, values[0]), c.run(native.set, values[1])
    return c
print(context(1, 2) == context(1.0, True + 1), context(1, 2) == context(1, 3))
print(context(1, 2) == context(0, 2), context(1, 2) != context(2, 2))
class Unequal:
    def __eq__(self, other): raise ArithmeticError
for values in ((Unequal(), 0), (0, Unequal())):
    print(context(*values) == context(*values))
    try: context(*values) == context(Unequal(), Unequal())
    except ArithmeticError: print("raised")
""",
    "undone": """
c = contextvars.Context()
token = c.run(v.set, 1)
c.run(v.reset, token)
print(len(c), list(c), v in c, c == contextvars.Context())
""",
    "special methods": """
c = contextvars.Context()
c.run(v.set, 1), c.run(native.set, 2)
print(c.__len__(), contextvars.Context.__len__(c), c.__contains__(v), c.__getitem__(native))
print(contextvars.Context.__getitem__(c, v), len(list(c.__iter__())), c.__eq__(c.copy()))
print(c.__ne__(c.copy()), c.__eq__(1), c.__lt__(c), contextvars.Context.get(c, v))
""",
    "what is not a variable": """
c = contextvars.Context()
calls = (lambda: c[1], lambda: 1 in c, lambda: c.get(1), lambda: c.get(), lambda: c.get(v, 1, 2),
    lambda: c.get(native, 1, 2), lambda: contextvars.Context.__getitem__(1, v),
    lambda: contextvars.Context.keys(1), lambda: c.run(c.run, len, ()))
for call in calls:
    try: print(call())
    except Exception as error: print(type(error), error)
""",
    "class": """
print(contextvars.Context is _contextvars.Context, contextvars.Context, contextvars.copy_context)
print(contextvars.copy_context is _contextvars.copy_context)
""",
    "variables of decimal": """
import decimal
def change(): decimal.getcontext().prec = 5
c = contextvars.copy_context()
c.run(change)
print(decimal.getcontext().prec, [value.prec for value in c.values() if hasattr(value, "prec")])
""",
    "iterators keep one moment": """
c = contextvars.Context()
c.run(v.set, 1)
iterators = c.keys(), c.values(), c.items(), iter(c)
c.run(native.set, 2), c.run(v.set, 3)
print([len(list(iterator)) for iterator in iterators])
""",
    "what an iteration changes": """
c = contextvars.Context()
c.run(v.set, 1), c.run(native.set, 2)
for variable in c: c.run(variable.set, c[variable] + 10)
print(sorted(c.values()))
""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_contexts_do_what_they_do_on_python(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, "-c", VARIABLES + PROGRAMS[name])


OUTCOMES = """
import contextvars, json
from tests.support import expressions
outcomes = {each: expressions.outcome_of(each, contextvars) for each in expressions.EXPRESSIONS}
print(json.dumps(outcomes))
"""


def outcomes(*run: str) -> dict[str, list[str]]:
    """Return the outcome of each expression of `tests.support.expressions` in another process."""
    command = [sys.executable, *run, "-c", OUTCOMES]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_expressions_do_what_they_do_on_python() -> None:
    plain, ours = outcomes(), outcomes(*RUN)
    assert {each for each in plain if ours[each] != plain[each]} == set()


# Without a counterpart in Python: `ctxvars` and `contextvars` in one program.
BESIDE = """
import contextvars, ctxvars, ctxvars.contextvars
assert contextvars is ctxvars.contextvars
assert contextvars.Context is ctxvars.Context and contextvars.copy_context is ctxvars.copy_context
v = ctxvars.ContextVar("v")
made = ctxvars.ContextVar("made", default_factory=list)
c = contextvars.Context()
c.run(v.set, 1)
assert c.native is c and ctxvars.Context.wrap(c) is c
assert c.bindings == {v: 1} and c.diff(contextvars.Context()).removed == {v: 1}
for call in lambda: c.diff(1), lambda: ctxvars.Context.wrap({}):
    try: call()
    except TypeError as error: print(error)
# What a factory has made is kept in a native variable, which is a matter of ours.
c.run(made.get).append(1)
assert c.run(made.get) == [1] and list(c) == [v]
assert ctxvars.snapshot().run(v.get, 2) == 2
print(ctxvars.changes_since(c))
"""


def test_ctxvars_beside_contextvars(tmp_path: Path) -> None:
    command = [sys.executable, *RUN, "-c", BESIDE]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [
        "diff() argument 'other' must be a Context, got 1",
        "native must be a contextvars.Context, got {}",
    ]


def test_without_run_contexts_are_as_they_were() -> None:
    import contextvars

    import ctxvars

    variable = ctxvars.ContextVar("variable")
    context = contextvars.Context()
    context.run(variable.set, 1)
    assert len(context) == 1
    assert variable not in {*context}
    assert not hasattr(context, "native")
    assert contextvars.Context is not ctxvars.Context
