"""`retained` finds each kind of keeper, and does not run code of the program."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

import ctxvars
from ctxvars import ContextVar, Keeper, retained
from ctxvars._diagnosis.keepers import function_name
from tests.support.new_context import in_new_context
from tests.support.programs import RUN, python

user: ContextVar[Any] = ContextVar("user")


class Value:
    """A value that is kept alive."""


def found(thing: Any) -> dict[str, Keeper]:
    """Return the keepers by kind, without the coroutines that ask for them."""
    keepers = [it for it in retained(thing).keepers if "found_in_loop" not in it.description]
    return {keeper.kind: keeper for keeper in keepers}


def kept_by(keep: Callable[[Value], object]) -> dict[str, Keeper]:
    """Return the keepers of a value that the function keeps, in a context that has been left."""
    value = Value()

    def set_and_keep() -> object:
        token = user.set(value)
        result = keep(value)
        # What it keeps may be a copy of the context; this one does not have the value any more.
        user.reset(token)
        del token
        return result

    kept = in_new_context(set_and_keep)
    keepers = found(value)
    assert kept is not None
    return keepers


def test_nothing_keeps_a_local_variable() -> None:
    value = Value()
    result = retained(value)
    assert result.keepers == ()
    assert str(result).splitlines()[1:] == ["  kept by running code, or by C code, only"]


def test_a_snapshot() -> None:
    keepers = kept_by(lambda _: [ctxvars.snapshot()][0])
    assert keepers["snapshot"].path[0] == "ctxvars.Context"


@pytest.mark.parametrize("copy", [ctxvars.copy_context, contextvars.copy_context])
def test_another_context(copy: Callable[[], Any]) -> None:
    assert "context" in kept_by(lambda _: copy())


def test_a_token() -> None:
    def keep(_: Value) -> object:
        return user.set("other")

    value = Value()

    def run() -> None:
        user.set(value)
        token = user.set("other")
        keepers = found(value)
        assert keepers["token"].description == "of 'user'"
        assert token.old_value is value

    in_new_context(run)


def test_a_token_of_the_standard_library() -> None:
    variable: contextvars.ContextVar[Any] = contextvars.ContextVar("native")
    value = Value()

    def run() -> contextvars.Token[Any]:
        variable.set(value)
        return variable.set("other")

    token = in_new_context(run)
    assert found(value)["token"].description == "of 'native'"
    assert token.old_value is value


def test_a_scope() -> None:
    value = Value()
    scope = user.scope(value)
    assert found(value)["scope"].description == "that is not entered"
    with scope:
        assert found(value)["scope"].description == "that is entered"


def test_a_bound_function() -> None:
    assert kept_by(lambda _: ctxvars.bind(len))["isolated"].description == "function"


def test_an_isolated_generator() -> None:
    @ctxvars.isolated
    def rows() -> Iterator[None]:
        yield

    def start(_: Value) -> object:
        body = rows()
        next(body)
        return body

    assert kept_by(start)["isolated"].description == "generator"


def test_a_generator() -> None:
    def rows(value: Value) -> Iterator[None]:
        yield
        del value

    def start(value: Value) -> object:
        body = rows(value)
        next(body)
        return body

    assert kept_by(start)["generator"].description.endswith("rows")


def test_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    value = Value()
    # A new module: the collector does not see those that the tests have frozen.
    module: Any = ModuleType("app.state")
    module.kept = value
    monkeypatch.setitem(sys.modules, "app.state", module)
    assert found(value)["module"].description == "app.state: kept"


def test_a_class() -> None:
    value = Value()

    class Holder:
        attribute = value

    assert found(value)["class"].description.endswith("Holder")
    assert Holder.attribute is value


def test_an_object() -> None:
    class Session:
        def __init__(self, value: Value) -> None:
            self.value = value

    value = Value()
    session = Session(value)
    assert found(value)["object"].description.endswith("Session")
    assert session.value is value


def test_the_frame_of_another_thread() -> None:
    value = Value()
    is_running, may_end = threading.Event(), threading.Event()

    def work(local: Value) -> None:
        is_running.set()
        may_end.wait()
        del local

    thread = threading.Thread(target=work, args=(value,), name="worker 7")
    thread.start()
    is_running.wait()
    try:
        keepers = found(value)
    finally:
        may_end.set()
        thread.join()
    assert "work" in keepers["frame"].description
    assert __file__ in keepers["frame"].description


def test_a_thread_that_has_not_started() -> None:
    value = Value()
    thread = threading.Thread(target=print, args=(value,), name="worker 7")
    assert found(value)["thread"].description == "'worker 7'"
    assert not thread.is_alive()


class TestLoops:
    """What asyncio keeps; each test runs in a task whose context does not have the value."""

    def found_in_loop(self, start: Callable[[Value], object]) -> dict[str, Keeper]:
        async def main() -> dict[str, Keeper]:
            value = Value()

            def set_and_start() -> object:
                user.set(value)
                return start(value)

            kept = contextvars.Context().run(set_and_start)
            await asyncio.sleep(0)
            keepers = found(value)
            if hasattr(kept, "cancel"):
                kept.cancel()
            return keepers

        return asyncio.run(main())

    def test_a_task(self) -> None:
        async def handle() -> None:
            await asyncio.get_running_loop().create_future()

        keepers = self.found_in_loop(lambda _: asyncio.create_task(handle(), name="request 7"))
        assert keepers["task"].description.startswith("'request 7' of TestLoops.")
        assert keepers["task"].path == ("Context",)

    def test_a_task_that_is_written_in_python(self) -> None:
        async def handle() -> None:
            await asyncio.get_running_loop().create_future()

        tasks: Any = asyncio.tasks

        def start(_: Value) -> Any:
            return tasks._PyTask(handle(), loop=asyncio.get_running_loop(), name="request 8")

        assert self.found_in_loop(start)["task"].description.startswith("'request 8' of")

    def test_a_coroutine(self) -> None:
        async def handle(value: Value) -> None:
            await asyncio.get_running_loop().create_future()

        def start(value: Value) -> Any:
            return contextvars.Context().run(asyncio.create_task, handle(value))

        assert self.found_in_loop(start)["coroutine"].description.endswith("handle")

    def test_an_async_generator(self) -> None:
        kept = []

        async def rows(value: Value) -> AsyncIterator[int]:
            yield 1
            del value

        def start(value: Value) -> None:
            kept.append(rows(value))
            with pytest.raises(StopIteration):
                kept[0].__anext__().send(None)

        keepers = self.found_in_loop(start)
        assert keepers["async generator"].description.endswith("rows")

    def test_a_timer_that_a_request_has_started(self) -> None:
        """As of aiohttp#3938: the timer of a connection keeps the context of its first request."""

        def close_idle() -> None: ...

        keepers = self.found_in_loop(
            lambda _: asyncio.get_running_loop().call_later(3600, close_idle)
        )
        assert keepers["timer"].description.endswith("close_idle")
        assert keepers["timer"].path == ("Context",)

    def test_a_timer_that_is_cancelled(self) -> None:
        def start(_: Value) -> object:
            timer = asyncio.get_running_loop().call_later(3600, int)
            timer.cancel()
            return timer

        assert self.found_in_loop(start)["timer"].description == "that is cancelled"

    def test_a_callback_of_a_future(self) -> None:
        def start(_: Value) -> object:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(print)
            return future

        assert self.found_in_loop(start)["future"].path == ("Context",)

    def test_a_long_lived_task_that_a_request_has_started(self) -> None:
        """As of llama-agents#485: each request leaves a task that waits, with its context."""

        async def listen() -> None:
            await asyncio.get_running_loop().create_future()

        async def main() -> tuple[ctxvars.Retained, ctxvars.Retained]:
            kept = []

            async def request() -> None:
                user.set(bytearray(30_000))
                kept.append(asyncio.create_task(listen()))

            for _ in range(3):
                await asyncio.create_task(request())
            await asyncio.sleep(0)
            context = next(it for it in gc.get_referents(kept[0]) if is_native(it))
            value = ctxvars.Context.wrap(context)[user]
            results = retained(context), retained(value)
            del value, context
            for task in kept:
                task.cancel()
            return results

        of_context, of_value = asyncio.run(main())
        assert [keeper.kind for keeper in of_value.keepers].count("task") == 1
        assert of_context.size > 30_000
        assert "listen" in str(of_context)

    def test_a_callback_that_waits(self) -> None:
        async def main() -> dict[str, Keeper]:
            value = Value()

            def start() -> object:
                user.set(value)
                return asyncio.get_running_loop().call_soon(print)

            handle: Any = contextvars.Context().run(start)
            keepers = found(value)
            handle.cancel()
            return keepers

        assert asyncio.run(main())["callback"].description == "of print"

    def test_a_timer_of_uvloop(self) -> None:
        uvloop = pytest.importorskip("uvloop")

        async def main() -> dict[str, Keeper]:
            value = Value()

            def start() -> object:
                user.set(value)
                return asyncio.get_running_loop().call_later(3600, print)

            handle: Any = contextvars.Context().run(start)
            keepers = found(value)
            handle.cancel()
            return keepers

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            keepers = runner.run(main())
        assert keepers.keys() & {"timer", "context"}


def is_native(thing: object) -> bool:
    return type(thing) is contextvars.Context


def test_the_size_of_a_context() -> None:
    def run() -> ctxvars.Retained:
        user.set([bytes(1000)] * 2)
        return retained(ctxvars.copy_context())

    result = in_new_context(run)
    assert result.entries == 1
    assert 1000 < result.size < 3000
    assert str(result).startswith("ctxvars.Context with 1 variable: ")
    assert not result.is_cut


def test_a_native_context_and_a_snapshot_are_contexts() -> None:
    def run() -> list[ctxvars.Retained]:
        user.set(1)
        return [retained(contextvars.copy_context()), retained(ctxvars.snapshot())]

    assert [it.entries for it in in_new_context(run)] == [1, 1]


def test_simple_values_are_found_in_contexts() -> None:
    # The collector does not track maps of simple values.
    text = "simple" * 100

    def run() -> list[Any]:
        user.set(text)
        return [ctxvars.copy_context(), contextvars.copy_context()]

    context, native = in_new_context(run)
    gc.collect()
    kinds = [keeper.kind for keeper in (lambda: retained(text))().keepers]
    assert kinds.count("context") == 2
    # Local variables of the caller are not keepers.
    assert "context" not in [keeper.kind for keeper in retained(text).keepers]
    del context, native


def test_a_program_that_runs_on_ctxvars(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = python(tmp_path, *RUN, "program.py")
    assert (done.stdout, done.stderr) == ("1 timer of print, by Context\n", "")


PROGRAM = """
import asyncio, contextvars, ctxvars

user = contextvars.ContextVar("user")

class Session: pass

async def main():
    session = Session()

    def start():
        user.set(session)
        return asyncio.get_running_loop().call_later(3600, print)

    context = contextvars.Context()
    timer = context.run(start)
    entries = ctxvars.retained(context).entries
    del context
    print(entries, *ctxvars.retained(session).keepers)
    timer.cancel()

asyncio.run(main())
"""


def test_the_walk_is_bounded() -> None:
    value = Value()
    lists = [[value] for _ in range(30_000)]
    result = retained(value)
    assert result.is_cut
    assert len(str(result).splitlines()) < 30
    assert len(lists) == 30_000

    items = [[n] for n in range(50_000)]
    result = retained(items)
    assert result.is_cut
    assert result.objects == 20_000


def test_a_walk_leaves_nothing_behind() -> None:
    value = Value()
    first, second = retained(value), retained(value)
    assert first == second


def test_a_tuple_that_is_being_made_can_be_finished() -> None:
    value = Value()
    results = []

    def items() -> Iterator[Value]:
        yield value
        # The tuple is in the heap, and has room for more items.
        results.append(retained(value))
        yield value

    assert tuple(items()) == (value, value)


class Meta(type):
    """A metaclass whose attributes raise."""

    def __getattribute__(cls, name: str) -> NoReturn:
        raise AssertionError


def refuse(*_: object, **__: object) -> NoReturn:
    raise AssertionError


def test_code_of_the_program_does_not_run() -> None:
    methods = ("__repr__", "__eq__", "__hash__", "__sizeof__", "__getattribute__", "__len__")
    hostile = Meta("Hostile", (list,), dict.fromkeys(methods, refuse))
    value = hostile()
    list.append(value, Value())
    holder = [value]

    def run() -> ctxvars.Retained:
        user.set(value)
        return retained(value)

    result = in_new_context(run)
    assert "Hostile" in str(result)
    assert retained(holder).size > 0


def test_names_of_callables() -> None:
    from functools import partial

    class Callable_:
        def __call__(self) -> None: ...

        def method(self) -> None: ...

    assert function_name(print) == "print"
    assert function_name(int) == "int"
    assert function_name(partial(partial(int), 1)) == "int"
    assert function_name(Callable_().method).endswith("Callable_.method")
    assert function_name(Callable_()).endswith("Callable_")
