"""`scope` and `ContextVar.scope`: several variables set in one step, and restored."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctxvars
from ctxvars import Context, ContextVar, Map, Scope, copy_context, scope
from tests.support.gc.values import SetsWhenFreed
from tests.support.loops import Loop

ALL = ONE, TWO, THREE = tuple(ContextVar[Any](name) for name in ("one", "two", "three"))


def now() -> dict[str, Any]:
    """The current values, by the names of their variables."""
    return {variable.name: variable.get() for variable in ALL if variable.is_set()}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    for variable in ALL:
        if variable.is_set():
            variable.delete()


SOURCES: dict[str, Callable[[], Any]] = {
    "dict": lambda: {ONE: 1, TWO: 2},
    "Map": lambda: Map({ONE: 1, TWO: 2}),
    "mapping": lambda: MappingProxyType({ONE: 1, TWO: 2}),
    "subclass of dict": lambda: type("Sub", (dict,), {})({ONE: 1, TWO: 2}),
    "context": lambda: Context().run(lambda: (ONE.set(1), TWO.set(2), copy_context())[2]),
    "tuples": lambda: [(ONE, 1), (TWO, 2)],
    "lists": lambda: ([ONE, 1], [TWO, 2]),
    "generator": lambda: (pair for pair in [(ONE, 1), (TWO, 2)]),
    "the last pair counts": lambda: [(ONE, 5), (TWO, 2), (ONE, 6), (ONE, 1)],
}


@pytest.mark.parametrize("source", SOURCES)
def test_values_are_set_and_restored(source: str) -> None:
    ONE.set("before")
    made = scope(SOURCES[source]())
    assert type(made) is Scope
    assert now() == {"one": "before"}
    with made as entered:
        assert entered is made
        assert now() == {"one": 1, "two": 2}
        assert (ONE.get(), TWO.get()) == (1, 2)
    assert now() == {"one": "before"}
    assert (ONE.get(), TWO.get(None)) == ("before", None)


def test_values_are_read_when_the_scope_is_made() -> None:
    values = {ONE: 1}
    made = scope(values)
    values[ONE] = values[TWO] = 2
    with made:
        assert now() == {"one": 1}


def test_the_scope_of_a_variable_sets_it() -> None:
    with ONE.scope(1), ONE.scope(2) as inner:
        assert type(inner) is Scope
        assert ONE.get() == 2
    assert now() == {}


def test_one_native_set_and_no_trace_of_it() -> None:
    """If no other variable was set, leaving restores the old bindings object."""

    def inside() -> None:
        ONE.set(1)
        before = copy_context().bindings
        with scope({ONE: 2, TWO: 3, THREE: 4}):
            pass
        assert copy_context().bindings is before

    Context().run(inside)


def test_other_changes_of_the_body_stay() -> None:
    ONE.set("before")
    with scope({ONE: 1, TWO: 2}):
        ONE.set("set by the body")
        TWO.delete()
        THREE.set("left behind")
    assert now() == {"one": "before", "three": "left behind"}


@pytest.mark.parametrize("exception", [ValueError, KeyboardInterrupt, GeneratorExit, SystemExit])
def test_a_body_that_raises_restores_as_one_that_returns(exception: type[BaseException]) -> None:
    ONE.set("before")

    def body() -> None:
        with scope({ONE: 1, TWO: 2}):
            THREE.set("left behind")
            raise exception

    with pytest.raises(exception):
        body()
    assert now() == {"one": "before", "three": "left behind"}


def test_scopes_nest_and_may_be_left_in_any_order() -> None:
    outer, inner = scope({ONE: 1, TWO: 1}), scope({TWO: 2, THREE: 2})
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    # Variables that only the inner scope sets still have its values.
    assert now() == {"three": 2}
    inner.__exit__(None, None, None)
    assert now() == {"two": 1}


def test_a_scope_may_be_entered_again_but_not_while_it_is_entered() -> None:
    made = scope({ONE: 1})
    for _ in range(3):
        with made:
            assert ONE.get() == 1
            with pytest.raises(RuntimeError, match="is entered already: make another one"):
                made.__enter__()
            assert "<Scope entered vars=[<ContextVar" in repr(made)
        assert ONE.get(None) is None
        assert repr(made).startswith("<Scope vars=[<ContextVar name='one' at 0x")
        with pytest.raises(RuntimeError, match="is not entered: use it in a with"):
            made.__exit__(None, None, None)


# Leaving a scope elsewhere than it was entered.


def entered_elsewhere(strict: bool = False) -> tuple[Scope, Context, Context]:
    """Return a scope, the context where it is entered, and a copy of it from inside the scope."""
    made, context = scope({ONE: 1, TWO: 2}, strict=strict), Context()

    def inside() -> Context:
        ONE.set("before")
        made.__enter__()
        return copy_context()

    return made, context, context.run(inside)


def test_a_copy_made_inside_is_restored() -> None:
    made, context, copy = entered_elsewhere()
    copy.run(THREE.set, 3)
    copy.run(made.__exit__, None, None, None)
    assert dict(copy) == {ONE: "before", THREE: 3}
    assert copy.run(ONE.get) == "before"
    # The entered context cannot be changed from here, and the scope has been left.
    assert dict(context) == {ONE: 1, TWO: 2}
    with made:
        assert now() == {"one": 1, "two": 2}
    assert now() == {}


def test_a_value_that_a_copy_has_set_stays() -> None:
    made, _, copy = entered_elsewhere()
    copy.run(ONE.set, "set in the copy")
    copy.run(made.__exit__, None, None, None)
    assert dict(copy) == {ONE: "set in the copy"}


def test_an_equal_value_is_not_that_of_the_scope() -> None:
    value, equal = [1], [1]
    made, other = ONE.scope(value), Context()
    made.__enter__()
    other.run(ONE.set, equal)
    other.run(made.__exit__, None, None, None)
    assert other[ONE] is equal
    ONE.delete()
    made.__enter__()
    other.run(ONE.set, value)
    other.run(made.__exit__, None, None, None)
    assert ONE not in other


def test_only_the_pair_that_counts_is_the_value_of_the_scope() -> None:
    first, last, other = object(), object(), Context()
    made = scope([(ONE, first), (ONE, last)])
    made.__enter__()
    other.run(ONE.set, first)
    other.run(made.__exit__, None, None, None)
    assert other[ONE] is first


def test_an_unrelated_context_is_left_alone() -> None:
    made, _, _ = entered_elsewhere()
    other = Context()
    other.run(made.__exit__, None, None, None)
    assert len(other) == len(other.native) == 0
    made, _, _ = entered_elsewhere()
    other.run(THREE.set, 3)
    before = other.bindings
    other.run(made.__exit__, None, None, None)
    assert other.bindings is before


def test_a_strict_scope_refuses_another_context() -> None:
    made, context, copy = entered_elsewhere(strict=True)
    for elsewhere in (copy, Context()):
        before = elsewhere.bindings
        with pytest.raises(ValueError, match=r"<Scope entered .* was entered in a different Cont"):
            elsewhere.run(made.__exit__, None, None, None)
        assert elsewhere.bindings is before
    # It is still entered where it was.
    context.run(made.__exit__, None, None, None)
    assert dict(context) == {ONE: "before"}
    bound = ONE.scope(1, strict=True)
    bound.__enter__()
    with pytest.raises(ValueError, match="in a different Context"):
        Context().run(bound.__exit__, None, None, None)
    bound.__exit__(None, None, None)


def test_an_async_generator_closed_in_another_task(loop: Loop) -> None:
    after: list[dict[str, Any]] = []

    async def streaming() -> Any:
        with scope({ONE: "streaming", TWO: 2}):
            yield ONE.get()

    async def main() -> None:
        generator = streaming()

        async def close() -> None:
            assert now() == {"one": "streaming", "two": 2}
            await generator.aclose()
            after.append(now())

        assert await anext(generator) == "streaming"
        assert ONE.get() == "streaming"  # a generator shares the context of its caller
        await loop.together(close)  # the task runs in a copy of it
        assert ONE.get() == "streaming"

    Context().run(loop.run, main())
    assert after == [{}]


def test_scopes_of_tasks_that_take_turns(loop: Loop) -> None:
    seen: list[tuple[Any, Any]] = []

    async def task(number: int) -> None:
        with scope({ONE: number, TWO: -number}):
            for _ in range(3):
                await loop.turn()
                seen.append((ONE.get(), TWO.get()))
        assert now() == {"one": "outside"}

    async def main() -> None:
        with ONE.scope("outside"):
            await loop.together(*(partial(task, number) for number in range(5)))
        assert now() == {}

    loop.run(main())
    assert sorted(seen) == [(number, -number) for number in range(5) for _ in range(3)]


def test_a_generator_closed_by_another_thread() -> None:
    def streaming() -> Iterator[Any]:
        with scope({ONE: "streaming"}):
            yield ONE.get()

    generator = streaming()
    assert Context().run(next, generator) == "streaming"
    thread = threading.Thread(target=generator.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert now() == {}


def test_threads_and_tasks_may_share_the_values_but_not_the_scope() -> None:
    made = scope({ONE: 1})
    with made:
        with pytest.raises(RuntimeError, match="is entered already"):
            Context().run(made.__enter__)
        assert ONE.get() == 1


# Arguments.


class Broken(Mapping[Any, Any]):
    """A mapping one of whose methods fails."""

    def __init__(self, *keys: Any) -> None:
        self.all_keys = keys

    def __getitem__(self, key: Any) -> Any:
        raise ZeroDivisionError

    def __iter__(self) -> Iterator[Any]:
        yield from self.all_keys

    def __len__(self) -> int:
        return 1


NATIVE = contextvars.ContextVar[int]("native")
BAD_VALUES: dict[str, tuple[Any, type[Exception], str]] = {
    "int": (1, TypeError, "scope() argument 'values' must be a mapping or an iterable of pairs"),
    "None": (None, TypeError, "scope() argument 'values' must be a mapping or an iterable"),
    "name": ({"one": 1}, TypeError, "must have context variables as keys, got 'one'"),
    "name in a pair": ([("one", 1)], TypeError, "must have context variables as keys, got 'one'"),
    "unhashable": ([([], 1)], TypeError, "must have context variables as keys, got []"),
    "native": ({NATIVE: 1}, TypeError, "must have context variables as keys, got <ContextVar"),
    "second key": ({ONE: 1, 2: 2}, TypeError, "must have context variables as keys, got 2"),
    "key of a Map": (Map(a=1), TypeError, "must have context variables as keys, got 'a'"),
    "no pair": ([ONE], TypeError, "cannot convert scope sequence element #0 to a sequence"),
    "long": ([(ONE, 1, 1)], ValueError, "scope sequence element #0 has length 3; 2 is required"),
    "late": ([(ONE, 1), ()], ValueError, "scope sequence element #1 has length 0; 2 is required"),
    "fails": (Broken(ONE), ZeroDivisionError, ""),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_wrong_values_are_refused(case: str) -> None:
    values, exception, message = BAD_VALUES[case]
    with pytest.raises(exception) as raised:
        scope(values)
    assert message in str(raised.value)
    assert now() == {}


def test_wrong_calls_are_refused() -> None:
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: scope(), "scope expected 1 argument, got 0"),  # type: ignore[call-arg]
        (lambda: scope({ONE: 1}, True), "scope expected 1 argument, got 2"),  # type: ignore[misc]
        (lambda: scope({ONE: 1}, stric=1), "unexpected keyword argument 'stric'"),  # type: ignore[call-arg]
        (lambda: ONE.scope(), "scope expected 1 argument, got 0"),  # type: ignore[call-arg]
        (lambda: ONE.scope(1, s=1), r"scope\(\) got an unexpected keyword"),  # type: ignore[call-arg]
        (lambda: Scope(), "cannot create 'ctxvars.Scope' instances"),
        (lambda: type("Sub", (Scope,), {}), "not an acceptable base type"),
        (lambda: ONE.scope(1).__exit__(), "__exit__ expected 3 arguments, got 0"),  # type: ignore[call-arg]
        (lambda: hash(ONE.scope(1)), "unhashable type: 'ctxvars.Scope'"),
        (lambda: ONE.scope(1).__reduce__(), "cannot pickle 'ctxvars.Scope' object"),
    ]
    for call, message in calls:
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(ZeroDivisionError):
        scope({ONE: 1}, strict=NoTruth())  # type: ignore[arg-type]


class NoTruth:
    def __bool__(self) -> bool:
        raise ZeroDivisionError


# Against a model, and hostile values.

VARIABLES = [ContextVar[int](f"v{number}") for number in range(20)]
NUMBERS = st.integers(0, len(VARIABLES) - 1)
VALUES = st.dictionaries(NUMBERS, st.integers(), min_size=1)
STEPS = st.recursive(
    st.tuples(NUMBERS, st.integers()),
    lambda inner: st.tuples(VALUES, st.lists(inner, max_size=5)),
    max_leaves=20,
)


def play(steps: list[Any], model: dict[int, int]) -> None:
    """Set variables, one by one or in nested scopes, and compare with a dict."""
    for first, second in steps:
        if isinstance(first, int):
            VARIABLES[first].set(second)
            model[first] = second
        else:
            before = dict(model)
            with scope({VARIABLES[number]: value for number, value in first.items()}):
                model |= first
                play(second, model)
            for number in first:
                model.pop(number, None)
                if number in before:
                    model[number] = before[number]
        assert copy_context().bindings == {VARIABLES[key]: model[key] for key in model}
        for number, variable in enumerate(VARIABLES):
            assert variable.get(None) == model.get(number)


@given(st.lists(STEPS, max_size=8))
def test_random_scopes(steps: list[Any]) -> None:
    Context().run(play, steps, {})


def test_a_mapping_that_changes_what_it_is_read_from() -> None:
    class Sets(dict[Any, Any]):
        def keys(self) -> Any:
            ONE.set("set while it is read")
            return [*super().keys(), ONE]

        def __getitem__(self, key: object) -> object:
            self.clear()
            return "made up"

    with scope(Sets({TWO: 2})):
        assert now() == {"one": "made up", "two": "made up"}
    assert now() == {"one": "set while it is read"}


def test_values_that_set_variables_when_they_are_freed() -> None:
    # The body sets the value, which is freed when the scope is left.
    with scope({ONE: 1, TWO: 2}):
        ONE.set(SetsWhenFreed(THREE))
    assert now() == {"three": "set by a finaliser"}
    THREE.delete()
    # The value belongs to the scope, and is freed with it.
    with scope({ONE: SetsWhenFreed(TWO)}):
        pass
    assert now() == {"two": "set by a finaliser"}


def test_a_finaliser_that_leaves_and_enters_the_scope() -> None:
    made = scope({ONE: 1})
    seen: list[Any] = []

    class Meddles:
        def __del__(self) -> None:
            with pytest.raises(RuntimeError, match="is not entered"):
                made.__exit__(None, None, None)
            with made:
                seen.append(now())

    with made:
        ONE.set(Meddles())
    assert seen == [{"one": 1}]
    assert now() == {}


def test_the_root_set_by_other_code() -> None:
    def inside() -> None:
        made = scope({ONE: 1})
        made.__enter__()
        (root,) = copy_context().native
        bindings = contextvars.copy_context()[root]
        root.set("no bindings")
        for use in (made.__exit__, lambda *_: ctxvars.scope({TWO: 2}).__enter__()):
            with pytest.raises(RuntimeError, match="set by other code"):
                use(None, None, None)
        root.set(bindings)
        made.__exit__(None, None, None)
        assert now() == {}

    Context().run(inside)


def test_scopes_hold_what_they_set_and_nothing_more() -> None:
    import sys

    value, variable = object(), ContextVar[object]("v")
    counts = sys.getrefcount(value), sys.getrefcount(variable)
    for _ in range(100):
        with scope({variable: value}), variable.scope(value):
            variable.set(None)
        with pytest.raises(ZeroDivisionError):
            scope(pair for pair in [(variable, value), (variable, 1 / 0)])
        made = scope([(variable, value)] * 3)
        context = Context()
        context.run(made.__enter__)
        Context().run(made.__exit__, None, None, None)
        del made, context
    gc.collect()
    assert (sys.getrefcount(value), sys.getrefcount(variable)) == counts
