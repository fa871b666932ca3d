"""Hostile input: what the standard library rejects is rejected the same way, and nothing crashes.

Most tests run one piece of code on the standard library's `contextvars` and on `ctxvars` and
compare what it observed: results, types and messages of exceptions, the state afterwards. So each
supported version of Python is compared with its own standard library.
"""

from __future__ import annotations

import contextvars
import copy
import gc
import importlib
import operator
import pickle
import re
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from functools import partial
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from tests.support.isolated import isolated

Observe = Callable[[ModuleType], Any]


def normalised(text: str) -> str:
    """The text without what has to differ: addresses, and the module in names of types."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r"\b(_contextvars|contextvars|ctxvars\._core|ctxvars)\.", "", text)


def attempt(function: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
    """What a call returns or raises, in words."""
    try:
        return "returned " + normalised(repr(function(*arguments, **keywords)))
    except Exception as error:
        return f"raised {type(error).__name__}: {normalised(str(error))}"


def observe(observer: Observe, module: ModuleType) -> Any:
    return contextvars.Context().run(observer, module)


def assert_same(observer: Observe) -> Any:
    """Both modules show the observer the same; returns what that is."""
    expected = observe(observer, contextvars)
    assert observe(observer, ctxvars) == expected
    return expected


def snapshot(context: Any) -> dict[str, Any]:
    return {variable.name: value for variable, value in context.items()}


# Wrong calls of every method, and everything that the types do not offer.

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
def test_expression(expression: str) -> None:
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


COPIES: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": partial(pickle.dumps, protocol=n) for n in range(6)},
}


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
        # Protocols 0 and 1 first try the class, and look for one that is not on the heap.
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
    "hash is no int": lambda: type("Name", (str,), {"__hash__": lambda self: "1"})("x"),
    "hash is -1": lambda: type("Name", (str,), {"__hash__": lambda self: -1})("x"),
    "hash is huge": lambda: type("Name", (str,), {"__hash__": lambda self: 2**200})("x"),
    "repr raises": lambda: type("Name", (str,), {"__repr__": lambda self: 1 / 0})("x"),
    "repr is no str": lambda: type("Name", (str,), {"__repr__": lambda self: 1})("x"),
    "surrogate": lambda: "\ud800",
    "null": lambda: "a\0b",
    "empty": lambda: "",
    "long": lambda: "x" * 100_000,
}


@pytest.mark.parametrize("name", NAMES)
def test_name_of_variable(name: str) -> None:
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


# Values that misbehave while two contexts are compared.


def pair(module: ModuleType, size: int, make: Callable[[], object]) -> tuple[Any, Any, Any]:
    """Two contexts that differ by identity in the value of one variable of `size`, and that one."""
    one, other = module.Context(), module.Context()
    variables = [module.ContextVar(f"v{number}") for number in range(size)]
    for number, variable in enumerate(variables):
        one.run(variable.set, number)
        other.run(variable.set, number)
    one.run(variables[0].set, make())
    other.run(variables[0].set, make())
    return one, other, variables[0]


class NoBool:
    def __bool__(self) -> bool:
        raise ArithmeticError("no truth")


def raising(self: object, other: object) -> bool:
    raise OSError("not comparable")


EQUALITIES: dict[str, Callable[[object, object], object]] = {
    "raises": raising,
    "true": lambda self, other: True,
    "false": lambda self, other: False,
    "no bool": lambda self, other: NoBool(),
    "text": lambda self, other: "yes",
    "empty": lambda self, other: [],
    "not implemented": lambda self, other: NotImplemented,
    "recursion": lambda self, other: self == other,
}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("equality", EQUALITIES)
def test_compare_values_whose_equality_is(equality: str, size: int) -> None:
    odd = type("Odd", (), {"__eq__": EQUALITIES[equality], "__hash__": None})

    def compare(module: ModuleType) -> list[str]:
        one, other, variable = pair(module, size, odd)
        outcomes = [attempt(function, one, other) for function in (operator.eq, operator.ne)]
        outcomes.append(attempt(operator.eq, one, one.copy()))
        outcomes.append(attempt(lambda: one.copy() == other))
        # Which of its checks notices endless recursion first varies within one interpreter.
        outcomes = [outcome.removesuffix(" in comparison") for outcome in outcomes]
        return [*outcomes, str(type(one[variable]) is odd and len(one) == len(other) == size)]

    assert_same(compare)


def meddle(module: ModuleType, way: str, size: int) -> list[str]:
    """Compare two contexts whose values change everything meanwhile (gh-142829)."""
    calls: list[int] = []
    contexts: list[Any] = []

    class Meddler:
        def __eq__(self, other: object) -> bool:
            calls.append(1)
            if way == "sets":
                for context in contexts:
                    for changed in list(context):
                        context.run(changed.set, None)
            elif way == "drops":
                contexts.clear()
                gc.collect()
            elif way == "sets in others":
                module.Context().run(variable.set, 1)
                contexts[0].copy().run(variable.set, 1)
            elif way == "compares":
                if len(calls) < 5:
                    return bool(contexts[0] == contexts[1])
            elif way == "iterates":
                list(contexts[0].items())
            elif way == "drops and raises":
                contexts.clear()
                raise OSError("gone")
            return True

        __hash__ = None  # type: ignore[assignment]

    *made, variable = pair(module, size, Meddler)
    contexts += made
    made.clear()
    outcome = attempt(lambda: contexts[0] == contexts[1])
    left = [normalised(repr(sorted(snapshot(context).items()))) for context in contexts]
    return [outcome, str(len(calls)), *left]


def meddle_with(name: str, way: str, size: int) -> list[str]:
    return contextvars.Context().run(meddle, importlib.import_module(name), way, size)


WAYS = ["sets", "drops", "sets in others", "compares", "iterates", "drops and raises"]


@pytest.mark.parametrize("way", WAYS)
def test_values_that_meddle_while_compared(way: str) -> None:
    for size in (1, 100):
        ours = isolated(meddle_with, "ctxvars", way, size)
        if way in ("sets", "drops", "drops and raises"):
            # The native module may crash here, and sees other values from then on.
            assert ours[0] == ("raised OSError: gone" if "raises" in way else "returned True")
        else:
            assert ours == isolated(meddle_with, "contextvars", way, size)


def test_contexts_of_different_shape_are_compared_without_user_code() -> None:
    odd = type("Odd", (), {"__eq__": raising, "__hash__": None})

    def compare(module: ModuleType) -> list[str]:
        one, other, _ = pair(module, 20, odd)
        other.run(module.ContextVar("more").set, 1)
        return [attempt(operator.eq, one, other), attempt(operator.ne, one, other)]

    assert assert_same(compare) == ["returned False", "returned True"]


# Finalisers of values that come back while a value is being dropped.


# Each makes a value that nothing but the current context refers to, and drops it.


def finalised_by_overwriting(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    variable.set(None)


def finalised_by_overwriting_after_change(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    module.ContextVar("later").set("kept")
    variable.set(None)


def finalised_by_reset(module: ModuleType, variable: Any, make: type) -> None:
    variable.reset(variable.set(make()))


def finalised_by_reset_after_change(module: ModuleType, variable: Any, make: type) -> None:
    token = variable.set(make())
    module.ContextVar("later").set("kept")
    variable.reset(token)


def finalised_by_reset_after_two(module: ModuleType, variable: Any, make: type) -> None:
    token = variable.set(None)
    variable.set(make())
    variable.reset(token)


def finalised_with_context(module: ModuleType, variable: Any, make: type) -> None:
    module.Context().run(variable.set, make())


def finalised_with_token(module: ModuleType, variable: Any, make: type) -> None:
    variable.set(make())
    token = variable.set(None)
    del token


FINALISED = [
    finalised_by_overwriting,
    finalised_by_overwriting_after_change,
    finalised_by_reset,
    finalised_by_reset_after_change,
    finalised_by_reset_after_two,
    finalised_with_context,
    finalised_with_token,
]


@pytest.mark.parametrize("how", ["sets", "sets itself", "runs", "resets", "copies", "raises"])
@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("drop", FINALISED, ids=lambda drop: drop.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_finaliser_that_comes_back(drop: Callable[..., None], size: int, how: str) -> None:
    def use(module: ModuleType) -> list[object]:
        neighbours = [f"neighbour {number}" for number in range(size)]
        for name in neighbours:
            module.ContextVar(name).set([name])
        variable, other = module.ContextVar("v"), module.ContextVar("other", default="unset")
        earlier = module.ContextVar("earlier")
        token = earlier.set("set")
        seen: list[object] = []

        class Finalised:
            def __del__(self) -> None:
                seen.append(sorted(snapshot(module.copy_context())))
                if how == "sets":
                    other.set("by finaliser")
                elif how == "sets itself":
                    variable.set("by finaliser")
                elif how == "runs":
                    module.copy_context().run(other.set, 1)
                elif how == "resets":
                    earlier.reset(token)
                elif how == "copies":
                    seen.append(len(list(module.copy_context().items())))
                elif how == "raises":
                    raise OSError

        drop(module, variable, Finalised)
        gc.collect()
        after = snapshot(module.copy_context())
        # The values of the neighbours are lists, without interest here.
        after = {name: value for name, value in after.items() if name not in neighbours}
        return [seen, after, other.get(), variable.get("unset"), attempt(earlier.reset, token)]

    outcome = assert_same(use)
    assert outcome[0]


def test_reset_of_the_same_token_in_a_finaliser() -> None:
    def use(module: ModuleType) -> list[object]:
        variable, other = module.ContextVar("v"), module.ContextVar("other")
        outcomes: list[object] = []

        class Finalised:
            def __del__(self) -> None:
                outcomes.append(attempt(variable.reset, tokens[0]))

        tokens = [variable.set(Finalised())]
        other.set(1)
        variable.reset(tokens[0])
        return [*outcomes, snapshot(module.copy_context()), attempt(variable.reset, tokens[0])]

    assert_same(use)


# Tokens.


def test_token_checks_come_in_order() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, other = module.ContextVar("v"), module.ContextVar("other")
        elsewhere = module.Context()
        outcomes: list[str] = []

        def note(*calls: Callable[[], object]) -> None:
            outcomes.extend(attempt(call) for call in calls)
            outcomes.append(repr(sorted(snapshot(module.copy_context()).items())))

        variable.set(1)
        token = variable.set(2)
        # Another variable and another context: the variable is what matters.
        note(lambda: elsewhere.run(other.reset, token), lambda: other.reset(token))
        note(lambda: elsewhere.run(variable.reset, token))
        note(lambda: module.copy_context().run(variable.reset, token))
        note(lambda: variable.reset(token))
        # Used, and wrong in every other way too.
        note(lambda: variable.reset(token), lambda: other.reset(token))
        note(lambda: elsewhere.run(other.reset, token), lambda: repr(token), lambda: token.var)
        # A failed reset does not use a token up.
        second = variable.set(3)
        note(lambda: elsewhere.run(variable.reset, second), lambda: other.reset(second))
        note(lambda: variable.reset(second))
        # Out of order.
        tokens = [variable.set(number) for number in range(4)]
        note(*(lambda token=token: variable.reset(token) for token in (tokens[0], tokens[2])))
        note(*(lambda token=token: variable.reset(token) for token in (tokens[3], tokens[1])))
        note(lambda: variable.reset(tokens[1]))
        return outcomes

    assert_same(use)


def test_token_of_a_context_that_is_gone() -> None:
    def use(module: ModuleType) -> list[str]:
        variable = module.ContextVar("v")
        token = module.Context().run(variable.set, 1)
        gc.collect()
        outcomes = [attempt(module.Context().run, variable.reset, token) for _ in range(3)]
        return [*outcomes, repr(token.old_value), repr(token.var is variable)]

    assert_same(use)


def test_token_in_another_thread() -> None:
    def use(module: ModuleType) -> list[str]:
        variable = module.ContextVar("v")
        token = variable.set(1)
        outcomes: list[str] = []

        def reset() -> None:
            outcomes.append(attempt(variable.reset, token))
            outcomes.append(attempt(variable.get))
            outcomes.append(attempt(module.copy_context().run, variable.reset, token))

        thread = threading.Thread(target=contextvars.Context().run, args=(reset,))
        thread.start()
        thread.join()
        outcomes.append(attempt(variable.reset, token))
        return outcomes

    assert_same(use)


def test_token_of_the_other_module_is_refused() -> None:
    native, ours = contextvars.ContextVar[int]("v"), ctxvars.ContextVar[int]("v")
    for variable, token in ((native, ours.set(1)), (ours, native.set(1))):
        with pytest.raises(TypeError, match="expected an instance of Token"):
            variable.reset(token)


# Context.run.


def test_run_of_entered_contexts() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, context = module.ContextVar("v"), module.Context()
        outcomes = []

        def inside(depth: int) -> None:
            variable.set(depth)
            outcomes.append(attempt(context.run, inside, depth + 1))
            outcomes.append(attempt(module.copy_context().run, variable.set, "copy"))
            module.Context().run(lambda: outcomes.append(attempt(context.run, int)))
            outcomes.append(attempt(context.run))
            outcomes.append(attempt(context.run, 1))

        outcomes.append(attempt(context.run, inside, 0))
        outcomes.append(attempt(context.run, operator.truediv, 1, 0))
        outcomes.append(attempt(context.run, int, "x"))
        outcomes.append(attempt(context.run, variable.get))
        outcomes.append(repr(snapshot(context)))
        return outcomes

    assert_same(use)


def test_run_of_a_context_that_another_thread_has_entered() -> None:
    def use(module: ModuleType) -> list[str]:
        variable, context = module.ContextVar("v"), module.Context()
        entered, leave = threading.Event(), threading.Event()

        def wait() -> None:
            variable.set("other thread")
            entered.set()
            assert leave.wait(20)

        thread = threading.Thread(target=context.run, args=(wait,))
        thread.start()
        assert entered.wait(20)
        outcomes = [attempt(context.run, variable.get), repr(snapshot(context))]
        outcomes.append(attempt(context.copy().run, variable.get))
        leave.set()
        thread.join()
        return [*outcomes, attempt(context.run, variable.get)]

    assert_same(use)


def test_generators_suspended_in_run() -> None:
    def use(module: ModuleType) -> list[object]:
        variable = module.ContextVar("v", default="default")
        one, other = module.Context(), module.Context()

        def generate() -> Generator[object, None, None]:
            token = variable.set("set")
            try:
                yield variable.get()
                yield variable.get()
            finally:
                outcomes.append(attempt(variable.reset, token))

        outcomes: list[object] = []
        generator = generate()
        outcomes.append(one.run(next, generator))
        # The generator goes on in the context of whoever resumes it.
        outcomes.append(other.run(next, generator))
        outcomes.append(next(generate()))
        other.run(generator.close)
        finished = generate()
        one.run(next, finished)
        one.run(finished.close)
        return [*outcomes, snapshot(one), snapshot(other), snapshot(module.copy_context())]

    assert_same(use)


def test_exceptions_that_are_not_errors_leave_run() -> None:
    def use(module: ModuleType) -> list[str]:
        context = module.Context()
        outcomes: list[str] = []
        for exception in (KeyboardInterrupt, SystemExit, GeneratorExit):

            def fail(exception: type[BaseException] = exception) -> None:
                module.ContextVar("v").set(1)
                raise exception

            try:
                context.run(fail)
            except BaseException as error:
                outcomes.append(type(error).__name__)
            outcomes.append(attempt(context.run, len, "entered no more"))
        return outcomes

    assert_same(use)


# Recursion.


def recursion(name: str) -> list[str]:
    module = importlib.import_module(name)
    outcomes = []
    variable = module.ContextVar("v")

    endless: list[Any] = []
    endless.append(module.ContextVar("w", default=endless))
    outcomes.append(attempt(repr, endless[0]))

    # From 3.14 on the limit is the size of the stack, of which our frames take a little more.
    nested = None
    for _ in range(5_000):
        nested = module.ContextVar("w", default=nested)
    outcomes.append(attempt(repr, nested).partition(" while")[0])
    while nested is not None:
        # Taken apart from the outside, since dropping it is another test.
        nested = nested.get()

    depth = 0

    def deeper(context: Any) -> None:
        nonlocal depth
        depth += 1
        variable.set(depth)
        module.copy_context().run(deeper, context)

    outcomes.append(attempt(module.Context().run, deeper, None))
    outcomes.append(str(depth))
    outcomes.append(attempt(variable.get))

    contexts = [module.Context() for _ in range(20_000)]
    runs = [context.run for context in contexts]
    outcomes.append(attempt(runs[0], *runs[1:], int))
    # No context is left entered.
    outcomes.append(str([context.run(int) for context in contexts] == [0] * len(contexts)))

    class Recursive:
        def __eq__(self, other: object) -> bool:
            return bool(one == two)

        __hash__ = None  # type: ignore[assignment]

    one, two = module.Context(), module.Context()
    one.run(variable.set, Recursive())
    two.run(variable.set, Recursive())
    outcomes.append(attempt(operator.eq, one, two).partition(" in comparison")[0])

    one, two = module.Context(), module.Context()
    one.run(variable.set, [1])
    two.run(variable.set, [1])
    for _ in range(20_000):
        outer, other_outer = module.Context(), module.Context()
        outer.run(variable.set, one)
        other_outer.run(variable.set, two)
        one, two = outer, other_outer
    outcomes.append(attempt(operator.eq, one, two))
    return outcomes


def test_recursion_ends_where_it_does_in_the_standard_library() -> None:
    outcomes = isolated(recursion, "ctxvars")
    assert outcomes == isolated(recursion, "contextvars")
    # From 3.14 on only Python code has a limit that is not the size of the stack.
    assert sum("RecursionError" in outcome for outcome in outcomes) >= 2


# Threads that hammer one object, with a switch as often as possible.


def hammer(work: Callable[[int], Any], threads: int = 4) -> list[Any]:
    """Let each thread do the work, all at once; return the results."""
    results: list[Any] = [None] * threads
    barrier = threading.Barrier(threads)

    def go(number: int) -> None:
        barrier.wait()
        results[number] = work(number)

    running = [threading.Thread(target=go, args=(number,)) for number in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return results


def hammer_context() -> None:
    """Only one thread at a time is in the context, and no change is lost."""
    context, number = ctxvars.Context(), ctxvars.ContextVar("number", default=0)
    inside = 0

    def add() -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        number.set(number.get() + 1)
        inside -= 1

    def work(_: int) -> int:
        done = 0
        for _ in range(2_000):
            try:
                context.run(add)
                done += 1
            except RuntimeError:
                pass
            seen = context.get(number, 0)
            assert context.copy().get(number, 0) >= seen
        return done

    done = hammer(work)
    assert sum(done) == context[number] > 0


def hammer_readers() -> None:
    """Readers see the variables as they were between two changes."""
    context = ctxvars.Context()
    variables = [ctxvars.ContextVar[int](f"v{number}") for number in range(50)]

    def write() -> None:
        for round_ in range(300):
            for variable in variables:
                variable.set(round_)

    def work(number: int) -> None:
        if number == 0:
            context.run(write)
            return
        for _ in range(300):
            values = [value for _, value in context.items()]
            # The writer goes through the variables in one order, so at most two rounds are seen.
            assert not values or max(values) - min(values) <= 1
            assert len(values) in range(51)
            assert (context == context.copy()) in (True, False)

    hammer(work)
    assert len(context) == 50


def hammer_iterator() -> None:
    """Each entry goes to exactly one thread."""
    context = ctxvars.Context()
    for number in range(20_000):
        context.run(ctxvars.ContextVar(f"v{number}").set, [number])
    items = iter(context.values())
    taken = hammer(lambda _: [value[0] for value in items])
    assert sorted(value for part in taken for value in part) == list(range(20_000))


def hammer_token() -> None:
    """One reset of a token succeeds, in whichever thread."""
    context, variable = ctxvars.Context(), ctxvars.ContextVar("v", default="before")
    for _ in range(200):
        token = context.run(variable.set, "set")

        def work(_: int, token: Any = token) -> int:
            done = 0
            for _ in range(5):
                try:
                    context.run(variable.reset, token)
                    done += 1
                except RuntimeError:
                    pass
            return done

        assert sum(hammer(work, 3)) == 1
        assert variable not in context


def hammer_variable() -> None:
    """Each thread sees its own values of one variable, whatever the others cache in it."""
    variable = ctxvars.ContextVar[object]("v")

    def work(number: int) -> None:
        assert variable.get(None) is None
        for round_ in range(5_000):
            mine = (number, round_)
            token = variable.set(mine)
            assert variable.get() is mine
            assert ctxvars.copy_context()[variable] is mine
            if round_ % 2:
                variable.reset(token)
                assert variable.get() == (number, round_ - 1)

    hammer(work)


def hammer_creation() -> None:
    """Free lists are shared by all threads."""

    def work(number: int) -> None:
        kept: list[object] = []
        for round_ in range(2_000):
            context, variable = ctxvars.Context(), ctxvars.ContextVar[object]("v")
            kept.append(context.run(variable.set, [context]))
            kept.append(iter(context.items()))
            assert context[variable] == [context]
            if round_ % 200 == 0:
                kept.clear()
                gc.collect()

    hammer(work)


HAMMERS = [
    hammer_context,
    hammer_readers,
    hammer_iterator,
    hammer_token,
    hammer_variable,
    hammer_creation,
]


@pytest.mark.parametrize("strike", HAMMERS, ids=lambda strike: strike.__name__)
def test_threads(strike: Callable[[], None]) -> None:
    isolated(strike)


# What is inside and is not meant to be touched.


def a_node() -> Any:
    return next(iter(gc.get_referents(ctxvars.Map.fromkeys(range(100), []))))


def test_nodes_offer_nothing() -> None:
    node = contextvars.Context().run(a_node)
    with pytest.raises(TypeError):
        type(node)()
    with pytest.raises(TypeError):
        object.__new__(type(node))
    with pytest.raises(TypeError):
        type("Sub", (type(node),), {})
    with pytest.raises(TypeError):
        type(node).x = 1
    with pytest.raises(AttributeError):
        node.x = 1
    for copied in COPIES.values():
        with pytest.raises((TypeError, pickle.PicklingError)):
            copied(node)


def put_into_root(kind: str) -> list[str]:
    """Give the native variable that carries the bindings a value that is none."""

    def inside() -> list[str]:
        variable = ctxvars.ContextVar[object]("v")
        variable.set([1])
        (root,) = contextvars.copy_context()
        root.set({"int": 42, "text": "x" * 100, "list": [1] * 100, "none": None}[kind])
        context = ctxvars.copy_context()
        return [
            attempt(variable.get, None),
            attempt(len, context),
            attempt(dict, context),
            attempt(operator.contains, context, variable),
            attempt(operator.eq, context, ctxvars.Context()),
            attempt(variable.set, 1),
        ]

    outcomes = contextvars.Context().run(inside)
    gc.collect()
    return outcomes


@pytest.mark.parametrize("kind", ["int", "text", "list", "none"])
def test_root_variable_with_a_foreign_value(kind: str) -> None:
    # Any Python code gets hold of the root variable by iterating over a native context.
    get, size, *_ = isolated(put_into_root, kind)
    assert get == "returned None" or get.startswith("raised")
    assert size == "returned 0" or size.startswith("raised")


def fail_to_allocate(name: str, size: int) -> list[str]:
    """Let each allocation of each operation fail in turn; return what has been left half done."""
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
        # The native `set` may have done its work when it fails to allocate its token.
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
    assert isolated(fail_to_allocate, "contextvars", size) == []
    assert isolated(fail_to_allocate, "ctxvars", size) == []


# Odd ways of importing, and of ending.


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
    # That the second import fails is as good as that it gives the same classes.
    assert isolated(import_twice)[1:] == ["[1]", "{'v': [1]}", "returned None", "{'other': 2}"]


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
    assert isolated(import_in_subinterpreter) == ["returned [1]", "returned {'v': [1]}"]


def public_names() -> list[str]:
    return sorted(ctxvars.__all__)


def test_import_warns_of_nothing() -> None:
    assert "ContextVar" in isolated(public_names, options=("-W", "error"))


def end_with_finalisers(name: str) -> int:
    """Leave values whose finalisers use the module to the end of a thread and of the process."""
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
    assert isolated(end_with_finalisers, module) == 0
