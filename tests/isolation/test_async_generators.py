"""Isolated async generators, and how loops or the collector end those that are not exhausted."""

from __future__ import annotations

import contextvars as native
import gc
import inspect
import sys
import types
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from ctxvars import isolated
from tests.support.builds import FREE_THREADED
from tests.support.isolation.loopless import Paused, drive
from tests.support.isolation.user_variables import UNSET, Seen, both, native_user, set_both, user
from tests.support.loops import Loop
from tests.support.parity import outcome

pytestmark = pytest.mark.usefixtures("users_are_unset_afterwards")


def echo(
    turn: Callable[[], Awaitable[object]], ended: list[Seen] | None = None
) -> AsyncGenerator[Any, Any]:
    return echo_named("Ada", turn, ended)


async def echo_named(
    name: str, turn: Callable[[], Awaitable[object]], ended: list[Seen] | None
) -> AsyncGenerator[Any, Any]:
    """Set the variables, yield each value sent, and record the current values at the end."""
    await turn()
    set_both(name)
    sent = None
    try:
        while True:
            try:
                sent = yield sent, both()
            except KeyError as error:
                sent = repr(error)
            await turn()
            if isinstance(sent, str):
                set_both(sent)
    finally:
        # Not in the `finally` block, because trio cancels generators that it ends.
        if ended is not None:
            ended.append(both())
        await turn()


def test_each_operation_runs_in_its_context(loop: Loop) -> None:
    ended: list[Seen] = []

    async def main() -> None:
        generator = isolated(echo(loop.turn, ended))
        assert await anext(generator) == (None, ("Ada", "Ada"))
        assert both() == UNSET
        assert await generator.asend("Bob") == ("Bob", ("Bob", "Bob"))
        assert await generator.athrow(KeyError(1)) == ("KeyError(1)", ("KeyError(1)",) * 2)
        assert await generator.__anext__() == (None, ("KeyError(1)",) * 2)
        await generator.aclose()
        assert ended == [("KeyError(1)", "KeyError(1)")]
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)
        assert both() == UNSET

    loop.run(main())


def test_without_isolation_it_is_seen(loop: Loop) -> None:
    """The test above would fail otherwise."""

    async def main() -> None:
        generator = echo(loop.turn)
        await anext(generator)
        assert both() == ("Ada", "Ada")
        await generator.aclose()

    loop.run(main())


def test_an_isolated_function_makes_isolated_generators(loop: Loop) -> None:
    @isolated
    async def numbers(count: int) -> AsyncGenerator[int, None]:
        for number in range(count):
            set_both(str(number))
            await loop.turn()
            yield number
            assert both() == (str(number), str(number))

    async def main() -> None:
        seen = []
        async for number in numbers(3):
            assert both() == UNSET
            seen.append(number)
        assert seen == [0, 1, 2]

    assert inspect.isasyncgenfunction(numbers)
    loop.run(main())


# trio warns about such generators, and advises to close them.
warned_of = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected")


@warned_of
def test_a_loop_ends_what_was_left_by_break(loop: Loop) -> None:
    ended: list[Seen] = []

    async def main() -> None:
        async for _ in isolated(echo(loop.turn, ended)):
            break
        gc.collect()
        for _ in range(10):
            await loop.turn()
        assert ended == [("Ada", "Ada")]

    loop.run(main())


@warned_of
def test_a_loop_ends_what_the_collector_finds(loop: Loop) -> None:
    ended: list[Seen] = []

    async def main() -> None:
        generator = isolated(echo(loop.turn, ended))
        await anext(generator)
        cycle = [generator]
        cycle.append(cycle)  # type: ignore[arg-type]
        dead = weakref.ref(generator)
        del generator, cycle
        gc.collect()
        for _ in range(10):
            await loop.turn()
        gc.collect()
        assert ended == [("Ada", "Ada")]
        assert dead() is None

    loop.run(main())


def test_a_loop_ends_what_is_left_when_it_closes(loop: Loop) -> None:
    ended: list[Seen] = []
    generators = []

    async def main() -> None:
        generators.append(isolated(echo(loop.turn, ended)))
        await anext(generators[0])

    loop.run(main())
    assert ended == [("Ada", "Ada")]
    with pytest.raises(StopAsyncIteration):
        generators[0].asend(None).send(None)


def bare(body: Any) -> Any:
    return body


def test_without_a_loop_the_collector_ends_it_in_its_context() -> None:
    ended: list[Seen] = []

    async def body() -> AsyncGenerator[None, None]:
        set_both("Ada")
        try:
            yield
        finally:
            ended.append(both())

    generator = isolated(body())
    drive(generator.asend(None))
    del generator
    assert ended == [("Ada", "Ada")]

    generator = isolated(body())
    drive(generator.asend(None))
    cycle = [generator]
    cycle.append(cycle)  # type: ignore[arg-type]
    del generator, cycle
    gc.collect()
    assert len(ended) == 2
    # The collector of a free-threaded build has no order, and may have ended the original first.
    assert FREE_THREADED or ended[1] == ("Ada", "Ada")


class Hooked:
    """Hooks of a loop that record their arguments while the object is entered."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.dropped: list[Any] = []

    def __enter__(self) -> Hooked:
        self.before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self.begun.append, self.dropped.append)
        self.hooks = sys.get_asyncgen_hooks()
        return self

    def __exit__(self, *_: object) -> None:
        assert sys.get_asyncgen_hooks() == self.hooks
        sys.set_asyncgen_hooks(*self.before)


@pytest.mark.parametrize("wrap", [bare, isolated])
@pytest.mark.parametrize(
    "first",
    [
        lambda generator: anext(generator),
        lambda generator: generator.asend(None),
        lambda generator: generator.athrow(KeyError()),
        lambda generator: generator.aclose(),
    ],
    ids=["anext", "asend", "athrow", "aclose"],
)
def test_hooks_are_those_of_the_first_operation(wrap: Any, first: Any) -> None:
    with Hooked() as hooked:
        generator = wrap(echo(Paused))
        assert hooked.begun == []
        operation = first(generator)
        assert hooked.begun == [generator]
        operation.close()
    with Hooked() as others:
        generator.asend(None).close()
    assert others.begun == []
    hooked.begun.clear()
    del generator
    gc.collect()
    assert others.dropped == []


@pytest.mark.parametrize("wrap", [bare, isolated])
def test_a_dropped_one_is_given_to_the_finalizer_once(wrap: Any) -> None:
    ended: list[Seen] = []
    with Hooked() as hooked:
        generator = wrap(echo(Paused, ended))
        drive(generator.asend(None))
        kind = type(generator)
        hooked.begun.clear()
        del generator
        assert [type(each) for each in hooked.dropped] == [kind]
        drive(hooked.dropped.pop().aclose())
        assert ended == [("Ada", "Ada")]
        assert hooked.dropped == []

        exhausted = wrap(echo(Paused))
        drive(exhausted.asend(None))
        drive(exhausted.aclose())
        del exhausted
        never_begun = wrap(echo(Paused))
        del never_begun
        assert hooked.dropped == []
    native_user.set("nobody")
    user.set("nobody")


@pytest.mark.parametrize("wrap", [bare, isolated])
def test_a_finalizer_that_does_nothing(wrap: Any) -> None:
    ended: list[Seen] = []
    with Hooked() as hooked:
        generator = wrap(echo(Paused, ended))
        native.copy_context().run(drive, generator.asend(None))
        hooked.begun.clear()
        del generator
        hooked.dropped.clear()
        gc.collect()
        assert hooked.dropped == []
        assert ended == []


def dropped_operations(wrap: Any) -> list[int]:
    """How many generators the finalizer gets after an unfinished operation was dropped."""
    counts = []
    operations: list[Callable[[Any], Any]] = [
        lambda generator: generator.asend(None),
        lambda generator: generator.aclose(),
    ]
    for operation in operations:
        for is_begun in (False, True):
            with Hooked() as hooked:
                generator = wrap(echo(Paused))
                native.copy_context().run(drive, generator.asend(None))
                hooked.begun.clear()
                begun = operation(generator)
                if is_begun:
                    native.copy_context().run(begun.send, None)
                del begun, generator
                gc.collect()
                counts.append(len(hooked.dropped))
                hooked.dropped.clear()
    return counts


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine method .* was never awaited:RuntimeWarning")
def test_operations_that_are_dropped() -> None:
    assert dropped_operations(isolated) == dropped_operations(bare) == [1, 1, 1, 0]


@pytest.mark.parametrize("wrap", [bare, isolated])
def test_hooks_that_raise(wrap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: unraisable.append(it.exc_value))

    def fail(_: object) -> None:
        raise ZeroDivisionError

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=fail, finalizer=fail)
    try:
        generator = wrap(echo(Paused))
        with pytest.raises(ZeroDivisionError):
            generator.asend(None)
        native.copy_context().run(drive, generator.asend(None))
        del generator
        gc.collect()
        assert [type(error) for error in unraisable] == [ZeroDivisionError]
        hooks = sys.get_asyncgen_hooks()
        assert (hooks.firstiter, hooks.finalizer) == (fail, fail)
    finally:
        sys.set_asyncgen_hooks(*before)


@pytest.mark.parametrize("wrap", [bare, isolated])
def test_hooks_that_make_operations_and_change_hooks(wrap: Any) -> None:
    begun: list[Any] = []

    def firstiter(generator: Any) -> None:
        begun.append(generator)
        if len(begun) == 1:
            others.append(wrap(echo(Paused)))
            others[0].asend(None).close()
        else:
            sys.set_asyncgen_hooks(firstiter=None)

    others: list[Any] = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=firstiter)
    try:
        generator = wrap(echo(Paused))
        generator.asend(None).close()
        assert begun == [generator, others[0]]
        assert sys.get_asyncgen_hooks().firstiter is None
    finally:
        sys.set_asyncgen_hooks(*before)


def test_one_that_was_begun_before() -> None:
    """Its hooks have been called with the original. The proxy can still resume it."""
    ended: list[Seen] = []
    with Hooked() as hooked:
        original = echo(Paused, ended)
        native.copy_context().run(drive, original.asend(None))
        generator = isolated(original)
        assert drive(generator.asend("Bob")) == ("Bob", ("Bob", "Bob"))
        assert hooked.begun == [original]
        drive(generator.aclose())
        assert ended == [("Bob", "Bob")]


def test_operations_overlap_as_those_of_the_original() -> None:
    async def body() -> AsyncGenerator[str, None]:
        # Some versions leave it suspended, so it must be able to end without awaiting.
        await Paused()
        try:
            yield "first"
        except KeyError as error:
            yield repr(error)

    def run(wrap: Any) -> list[object]:
        generator = wrap(body())
        first = generator.asend(None)
        assert first.send(None) == "paused"
        return [
            outcome(lambda: generator.asend(None).send(None)),
            outcome(lambda: generator.aclose().send(None)),
            outcome(lambda: wrap(generator)),
            outcome(lambda: drive(first)),
            outcome(lambda: first.send(None)),
            outcome(lambda: generator.asend(None).throw(KeyError(1))),
            outcome(lambda: drive(generator.aclose())),
            outcome(lambda: drive(generator.asend(None))),
        ]

    proxy, original = run(isolated), native.copy_context().run(run, bare)
    assert "is running already" in str(proxy.pop(2))
    original.pop(2)
    assert proxy == original


def test_a_step_inside_of_a_step() -> None:
    def run(wrap: Any) -> object:
        async def body() -> AsyncGenerator[None, None]:
            generator.asend(None).send(None)
            yield

        generator = wrap(body())
        return outcome(lambda: drive(generator.asend(None)))

    assert run(isolated) == run(bare)
    assert "is already running" in str(run(isolated))


def test_a_proxy_passes_type_checks_and_attributes_to_the_original() -> None:
    generator = isolated(echo(Paused))
    assert isinstance(generator, types.AsyncGeneratorType)
    assert isinstance(generator, AsyncGenerator)
    assert inspect.isasyncgen(generator)
    assert not inspect.isawaitable(generator)
    assert generator.__name__ == "echo_named"
    assert generator.ag_frame.f_locals["name"] == "Ada"
    assert aiter(generator) is generator
    assert repr(generator).startswith("<isolated <async_generator object echo_named at 0x")
    operation = generator.asend(None)
    assert inspect.isawaitable(operation)
    assert isinstance(operation, Coroutine)
    assert type(operation).__name__ == "isolated_awaitable"
    of_the_original = echo(Paused).asend(None)
    assert operation.__class__ is type(of_the_original)
    of_the_original.close()
    assert iter(operation) is operation  # type: ignore[call-overload]
    assert next(operation) == "paused"  # type: ignore[call-overload]
    assert generator.ag_running
    operation.close()


def test_the_context_is_that_of_the_first_step() -> None:
    async def body() -> AsyncGenerator[Seen, None]:
        yield both()
        yield both()

    def run() -> None:
        generator = isolated(body())
        operation = generator.asend(None)
        set_both("first step")
        assert drive(operation) == ("first step", "first step")
        set_both("second step")
        assert drive(generator.asend(None)) == ("first step", "first step")

    native.copy_context().run(run)
