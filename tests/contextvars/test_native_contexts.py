"""Contexts of the interpreter carry all variables of ctxvars in one native variable."""

import asyncio
import contextvars as native
import threading
import typing
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import ctxvars
from tests.support.expressions import BadName


def test_name_that_cannot_be_hashed() -> None:
    # The standard library crashes: it drops a variable before it has initialised the fields.
    with pytest.raises(ArithmeticError, match="hashed"):
        ctxvars.ContextVar(BadName("v"))


@pytest.fixture
def var() -> ctxvars.ContextVar[str]:
    return ctxvars.ContextVar("var", default="unset")


def in_empty_context(call: typing.Callable[[], None]) -> None:
    native.Context().run(call)


def test_native_context_shows_one_variable(var: ctxvars.ContextVar[str]) -> None:
    def check() -> None:
        assert len(native.copy_context()) == 0
        var.set("a")
        ctxvars.ContextVar[int]("other").set(1)
        (root,) = native.copy_context()
        assert type(root) is native.ContextVar
        assert root.name == "ctxvars"
        assert len(ctxvars.copy_context()) == 2

    in_empty_context(check)


def test_native_and_wrapped_are_one_context(var: ctxvars.ContextVar[str]) -> None:
    context = ctxvars.Context()
    assert type(context.native) is native.Context
    assert context.native is context.native
    context.native.run(var.set, "a")
    assert context[var] == "a"
    again = ctxvars.Context.wrap(context.native)
    assert again.native is context.native
    assert again == context
    again.run(var.set, "b")
    assert context[var] == "b"
    message = "cannot enter context: .* is already entered"
    with pytest.raises(RuntimeError, match=message):
        context.run(again.run, len, "")
    with pytest.raises(RuntimeError, match=message):
        context.native.run(context.run, len, "")


@pytest.mark.parametrize("wrong", [None, 1, native.Context, ctxvars.Context()])
def test_wrap_refuses_other_objects_than_native_contexts(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"native must be a contextvars\.Context, got "):
        ctxvars.Context.wrap(wrong)


def test_native_is_read_only() -> None:
    with pytest.raises(AttributeError):
        setattr(ctxvars.Context(), "native", native.Context())  # noqa: B010


def test_native_variables_and_ours_mix(var: ctxvars.ContextVar[str]) -> None:
    theirs = native.ContextVar[int]("theirs")

    def check() -> None:
        token = theirs.set(1)
        var.set("a")
        context = ctxvars.copy_context()
        assert dict(context) == {var: "a"}
        assert context.native[theirs] == 1
        theirs.reset(token)
        assert var.get() == "a"

    in_empty_context(check)


def test_native_copies_carry_ours(var: ctxvars.ContextVar[str]) -> None:
    def set_and_get() -> str:
        before = var.get()
        var.set("changed")
        return before

    def check() -> None:
        var.set("a")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(native.copy_context().run, set_and_get).result() == "a"
        thread = threading.Thread(target=native.copy_context().run, args=(set_and_get,))
        thread.start()
        thread.join()
        assert var.get() == "a"
        token = var.set("b")
        with pytest.raises(ValueError, match="was created in a different Context"):
            native.copy_context().run(var.reset, token)
        var.reset(token)
        assert var.get() == "a"

    in_empty_context(check)


def test_asyncio_copies_carry_ours(var: ctxvars.ContextVar[str]) -> None:
    async def child() -> str:
        before = var.get()
        var.set("child")
        return before

    async def main() -> None:
        loop = asyncio.get_running_loop()
        var.set("main")
        assert await asyncio.create_task(child()) == "main"
        seen = loop.create_future()
        loop.call_soon(lambda: seen.set_result(var.get()))
        var.set("later")
        assert await seen == "main"
        assert await asyncio.to_thread(var.get) == "later"

    in_empty_context(lambda: asyncio.run(main()))


@pytest.mark.parametrize("count", [1, 100])
def test_native_contexts_compare_by_our_values(count: int) -> None:
    variables = [ctxvars.ContextVar[object](f"v{index}") for index in range(count)]

    def context(last: object) -> native.Context:
        made = ctxvars.Context()
        for variable in variables:
            made.run(variable.set, [1])
        made.run(variables[-1].set, last)
        return made.native

    assert context([2]) == context([2])
    assert context([2]) != context([3])
    assert context([2]) != native.Context()
    (value,) = context([2]).values()
    assert value != 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)
