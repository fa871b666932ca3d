"""Operations of isolation, for the table in `contexts`."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import ctxvars
from tests.support.allocation.contexts import FIRST, NATIVE, SECOND, Case, add, bindings, operation


def body() -> Generator[object, object, object]:
    FIRST.set("body")
    sent: object = FIRST.get()
    while True:
        try:
            sent = yield sent
        except ValueError:
            sent = "caught"


async def coroutine() -> object:
    FIRST.set("body")
    await Suspend()
    return FIRST.get()


async def async_body() -> AsyncGenerator[object, object]:
    FIRST.set("body")
    sent: object = FIRST.get()
    while True:
        try:
            sent = yield sent
        except ValueError:
            sent = "caught"


class Suspend:
    def __await__(self) -> Generator[object, object, object]:
        return (yield "suspended")


def driven(awaitable: Any) -> object:
    """The result of an awaitable that does not suspend."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as stop:
        return stop.value
    return "suspended"


def on_bodies(
    name: str,
    make: Callable[[], Any],
    run: Callable[[Any], object],
    start: Callable[[Any], object] | None = None,
) -> None:
    def prepare() -> Case:
        proxy = make()
        if start is not None:
            start(proxy)

        def state() -> object:
            # After a failed step, the context of the body is not entered, so the proxy can be used.
            close = getattr(proxy, "aclose", None)
            if close is None:
                proxy.close()
            else:
                driven(close())
            return bindings()

        return Case(lambda: run(proxy), state, is_repeatable=False, raises=True)

    add("isolation", name, prepare)


for inherit in ("once", "live"):

    def make_generator(inherit: Any = inherit) -> Any:
        return ctxvars.isolated(body(), inherit=inherit)

    def start(proxy: Any) -> None:
        next(proxy)
        SECOND.set("changed")
        NATIVE.set("changed")

    on_bodies(f"first next, {inherit}", make_generator, next)
    on_bodies(f"second next, {inherit}", make_generator, next, start)

on_bodies("first send", make_generator, lambda proxy: proxy.send(None))
on_bodies("send", make_generator, lambda proxy: proxy.send(1), next)
on_bodies("throw", make_generator, lambda proxy: proxy.throw(ValueError), next)
on_bodies("close", make_generator, lambda proxy: proxy.close(), next)
on_bodies("close before the start", make_generator, lambda proxy: proxy.close())
on_bodies("attribute", make_generator, lambda proxy: proxy.gi_running)
on_bodies("class", make_generator, lambda proxy: proxy.__class__)
on_bodies("repr of a proxy", make_generator, lambda proxy: repr(proxy)[:20])


def make_coroutine() -> Any:
    return ctxvars.isolated(coroutine())


on_bodies("send to a coroutine", make_coroutine, lambda proxy: proxy.send(None))
on_bodies("await a coroutine", make_coroutine, driven)
on_bodies(
    "end a coroutine", make_coroutine, lambda proxy: proxy.close(), lambda proxy: proxy.send(None)
)


def make_async_generator() -> Any:
    return ctxvars.isolated(async_body())


def first_item(proxy: Any) -> object:
    return driven(proxy.__anext__())


on_bodies("anext", make_async_generator, first_item)
on_bodies("asend", make_async_generator, lambda proxy: driven(proxy.asend(1)), first_item)
on_bodies(
    "athrow", make_async_generator, lambda proxy: driven(proxy.athrow(ValueError)), first_item
)
on_bodies("aclose", make_async_generator, lambda proxy: driven(proxy.aclose()), first_item)


@operation("isolation")
def anext_with_hooks() -> Case:
    def firstiter(_: object) -> None: ...

    def finalizer(_: object) -> None: ...

    proxy = make_async_generator()
    sys.set_asyncgen_hooks(firstiter, finalizer)

    def state() -> object:
        names = [hook and hook.__name__ for hook in sys.get_asyncgen_hooks()]
        sys.set_asyncgen_hooks(None, None)
        return bindings(), names

    return Case(lambda: driven(proxy.__anext__()), state, is_repeatable=False)


@operation("isolation")
def drop_a_generator() -> Case:
    proxies = [make_generator()]
    next(proxies[0])
    return Case(proxies.clear, bindings)


@operation("isolation")
def isolate_a_generator() -> Case:
    generator = body()
    return Case(lambda: type(ctxvars.isolated(generator)), bindings)


@operation("isolation")
def isolated_function() -> Case:
    function = ctxvars.isolated(lambda: FIRST.set("body").var.name)
    return Case(function, bindings)


@operation("isolation")
def isolated_generator_function() -> Case:
    function = ctxvars.isolated(body)
    return Case(lambda: type(function()), bindings)


@operation("isolation")
def make_an_isolated_function() -> Case:
    return Case(lambda: ctxvars.isolated(body).__name__, bindings)


class WithMethod:
    @ctxvars.isolated
    def method(self) -> object:
        FIRST.set("body")
        return FIRST.get()


@operation("isolation")
def isolated_method() -> Case:
    instance = WithMethod()
    return Case(instance.method, bindings)


@operation("isolation")
def pickle_an_isolated_function() -> Case:
    return Case(WithMethod.method.__reduce__, bindings)


@operation("isolation")
def propagate() -> Case:
    def run() -> None:
        with ctxvars.propagate_to_threads():
            pass

    return Case(run, bindings)
