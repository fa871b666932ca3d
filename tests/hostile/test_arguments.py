"""Wrong calls are rejected as the standard library rejects them, and nothing crashes.

Most tests run one piece of code on the standard library's `contextvars` and on `ctxvars` and
compare what it observed: results, types and messages of exceptions, and the state afterwards. Each
version of Python is thus compared with its standard library.
"""

from __future__ import annotations

import contextvars
import operator
import weakref
from collections.abc import Callable
from types import ModuleType

import pytest

import ctxvars
from tests.support.copies import COPIES
from tests.support.parity import assert_same, attempt, snapshot

# Wrong calls of every method, and operations that the types do not support.

EXPRESSIONS = """
ContextVar()
ContextVar(1)
ContextVar(None)
ContextVar(b'x')
ContextVar(['x'])
ContextVar('a', 'b')
ContextVar('a', 1, 2)
ContextVar(name='a')
ContextVar('a', defualt=1)
ContextVar('a', default=1, x=2)
ContextVar('a', **{'default': 1, 'x': 2})
var.get(1, 2)
var.get(default=1)
var.set()
var.set(1, 2)
var.set(value=1)
var.reset()
var.reset(1)
var.reset(None)
var.reset(var)
var.reset(token, token)
var.reset(token=token)
ContextVar.get()
ContextVar.get(1)
ContextVar.get(context)
ContextVar.set(1, 2)
ContextVar.reset(context, token)
ContextVar.name.__get__(1)
ContextVar.name.__get__(context)
Context(1)
Context(None)
Context(a=1)
Context(*())
Context(**{})
context.run()
context.run(1)
context.run(None, 1)
context.run(a=1)
context.run(callable=int)
context.run(int, 1, 2, 3)
context.run(int, x=1)
context[1]
context['name']
context[None]
context[context]
context[unset]
1 in context
context in context
context.get()
context.get(1)
context.get(context, 1)
context.get(unset)
context.get(unset, 1)
context.get(var, 1, 2)
context.get(var, default=1)
context.get(key=var)
context.keys(1)
context.values(1)
context.items(1)
context.copy(1)
context.copy(a=1)
context.__contains__()
context.__getitem__(1, 2)
Context.run(1)
Context.run(context)
Context.run(var, int)
Context.copy(1)
Context.__len__(1)
Token()
Token(1)
Token(a=1)
Token(var, None)
Token.__new__(Token)
Token.__new__(int)
Token.var.__get__(1)
Token.var.__set__(token, 1)
Token.old_value.__delete__(token)
object.__new__(ContextVar)
object.__new__(Context)
object.__new__(Token)
object.__new__(Items)
Items()
Items(context)
copy_context(1)
copy_context(a=1)
hash(context)
hash(token)
{context}
{token: 1}
context < context
context >= context
context == 1
context != 1
context == dict(context)
var < var
var == 1
token == token
token < token
operator.delitem(context, var)
operator.setitem(context, var, 1)
setattr(var, 'name', 'x')
setattr(var, 'x', 1)
delattr(var, 'name')
setattr(context, 'x', 1)
setattr(context, 'run', 1)
delattr(context, 'run')
setattr(token, 'var', 1)
setattr(token, 'old_value', 1)
setattr(token, 'x', 1)
delattr(token, 'var')
setattr(items, 'x', 1)
setattr(ContextVar, 'x', 1)
setattr(ContextVar, 'get', 1)
delattr(ContextVar, 'get')
setattr(Context, 'run', 1)
setattr(Token, 'MISSING', 1)
setattr(Items, 'x', 1)
setattr(ContextVar, '__class__', int)
setattr(var, '__class__', int)
setattr(var, '__class__', Context)
setattr(context, '__class__', Token)
setattr(token, '__class__', object)
type('Sub', (ContextVar,), {})
type('Sub', (Context,), {})
type('Sub', (Token,), {})
type('Sub', (Items,), {})
type('Sub', (type(Token.MISSING),), {})
type(Token.MISSING)()
vars(var)
vars(context)
vars(token)
weakref.ref(var)
weakref.ref(token)
weakref.ref(items)
weakref.ref(Token.MISSING)
Context[int]
len(var)
len(token)
len(items)
iter(var)
iter(token)
next(context)
reversed(context)
bool(context)
bool(token)
var()
context()
token()
token[1]
var + 1
context | context
""".strip().splitlines()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_wrong_calls_fail_as_with_the_standard_library(expression: str) -> None:
    def evaluate(module: ModuleType) -> str:
        var, unset, context = module.ContextVar("var"), module.ContextVar("unset"), module.Context()
        token = context.run(var.set, [1])
        items = iter(context.items())
        names = vars(module) | {
            "Items": type(items),
            "context": context,
            "copy_context": module.copy_context,
            "items": items,
            "operator": operator,
            "token": token,
            "unset": unset,
            "var": var,
            "weakref": weakref,
        }
        outcome = attempt(eval, expression, names)
        assert snapshot(context) == {"var": [1]}
        assert len(module.copy_context()) == (0 if module is contextvars else len(context) - 1)
        return outcome

    assert_same(evaluate)


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("what", ["variable", "context", "token", "iterator", "missing"])
def test_nothing_can_be_copied_or_pickled(what: str, how: str) -> None:
    def try_it(module: ModuleType) -> str:
        variable, context = module.ContextVar("v"), module.Context()
        token = context.run(variable.set, 1)
        victim = {
            "variable": variable,
            "context": context,
            "token": token,
            "iterator": context.keys(),
            "missing": token.MISSING,
        }[what]
        return attempt(COPIES[how], victim)

    if what == "iterator" and how in ("pickle 0", "pickle 1"):
        # Protocols 0 and 1 look for a base class that is not a heap type.
        assert try_it(ctxvars).startswith("raised PicklingError")
        return
    outcome = assert_same(try_it)
    assert what == "missing" or outcome.startswith("raised TypeError")


# Names of variables.


class Raises:
    """A hash that raises, for a subclass of `str`."""

    def __hash__(self) -> int:
        raise OSError("no hash")


NAMES: dict[str, Callable[[], object]] = {
    "hash raises": lambda: type("Name", (Raises, str), {})("x"),
    "unhashable": lambda: type("Name", (str,), {"__hash__": None})("x"),
    "hash is not an int": lambda: type("Name", (str,), {"__hash__": lambda self: "1"})("x"),
    "hash is -1": lambda: type("Name", (str,), {"__hash__": lambda self: -1})("x"),
    "hash is huge": lambda: type("Name", (str,), {"__hash__": lambda self: 2**200})("x"),
    "repr raises": lambda: type("Name", (str,), {"__repr__": lambda self: 1 / 0})("x"),
    "repr is not a str": lambda: type("Name", (str,), {"__repr__": lambda self: 1})("x"),
    "surrogate": lambda: "\ud800",
    "null": lambda: "a\0b",
    "empty": lambda: "",
    "long": lambda: "x" * 100_000,
}


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_of_variables_work_as_with_the_standard_library(name: str) -> None:
    def use(module: ModuleType) -> list[str]:
        outcomes = []

        def all_of_it() -> object:
            variable = module.ContextVar(NAMES[name]())
            outcomes.append(attempt(repr, variable))
            outcomes.append(attempt(variable.get))
            token = variable.set(1)
            outcomes.append(attempt(repr, token))
            outcomes.append(attempt(module.ContextVar("other").reset, token))
            outcomes.append(attempt(module.copy_context().__getitem__, variable.name))
            variable.reset(token)
            outcomes.append(attempt(variable.reset, token))
            return len(variable.name)

        return [attempt(all_of_it), *outcomes]

    assert_same(use)


def test_variables_with_one_hash_are_still_different() -> None:
    name = type("Name", (str,), {"__hash__": lambda self: 7, "__eq__": lambda self, other: True})

    def use(module: ModuleType) -> list[int]:
        variables = [module.ContextVar(name("x")) for _ in range(300)]
        for number, variable in enumerate(variables):
            variable.set(number)
        return [variable.get() for variable in variables]

    assert assert_same(use) == list(range(300))
