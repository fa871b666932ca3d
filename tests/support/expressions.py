"""Expressions on context variables, to be evaluated with the names of either module."""

import collections.abc
import contextvars as native
import copy
import gc
import operator
import pickle
import sys
import types
import typing
import weakref
from typing import Any, NoReturn

from tests.support.parity import outcome

HAS_TOKEN_MANAGER = sys.version_info >= (3, 14)


# Modules that the expressions can use.
MODULES_OF_EXPRESSIONS = (collections, copy, gc, operator, pickle, typing, weakref)


class Unequal:
    """A value whose comparison raises."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError("compared")

    def __repr__(self) -> NoReturn:
        raise ArithmeticError("shown")


class Vague:
    """A value whose comparison returns something that is neither true nor false."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> NoReturn:
        raise ArithmeticError("asked for truth")


class Name(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "shown name"


class BadName(str):
    __slots__ = ()

    def __hash__(self) -> NoReturn:
        raise ArithmeticError("hashed")


def fail(*arguments: object, **keywords: object) -> NoReturn:
    raise ArithmeticError(arguments, keywords)


def namespace(module: types.ModuleType) -> dict[str, Any]:
    """Return the names for the expressions. The current context is that of the caller."""
    var, other = module.ContextVar("var"), module.ContextVar("other")
    context = module.Context()
    foreign = context.run(var.set, 1)
    context.run(other.set, "x")
    used_foreign = context.run(other.set, "x")
    context.run(other.reset, used_foreign)
    token = var.set("old")
    used = var.set("new")
    var.reset(used)
    return {
        **{module.__name__: module for module in MODULES_OF_EXPRESSIONS},
        **{helper.__name__: helper for helper in (Name, Unequal, Vague, fail, outcome)},
        **{name: getattr(module, name) for name in native.__all__},
        "var": var,
        "other": other,
        "defaulted": module.ContextVar("defaulted", default=0),
        "context": context,
        "empty": module.Context(),
        "token": token,
        "used": used,
        "foreign": foreign,
        "used_foreign": used_foreign,
        "iterators": [context.keys(), context.values(), context.items(), iter(context)],
        "equal": lambda a, b: (
            module.Context().run(lambda: (var.set(a), module.copy_context())[1])
            == module.Context().run(lambda: (var.set(b), module.copy_context())[1])
        ),
    }


def outcome_of(expression: str, module: types.ModuleType) -> tuple[str, ...]:
    def evaluate() -> object:
        names = namespace(module)
        return outcome(lambda: eval(expression, names))

    result = module.Context().run(evaluate)
    assert isinstance(result, tuple)
    return result


MAKING = """
    ContextVar()
    ContextVar("v")
    ContextVar("v", 1)
    ContextVar("v", "w", default=1)
    ContextVar("v", default=1)
    ContextVar("v", default=None)
    ContextVar("v", default=1, wrong=2)
    ContextVar("v", wrong=2)
    ContextVar("v", **{"": 1})
    ContextVar(name="v")
    ContextVar(default=1)
    ContextVar(1)
    ContextVar(None)
    ContextVar(b"v")
    ContextVar("")
    ContextVar("a 'quoted' \\ud800 name")
    ContextVar(Name("v"))
    ContextVar(Name("v")).name
    ContextVar("v", default=Unequal())
    ContextVar.__new__()
    ContextVar.__new__(int, "v")
    ContextVar.__new__(ContextVar, "v")
    ContextVar("v").__init__("v")
    object.__new__(ContextVar)
    Token()
    Token(1)
    Token(var=1)
    Token.__new__(Token)
    object.__new__(Token)
    Context()
    Context(1)
    Context(1, 2)
    Context(wrong=1)
    Context(**{})
    Context.__new__(Context, 1)
    Context().__init__(1)
    object.__new__(Context)
    copy_context()
    copy_context(1)
    copy_context(wrong=1)
    [type(iterator)() for iterator in iterators]
    [object.__new__(type(iterator)) for iterator in iterators]
"""

VARIABLES = """
    var.get()
    var.get(1)
    var.get(1, 2)
    var.get(default=1)
    other.get()
    other.get(None)
    other.get(default=1)
    defaulted.get()
    defaulted.get(1)
    ContextVar("v", default=None).get()
    ContextVar.get()
    ContextVar.get(1)
    ContextVar.get(context)
    var.set()
    var.set(1)
    var.set(1, 2)
    var.set(value=1)
    ContextVar.set(1, 2)
    var.name
    var.name is var.name
    var == var, var != var, var == other, var == "var"
    var < var
    hash(var) == hash(var), hash(var) == hash(ContextVar("var"))
    {var: 1}[var]
    len(var)
    var[0]
    var()
    bool(var)
    str(defaulted)
    format(var, "")
    format(var, "x")
    (a := [], v := ContextVar("v", default=a), a.append(v), repr(v))[3]
"""

TOKENS = """
    var.reset()
    var.reset(token)
    var.reset(token, 1)
    var.reset(token=token)
    var.reset(1)
    var.reset(None)
    var.reset(Token.MISSING)
    var.reset(Token)
    (var.reset(token), var.get())
    (var.reset(token), token)
    (var.reset(token), var.reset(token))
    ContextVar.reset(1, token)
    ContextVar.reset(var)
    var.reset(foreign)
    var.reset(used)
    var.reset(used_foreign)
    other.reset(token)
    other.reset(used)
    other.reset(foreign)
    other.reset(used_foreign)
    context.run(var.reset, token)
    context.run(var.reset, used)
    context.run(other.reset, token)
    context.copy().run(var.reset, foreign)
    copy_context().run(var.reset, token)
    (context.run(var.reset, foreign), context.get(var))
    (empty.run(var.reset, token), var.get())
    (second := var.set(2), var.reset(token), var.reset(second), var.get())
    (second := other.set(2), var.reset(token), other.get(), var.get(None))
    token
    used
    token.var is var, used.var is var
    token.old_value
    used.old_value
    used.old_value is token.old_value
    token.old_value is Token.MISSING
    Token.MISSING
    type(Token.MISSING).__qualname__
    token == token, token != token, token == used, token == 1
    token < token
    hash(token)
    {token}
    bool(token)
    token()
    var.set(var).old_value
"""

TOKEN_MANAGER = """
    token.__enter__()
    token.__enter__() is token
    token.__enter__(1)
    token.__exit__()
    token.__exit__(None)
    token.__exit__(None, None)
    token.__exit__(None, None, None)
    token.__exit__(1, 2, 3)
    token.__exit__(None, None, None, None)
    token.__exit__(type=None, val=None, tb=None)
    used.__enter__()
    used.__exit__(None, None, None)
    foreign.__exit__(None, None, None)
    (token.__exit__(None, None, None), token, var.get(None))
    Token.__enter__()
    Token.__enter__(1)
    Token.__exit__(1, None, None, None)
"""

CONTEXTS = """
    context.run()
    context.run(1)
    context.run(None)
    context.run(*())
    context.run(callable=len)
    context.run(len)
    context.run(len, "abc")
    context.run(dict, a=1)
    context.run(sorted, [2, 1], reverse=True)
    context.run(fail, 1, a=2)
    context.run(var.get)
    context.run(context.run, len, "")
    context.run(empty.run, context.run, len, "")
    (outcome(lambda: context.run(fail)), context.run(len, ""))[1]
    (outcome(lambda: context.run(context.run, len, "")), context.run(len, ""))[1]
    Context.run()
    Context.run(1, len)
    context.get()
    context.get(var)
    context.get(var, 2)
    context.get(var, 2, 3)
    context.get(key=var)
    context.get(var, default=2)
    context.get(defaulted)
    context.get(defaulted, 2)
    context.get(1)
    context.get("var", 2)
    context.get(Unequal())
    context[var]
    context[defaulted]
    context[1]
    context["var"]
    context[None]
    context[ContextVar]
    context[Unequal()]
    var in context, defaulted in context
    1 in context
    "var" in context
    ContextVar not in context
    context.__contains__()
    context.__contains__(1)
    context.__getitem__()
    context.__getitem__(1)
    Context.__getitem__(1, var)
    context.copy()
    context.copy() == context, context.copy() is context
    context.copy(1)
    context.copy(wrong=1)
    context.keys(1)
    context.values(1)
    context.items(1)
    len(context), len(empty)
    context.__len__(1)
    bool(context), bool(empty)
    sorted(context, key=repr) == sorted([var, other], key=repr)
    sorted(map(repr, context.values()))
    sorted(map(repr, context.items()))
    dict(context) == {var: 1, other: "x"}
    {**context} == {var: 1, other: "x"}
    operator.setitem(context, var, 1)
    operator.delitem(context, var)
    context.pop
    context.update
    context | context
    context + context
    reversed(context)
    next(context)
    context()
    context.x
    hash(context)
    {context}
    Context.__hash__
    context == context, context != context
    context == empty, context != empty
    context == {var: 1, other: "x"}, context != {}
    context == 1, context != None
    context < context
    context <= context
    context > empty
    context >= 1
    Context.__eq__(context, 1)
    Context.__ne__(context, context.copy())
    Context.__eq__(1, context)
    Context.__lt__(context, context)
    equal(1, True)
    equal(1, 2)
    equal(float("nan"), float("nan"))
    (nan := float("nan"), equal(nan, nan))
    equal(Unequal(), Unequal())
    (value := Unequal(), equal(value, value))[1]
    equal(Vague(), Vague())
    (value := Vague(), equal(value, value))[1]
    context == (empty.run(defaulted.set, 1), empty)[1]
    isinstance(context, collections.abc.Iterable), isinstance(context, collections.abc.Hashable)
    isinstance(token, collections.abc.Hashable), isinstance(var, collections.abc.Hashable)
    str(context)
    format(context, "x")
"""

ITERATORS = """
    iterators
    [type(iterator) for iterator in iterators]
    [type(iterator).__module__ for iterator in iterators]
    [(len(iterator), next(iterator) and 0, len(iterator)) for iterator in iterators]
    [(len(list(iterator)), len(iterator), list(iterator)) for iterator in iterators]
    [(list(iterator), outcome(lambda: next(iterator)))[1] for iterator in iterators]
    [iter(iterator) is iterator for iterator in iterators]
    [iterator == iterator for iterator in iterators]
    [hash(iterator) == hash(iterator) for iterator in iterators]
    [isinstance(iterator, collections.abc.KeysView) for iterator in iterators]
    [operator.length_hint(iterator) for iterator in iterators]
    [outcome(lambda: iterator[0]) for iterator in iterators]
    [outcome(lambda: iterator()) for iterator in iterators]
    [outcome(lambda: reversed(iterator)) for iterator in iterators]
    [outcome(lambda: iterator < iterator) for iterator in iterators]
    [outcome(lambda: iterator.x) for iterator in iterators]
    [outcome(lambda: setattr(iterator, "x", 1)) for iterator in iterators]
    [outcome(lambda: type(iterator).__len__(1)) for iterator in iterators]
    [outcome(lambda: type(iterator).__next__(1)) for iterator in iterators]
    [list(empty.keys()), list(empty.values()), list(empty.items()), list(empty)]
    (keys := context.keys(), context.run(defaulted.set, 1), len(keys), len(list(keys)))[2:]
    var in context.keys(), 1 in context.values(), (var, 1) in context.items()
"""

CLASSES = """
    ContextVar, Token, Context, copy_context
    ContextVar[int], Token[int]
    ContextVar[int, str]
    ContextVar["Later"]
    ContextVar[()]
    ContextVar[int]("v")
    Token[int]()
    Context[int]
    ContextVar.__class_getitem__()
    ContextVar.__class_getitem__(1, 2)
    typing.get_origin(ContextVar[int]) is ContextVar, typing.get_args(Token[str])
    type(ContextVar[int])
    setattr(ContextVar, "x", 1)
    setattr(Token, "MISSING", 1)
    setattr(Context, "run", 1)
    delattr(Context, "run")
    setattr(ContextVar, "__module__", "x")
    setattr(ContextVar, "__name__", "x")
    [outcome(lambda: setattr(type(iterator), "x", 1)) for iterator in iterators]
    setattr(var, "name", "x")
    setattr(var, "x", 1)
    delattr(var, "name")
    setattr(token, "var", 1)
    setattr(token, "old_value", 1)
    setattr(token, "MISSING", 1)
    delattr(token, "var")
    setattr(context, "x", 1)
    setattr(context, "run", 1)
    var.x
    token.x
    var.__dict__
    type("Sub", (ContextVar,), {})
    type("Sub", (Token,), {})
    type("Sub", (Context,), {})
    type("Sub", (int, Context), {})
    [outcome(lambda: type("Sub", (type(iterator),), {})) for iterator in iterators]
    setattr(var, "__class__", int)
    ContextVar.name.__get__(1)
    ContextVar.name.__set__(var, 1)
    Token.var.__get__(1)
    Token.old_value.__get__(context)
    ContextVar.__hash__(1)
    ContextVar.__repr__(1)
    Token.__repr__(1)
    Context.__iter__(1)
    Context.__len__(1)
"""

COLLECTOR_AND_COPIES = """
    gc.is_tracked(var), gc.is_tracked(defaulted)
    gc.is_tracked(ContextVar("v", default=None)), gc.is_tracked(ContextVar("v", default="x"))
    gc.is_tracked(ContextVar("v", default=[])), gc.is_tracked(ContextVar("v", default=(1, [])))
    gc.is_tracked(ContextVar("v", default=())), gc.is_tracked(ContextVar("v", default={}))
    gc.is_tracked(ContextVar(Name("v")))
    gc.is_tracked(token), gc.is_tracked(context), gc.is_tracked(empty)
    weakref.ref(var)
    weakref.ref(token)
    type(weakref.ref(context)), weakref.ref(context)() is context
    [outcome(lambda: weakref.ref(iterator)) for iterator in iterators]
    [outcome(lambda: copy.copy(thing)) for thing in (var, token, context, *iterators)]
    [outcome(lambda: copy.deepcopy(thing)) for thing in (var, token, context, *iterators)]
    [outcome(lambda: pickle.dumps(var, protocol)) for protocol in range(6)]
    [outcome(lambda: pickle.dumps(token, protocol)) for protocol in range(6)]
    [outcome(lambda: pickle.dumps(context, protocol)) for protocol in range(6)]
    [outcome(lambda: pickle.dumps(iterators[0], protocol)) for protocol in range(2, 6)]
    [outcome(lambda: pickle._dumps(thing)) for thing in (var, token, context, *iterators)]
    [pickle.loads(pickle.dumps(thing)) for thing in (ContextVar, Token, Context, copy_context)]
    [copy.copy(thing) is thing for thing in (ContextVar, Token, Context, copy_context)]
    [thing.__getstate__() for thing in (var, token, context, *iterators)]
"""

EXPRESSIONS = [
    line.strip()
    for table in (
        MAKING,
        VARIABLES,
        TOKENS,
        *([TOKEN_MANAGER] if HAS_TOKEN_MANAGER else []),
        CONTEXTS,
        ITERATORS,
        CLASSES,
        COLLECTOR_AND_COPIES,
    )
    for line in table.strip().splitlines()
]
