"""`isolated(..., inherit="live")`: variables that the body has not set follow the caller."""

from __future__ import annotations

import asyncio
import contextvars as native
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from types import ModuleType
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ctxvars
from ctxvars import isolated

MODULES = [native, ctxvars]
MANY = 100
OURS = [ctxvars.ContextVar[Any](f"ours {number}") for number in range(4)]
NATIVES = [native.ContextVar[int](f"native {number}") for number in range(4)]


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__)
def variables(request: pytest.FixtureRequest) -> list[Any]:
    """Three variables of either module, in a context that has many more."""
    module: ModuleType = request.param
    return [module.ContextVar(name, default="default") for name in "abc"]


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Start each test with many variables, and reset them at its end."""
    tokens = [
        (variable, variable.set(number))
        for module in MODULES
        for number in range(MANY)
        for variable in [module.ContextVar(f"filler {number}")]
    ]
    yield
    for variable, token in reversed(tokens):
        variable.reset(token)


Commands = Generator[Any, Callable[[], Any], None]


def commanded() -> Commands:
    """Call each function sent, and yield its result."""
    result = None
    while True:
        command = yield result
        result = command()


def begun(inherit: Literal["once", "live"] = "live") -> Commands:
    body = isolated(commanded, inherit=inherit)()
    next(body)
    return body


def test_variables_that_the_body_has_not_set_follow_the_caller(variables: list[Any]) -> None:
    a, b, _ = variables
    body = begun()
    with_tokens = [a.set("caller")]
    assert body.send(a.get) == "caller"
    body.send(lambda: b.set("body"))
    with_tokens.append(b.set("caller"))
    assert [body.send(each.get) for each in variables] == ["caller", "body", "default"]
    with_tokens.append(a.set("again"))
    assert body.send(a.get) == "again"
    assert [each.get() for each in variables] == ["again", "caller", "default"]
    a.reset(with_tokens[2])
    assert body.send(a.get) == "caller"
    b.reset(with_tokens[1])
    a.reset(with_tokens[0])


def test_without_the_option_the_body_does_not_follow(variables: list[Any]) -> None:
    a, *_ = variables
    body = begun("once")
    token = a.set("caller")
    assert body.send(a.get) == "default"
    a.reset(token)


def test_a_value_that_the_caller_unsets_is_unset_in_the_body(variables: list[Any]) -> None:
    a, *_ = variables
    body = begun()
    token = a.set("caller")
    assert body.send(a.get) == "caller"
    a.reset(token)
    assert body.send(a.get) == "default"
    assert body.send(lambda: a.get("no value")) == "no value"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_a_value_from_before_the_first_step_can_be_unset_unless_it_is_native(
    module: ModuleType,
) -> None:
    """A native context cannot unset a variable. Our variables are part of the root, and can."""
    variable = module.ContextVar("variable", default="default")
    token = variable.set("at the beginning")
    body = begun()
    variable.reset(token)
    expected = "at the beginning" if module is native else "default"
    assert body.send(variable.get) == expected
    token = variable.set("again")
    assert body.send(variable.get) == "again"
    variable.reset(token)


def test_a_variable_that_the_body_resets_follows_the_caller_again(variables: list[Any]) -> None:
    a, *_ = variables
    body = begun()
    first = a.set("first")
    token = body.send(lambda: a.set("body"))
    second = a.set("second")
    assert body.send(a.get) == "body"
    body.send(lambda: a.reset(token))
    assert body.send(a.get) == "second"
    a.reset(second)
    assert body.send(a.get) == "first"
    a.reset(first)


def seen_around_a_change(
    body: Callable[[], Iterator[Any]],
    change: Callable[[Any], object] = lambda _: OURS[0].set("new"),
) -> list[Any]:
    """Return the values that a live body yields, and the value of its caller at the end.

    The caller sets the variable, and changes it after the first step: `change` gets the token.
    """

    def caller() -> list[Any]:
        token = OURS[0].set("old")
        steps = isolated(inherit="live")(body)()
        first = next(steps)
        change(token)
        return [first, *steps, OURS[0].get()]

    return native.copy_context().run(caller)


class Settable:
    """A scope that sets the variable when it is entered, not when it is created."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __enter__(self) -> None:
        self.token = OURS[0].set(self.value)

    def __exit__(self, *_: object) -> None:
        OURS[0].reset(self.token)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OURS[0].scope("inside"),
        lambda: ctxvars.scope({OURS[0]: "inside", OURS[1]: "inside"}),
        lambda: Settable("inside"),
    ],
    ids=["bind", "scope", "token"],
)
@pytest.mark.parametrize("others", [0, 20])
def test_a_variable_follows_in_the_step_in_which_its_binding_ends(make: Any, others: int) -> None:
    def body() -> Iterator[Any]:
        with make():
            yield OURS[0].get()
        yield OURS[0].get()
        yield OURS[0].get()

    def set_it_and_others(_: Any) -> None:
        OURS[0].set("new")
        for number in range(others):
            ctxvars.ContextVar[int](f"other {number}").set(number)

    assert seen_around_a_change(body, set_it_and_others) == ["inside", "new", "new", "new"]


def test_inner_bindings_end_before_the_variable_follows() -> None:
    def body() -> Iterator[Any]:
        outer = OURS[0].set("outer")
        inner = OURS[0].set("inner")
        yield OURS[0].get()
        OURS[0].reset(inner)
        yield OURS[0].get()
        OURS[0].reset(outer)
        yield OURS[0].get()

    assert seen_around_a_change(body) == ["inner", "outer", "new", "new"]


def test_a_value_that_the_caller_unsets_is_unset_when_the_binding_ends() -> None:
    seen = []

    def body() -> Iterator[None]:
        with OURS[0].scope("inside"):
            seen.append(OURS[0].get())
            yield
        OURS[0].get()

    with pytest.raises(LookupError):
        seen_around_a_change(body, OURS[0].reset)
    assert seen == ["inside"]


def test_a_copy_of_the_context_of_a_live_body_does_not_follow() -> None:
    """A reset in another context does not end a binding of the body."""

    def set_and_reset() -> Any:
        OURS[0].reset(OURS[0].set("in the copy"))
        return OURS[0].get()

    def body() -> Iterator[Any]:
        with OURS[0].scope("inside"):
            yield None
            yield ctxvars.copy_context().run(set_and_reset)
        yield OURS[0].get()

    assert seen_around_a_change(body) == [None, "inside", "new", "new"]


def test_each_of_nested_live_bodies_follows_its_own_caller() -> None:
    def inner() -> Iterator[Any]:
        with OURS[0].scope("inner"):
            yield
        yield OURS[0].get()

    def outer() -> Iterator[Any]:
        steps = isolated(inherit="live")(inner)()
        with OURS[0].scope("outer"):
            next(steps)
            yield
            seen = next(steps)
        yield seen, OURS[0].get()

    assert seen_around_a_change(outer) == [None, ("outer", "new"), "new"]


def test_values_that_are_freed_when_a_variable_follows_again() -> None:
    seen = []

    class Reads:
        def __del__(self) -> None:
            seen.append(OURS[0].get())

    def body() -> Iterator[Any]:
        with OURS[0].scope("inside"):
            yield
        yield OURS[0].get()

    def caller() -> list[Any]:
        OURS[0].set(Reads())
        steps = isolated(inherit="live")(body)()
        next(steps)
        OURS[0].set("new")
        return [*steps]

    assert native.copy_context().run(caller) == ["new"]
    assert set(seen) <= {"new"}


def test_a_value_that_body_and_caller_have_set_belongs_to_the_body(variables: list[Any]) -> None:
    a, *_ = variables
    body = begun()
    body.send(lambda: a.set("same"))
    token = a.set("same")
    assert body.send(a.get) == "same"
    a.reset(token)
    token = a.set("other")
    assert body.send(a.get) == "same"
    a.reset(token)


def test_each_step_follows_its_caller(variables: list[Any]) -> None:
    a, b, _ = variables
    body = begun()
    one, other = native.copy_context(), native.copy_context()
    one.run(a.set, "one")
    other.run(b.set, "other")
    for _ in range(2):
        assert one.run(body.send, a.get) == "one"
        assert one.run(body.send, b.get) == "default"
        assert other.run(body.send, a.get) == "default"
        assert other.run(body.send, b.get) == "other"


def test_nested_bodies_follow_one_another(variables: list[Any]) -> None:
    a, b, _ = variables
    outer, inner = begun(), begun()
    token = a.set("caller")
    assert outer.send(lambda: inner.send(a.get)) == "caller"
    outer.send(lambda: b.set("outer"))
    assert outer.send(lambda: inner.send(b.get)) == "outer"
    assert inner.send(b.get) == "default"
    a.reset(token)


def test_async_generators_and_coroutines(variables: list[Any]) -> None:
    a, *_ = variables

    @isolated(inherit="live")
    async def body() -> AsyncGenerator[str, None]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield a.get()
        a.set("body")
        yield a.get()

    @isolated(inherit="live")
    async def coroutine() -> list[str]:
        return [each async for each in body()]

    async def main() -> list[str]:
        seen = []
        generator = body()
        for name in ("first", "second", "third", "fourth"):
            a.set(name)
            seen.append(await anext(generator))
            assert a.get() == name
        assert await coroutine() == ["fourth"] * 3 + ["body"]
        return seen

    assert asyncio.run(main()) == ["first", "second", "third", "body"]


@pytest.mark.parametrize("wrong", ["lively", None, 1, []], ids=repr)
def test_other_values_of_inherit_are_refused(wrong: Any) -> None:
    message = r"^isolated\(\) argument 'inherit' must be 'once' or 'live', got "
    with pytest.raises(ValueError, match=message):
        isolated(inherit=wrong)
    with pytest.raises(ValueError, match=message):
        isolated(len, inherit=wrong)


def test_a_given_context_cannot_follow() -> None:
    with pytest.raises(ValueError, match="in a context that is given cannot follow its caller"):
        ctxvars._core.isolate(commanded(), ctxvars.Context(), True)


def test_values_whose_deallocation_sets_variables() -> None:
    a = ctxvars.ContextVar[Any]("a", default="default")
    b = ctxvars.ContextVar[Any]("b", default="default")

    class SetsWhenFreed:
        def __del__(self) -> None:
            b.set("freed")

    def run() -> None:
        body = begun()
        a.set(SetsWhenFreed())
        body.send(a.get)
        a.set("other")
        assert body.send(a.get) == "other"
        assert "freed" in (b.get(), body.send(b.get))

    native.copy_context().run(run)


def test_inherited_values_are_collected_with_the_body(variables: list[Any]) -> None:
    class Holder:
        held: Any = None

    a, b, _ = variables

    def run() -> weakref.ref[Holder]:
        holder = Holder()
        a.set(holder)
        holder.held = begun()
        b.set([holder])
        holder.held.send(b.get)
        return weakref.ref(holder)

    dead = native.copy_context().run(run)
    gc.collect()
    assert dead() is None


VARIABLES: list[Any] = [*OURS, *NATIVES]
# Whether the body acts (or the caller), the variable, and the value. `None` is a reset.
ACTIONS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(VARIABLES), st.none() | st.integers(0, 2)), max_size=40
)


class Party:
    """The caller or the body, with its tokens in order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokens: dict[Any, list[Any]] = {variable: [] for variable in VARIABLES}

    def act(self, variable: Any, value: int | None) -> None:
        if value is not None:
            # New values only: a body that sets the object that it inherits cannot be detected.
            self.tokens[variable].append(variable.set((self.name, value)))
        elif self.tokens[variable]:
            variable.reset(self.tokens[variable].pop())


@settings(deadline=None)
@given(ACTIONS)
def test_random_actions_agree_with_a_model(actions: list[tuple[bool, Any, int | None]]) -> None:
    """The body sees its last value, or else that of the caller."""

    def run() -> None:
        for variable in VARIABLES:
            variable.set(-1)  # so that a reset never unsets an inherited value
        body, caller, own = begun(), Party("caller"), Party("body")
        for is_body, variable, value in actions:
            if is_body:

                def act(variable: Any = variable, value: int | None = value) -> Any:
                    own.act(variable, value)
                    return variable.get()

                seen = body.send(act)
                if variable in OURS and not own.tokens[variable]:
                    assert seen == variable.get()  # at once, not at the next step
            else:
                caller.act(variable, value)
            for each in VARIABLES:
                seen = body.send(each.get)
                if own.tokens[each]:
                    assert seen[0] == "body"
                else:
                    assert seen == each.get()

    native.copy_context().run(run)


def test_a_dropped_body_does_not_follow_the_code_that_drops_it(variables: list[Any]) -> None:
    """The last step has no caller: the code that the collector interrupts is not the caller."""
    a, *_ = variables
    seen: list[Any] = []

    @isolated(inherit="live")
    def body() -> Iterator[None]:
        try:
            yield
            yield
        finally:
            seen.append(a.get())

    def caller() -> list[Any]:
        a.set("caller")
        made = body()
        next(made)
        a.set("caller, later")
        next(made)
        return [made]

    held = native.copy_context().run(caller)
    other = native.copy_context()
    other.run(a.set, "the code that drops it")
    other.run(held.clear)
    assert seen == ["caller, later"]
