"""Metadata and handlers of gRPC, for the interceptors of both of its interfaces."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from functools import update_wrapper
from typing import Any

import grpc

from ctxvars._isolation.isolated import isolated
from ctxvars._portable.headers.extract import Received
from ctxvars.integrations._shared.options import Options

_Pair = tuple[str, str | bytes]


def metadata_with(options: Options, metadata: Iterable[_Pair] | None) -> list[_Pair]:
    """Return the metadata of a call, with the values of portable variables."""
    pairs = list(metadata or ())
    if not pairs:
        # `inject` would take an empty list for headers of ASGI, whose names are bytes.
        return list(options.inject({}).items())
    injected: list[_Pair] = options.inject(pairs)
    return injected


def with_values(handler: Any, received: Received) -> Any:
    """Return a handler that runs with the values of its call."""
    kind = (
        f"{'stream' if handler.request_streaming else 'unary'}_"
        f"{'stream' if handler.response_streaming else 'unary'}"
    )
    behavior = _with_values(getattr(handler, kind), received, handler.response_streaming)
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(behavior, handler.request_deserializer, handler.response_serializer)


def _with_values(behavior: Any, received: Received, is_streaming: bool) -> Any:
    """Return a function of the kind of `behavior`, because gRPC calls each kind differently."""
    # Functions for the event loop of gRPC send their responses by a callback.
    is_iterable = is_streaming and not getattr(behavior, "experimental_non_blocking", False)

    async def run_coroutine(*arguments: Any) -> Any:
        with received:
            return await behavior(*arguments)

    async def run_async_generator(*arguments: Any) -> AsyncIterator[Any]:
        with received:
            async with aclosing(behavior(*arguments)) as responses:
                async for each in responses:
                    yield each

    def run_generator(*arguments: Any) -> Iterator[Any]:
        with received:
            yield from behavior(*arguments)

    def run(*arguments: Any) -> Any:
        with received:
            return behavior(*arguments)

    if _is_of(inspect.iscoroutinefunction, behavior):
        function: Callable[..., Any] = run_coroutine
    elif _is_of(inspect.isasyncgenfunction, behavior):
        function = run_async_generator
    else:
        function = run_generator if is_iterable else run
    # Steps of a stream may be made on several threads. Options of gRPC are attributes.
    return isolated(update_wrapper(function, behavior, assigned=("__name__", "__doc__")))


def _is_of(kind: Callable[[Any], bool], behavior: Any) -> bool:
    """Whether a function, or an object that can be called, is of a kind."""
    return kind(behavior) or kind(behavior.__call__)
