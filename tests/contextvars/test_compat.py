"""Contexts, variables and tokens behave exactly as those of the interpreter's `contextvars`.

Most tests evaluate one expression on both and compare what it returned or raised. The expected
values are not written down, so the tests hold for every version of Python: where a version changes
a message, ctxvars must change with it.
"""

import collections.abc
import contextvars as native
import copy
import inspect
import pickle
import threading
import traceback
import types
from typing import Any

import pytest

import ctxvars
import ctxvars.contextvars as shim
from tests.support.expressions import EXPRESSIONS, HAS_TOKEN_MANAGER, fail, outcome_of
from tests.support.parity import normalised, outcome

# Attributes that the standard library does not have. Docstrings are not compared.
ADDITIONS = {
    # Access to the native context that carries ours, and to its map.
    "Context": {"bindings", "diff", "native", "wrap"},
    # The standard library needs a token, a copy of the context or a wrapper for these.
    "ContextVar": {"delete", "is_set", "scope"},
    # A token is a context manager on every version.
    "Token": set() if HAS_TOKEN_MANAGER else {"__enter__", "__exit__"},
}
# Our classes are heap types: they store their module in their dictionary, and inherit the
# `__getattribute__` of `object`, which older versions copy into every static type.
STORED_ELSEWHERE = {"__module__", "__getattribute__"}


# Expressions with intended differences, and their results on ctxvars.
DIFFERENCES = {
    # Iterators of ctxvars are tracked if they can be part of a cycle, on all versions.
    "[gc.is_tracked(iterator) for iterator in iterators]": "[False, False, False, False]",
    # A variable whose default is not tracked cannot be part of a cycle.
    'gc.is_tracked(ContextVar("v", default=ContextVar("w")))': "False",
    # Old protocols treat heap types as classes made in Python, and fail later.
    "outcome(lambda: pickle.dumps(iterators[0], 0))[1]": "\"<class '_pickle.PicklingError'>\"",
}
# Flags that CPython sets itself: how a type was created, and which of its caches are valid.
FLAGS_OF_THE_INTERPRETER = 1 << 1 | 1 << 9 | 1 << 19


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_do_what_they_do_with_the_standard_library(expression: str) -> None:
    assert outcome_of(expression, ctxvars) == outcome_of(expression, native)


def test_expressions_do_what_they_are_meant_for() -> None:
    # With a mistake in the namespace, both sides would fail alike, and the tests would pass.
    for expression in EXPRESSIONS:
        assert "NameError" not in " ".join(outcome_of(expression, native))


@pytest.mark.parametrize(("expression", "shown"), DIFFERENCES.items())
def test_listed_expressions_differ_as_intended(expression: str, shown: str) -> None:
    kind, _, result = outcome_of(expression, ctxvars)
    assert (kind, result) == ("returned", shown)


def classes(module: types.ModuleType) -> list[type]:
    context = module.Context()
    iterators = context.keys(), context.values(), context.items()
    return [module.ContextVar, module.Token, module.Context, *map(type, iterators)]


CLASS_PAIRS = [
    pytest.param(*pair, id=pair[0].__name__)
    for pair in zip(classes(native), classes(ctxvars), strict=True)
]


def description(thing: Any) -> dict[str, object]:
    names = ("__name__", "__text_signature__")
    return {
        "type": type(thing),
        "signature": outcome(lambda: inspect.signature(thing)),
        **{name: getattr(thing, name, None) for name in names},
    }


@pytest.mark.parametrize(("theirs", "ours"), CLASS_PAIRS)
def test_classes_look_like_those_of_the_standard_library(theirs: type, ours: type) -> None:
    names = ("__name__", "__qualname__", "__text_signature__", "__bases__", "__dictoffset__")
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name)
    assert type(ours) is type(theirs)
    assert normalised(repr(ours)) == normalised(repr(theirs))
    assert normalised(f"{ours.__module__}.") == normalised(f"{theirs.__module__}.")
    assert (ours.__weakrefoffset__ > 0) == (theirs.__weakrefoffset__ > 0)
    assert (ours.__flags__ ^ theirs.__flags__) & ~FLAGS_OF_THE_INTERPRETER == 0
    assert outcome(lambda: inspect.signature(ours)) == outcome(lambda: inspect.signature(theirs))


@pytest.mark.parametrize(("theirs", "ours"), CLASS_PAIRS)
def test_classes_have_the_attributes_of_the_standard_library(theirs: type, ours: type) -> None:
    additions = ADDITIONS.get(theirs.__name__, set())
    assert set(dir(ours)) - additions - STORED_ELSEWHERE == set(dir(theirs)) - STORED_ELSEWHERE
    assert set(vars(ours)) - additions - STORED_ELSEWHERE == set(vars(theirs)) - STORED_ELSEWHERE
    assert additions <= set(vars(ours))
    for name in sorted(set(vars(theirs)) - STORED_ELSEWHERE - {"__doc__"}):
        mine, other = vars(ours)[name], vars(theirs)[name]
        assert description(mine) == description(other), name
        assert normalised(repr(mine)) == normalised(repr(other))
        assert getattr(mine, "__qualname__", None) == getattr(other, "__qualname__", None)
        assert description(getattr(ours, name)) == description(getattr(theirs, name)), name


def test_copy_context_looks_like_that_of_the_standard_library() -> None:
    assert description(ctxvars.copy_context) == description(native.copy_context)
    for name in ("__qualname__", "__doc__"):
        assert hasattr(ctxvars.copy_context, name)
    assert ctxvars.copy_context.__qualname__ == native.copy_context.__qualname__
    ours, theirs = (
        getattr(it, "__self__", None) for it in (ctxvars.copy_context, native.copy_context)
    )
    assert type(ours) is type(theirs)
    assert ctxvars.copy_context.__module__ == "ctxvars"


def test_everything_public_has_a_docstring() -> None:
    for name in ctxvars.__all__:
        if name == "MISSING":
            continue  # the object of the standard library
        thing = getattr(ctxvars, name)
        assert thing.__doc__
        for attribute in vars(thing) if isinstance(thing, type) else ():
            if not attribute.startswith("_") and attribute != "MISSING":
                # The docstring of a dataclass describes its fields.
                described = inspect.getdoc(getattr(thing, attribute)) or thing.__doc__
                assert described != thing.__doc__ or attribute in described, attribute


def test_shim_has_exactly_the_names_of_the_standard_library() -> None:
    assert shim.__all__ == native.__all__
    public = [name for name in dir(shim) if not (name.startswith("__") and name.endswith("__"))]
    assert public == sorted(native.__all__)
    for name in native.__all__:
        assert getattr(shim, name) is getattr(ctxvars, name)


def test_missing_is_that_of_the_standard_library() -> None:
    assert ctxvars.MISSING is ctxvars.Token.MISSING is native.Token.MISSING
    assert repr(ctxvars.MISSING) == "<Token.MISSING>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_missing_is_pickled_and_copied_to_itself(protocol: int) -> None:
    for made in (
        pickle.loads(pickle.dumps(ctxvars.MISSING, protocol)),
        pickle.loads(pickle._dumps(ctxvars.MISSING, protocol)),  # type: ignore[attr-defined]
        copy.copy(ctxvars.MISSING),
        copy.deepcopy([ctxvars.MISSING])[0],
    ):
        assert made is ctxvars.MISSING


def test_context_is_a_mapping_on_all_versions() -> None:
    assert isinstance(ctxvars.Context(), collections.abc.Mapping)
    assert issubclass(ctxvars.Context, collections.abc.Mapping)


def test_token_is_a_context_manager_on_all_versions() -> None:
    var = ctxvars.ContextVar("var", default=0)
    token = var.set(1)
    with token as entered:
        assert entered is token
        assert var.get() == 1
    assert var.get() == 0

    def use_and_raise() -> None:
        with var.set(2):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        use_and_raise()
    assert var.get() == 0
    with pytest.raises(RuntimeError, match="has already been used once"):
        token.__exit__(None, None, None)


def depth() -> int:
    return len(inspect.stack(context=0))


def traceback_of_run(module: types.ModuleType) -> list[str]:
    try:
        module.Context().run(fail)
    except ArithmeticError as error:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    raise AssertionError


def test_run_adds_no_frame() -> None:
    assert ctxvars.Context().run(depth) == native.Context().run(depth)
    assert traceback_of_run(ctxvars) == traceback_of_run(native)


def enter_twice(module: types.ModuleType) -> tuple[str, ...]:
    context = module.Context()
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        leave.wait()

    thread = threading.Thread(target=context.run, args=(wait,))
    thread.start()
    entered.wait()
    try:
        return outcome(lambda: context.run(len, ""))
    finally:
        leave.set()
        thread.join()


def test_context_is_entered_by_one_thread() -> None:
    assert enter_twice(ctxvars) == enter_twice(native)
