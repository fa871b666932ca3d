"""The interceptors for `grpc.aio`.

A client interceptor of `grpc.aio` serves one kind of calls, even if its class is of several kinds.
So `client_interceptors` returns four.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from grpc import aio

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.extract import Accept
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import Options, checked_options
from ctxvars.integrations.grpc._calls import metadata_with, with_values

__all__ = ["PortableServerInterceptor", "client_interceptors"]


class _Sending:
    """Sends values with calls."""

    def __init__(self, options: Options) -> None:
        self._options = options

    async def _call(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        metadata = aio.Metadata(*metadata_with(self._options, client_call_details.metadata))
        return await continuation(client_call_details._replace(metadata=metadata), request)


class _UnaryUnary(_Sending, aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary = _Sending._call


class _UnaryStream(_Sending, aio.UnaryStreamClientInterceptor):
    intercept_unary_stream = _Sending._call


class _StreamUnary(_Sending, aio.StreamUnaryClientInterceptor):
    intercept_stream_unary = _Sending._call


class _StreamStream(_Sending, aio.StreamStreamClientInterceptor):
    intercept_stream_stream = _Sending._call


def client_interceptors(
    *, to: Level = "internal", signer: Signer | None = None
) -> list[aio.ClientInterceptor]:
    """Return interceptors that send values with all calls of a channel.

    Pass them to a channel: `grpc.aio.insecure_channel(target, interceptors=...)`. The values are
    those of the caller at the call. Metadata of the program stays; members of its `baggage` are
    merged.

    Args:
        to: the level of the service, as for `ctxvars.inject`.
        signer: signs the values.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    A call raises the exception of an encoder. It takes the time of `inject`.
    """
    options = checked_options("client_interceptors", to=to, signer=signer)
    return [kind(options) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]


class PortableServerInterceptor(aio.ServerInterceptor):
    """Runs handlers with the values of their calls: `grpc.aio.server(interceptors=[...])`.

    It differs from the interceptor for `grpc.server` in its base class only. Handlers may be
    coroutines, async generators, and functions, which gRPC calls on a thread.

    Args:
        accept, signer: as for `ctxvars.integrations.grpc.PortableServerInterceptor`.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.
    """

    def __init__(self, *, accept: Accept = (), signer: Signer | None = None) -> None:
        self._options = checked_options("PortableServerInterceptor", accept=accept, signer=signer)

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        received = self._options.extract(handler_call_details.invocation_metadata)
        with received:
            # Interceptors behind this one choose the handler.
            handler = await continuation(handler_call_details)
        return handler and with_values(handler, received)
