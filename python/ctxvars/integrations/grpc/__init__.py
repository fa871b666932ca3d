"""gRPC: interceptors send portable variables as metadata, and run handlers with them.

This module has the interceptors for `grpc.server` and for channels of threads. Those for asyncio
are in `ctxvars.integrations.grpc.aio`. gRPC takes interceptors when a channel or a server is made,
and has no way to add or to remove one later. So this module has classes only.

A channel has one target, so an interceptor for clients needs no list of hosts: give it to channels
of services that may have the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.extract import Accept
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import checked_options
from ctxvars.integrations.grpc._calls import metadata_with, with_values

__all__ = ["PortableClientInterceptor", "PortableServerInterceptor"]


class _Details(NamedTuple):
    """The details of a call. gRPC has a class for them, but does not publish it."""

    method: Any
    timeout: Any
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class PortableClientInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Sends values with all calls of a channel: `grpc.intercept_channel(channel, interceptor)`.

    The values are those of the caller at the call. gRPC iterates over a stream of requests on
    another thread, without them. Metadata of the program stays; members of its `baggage` are
    merged.

    Args:
        to: the level of the service, as for `ctxvars.inject`.
        signer: signs the values.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    A call raises the exception of an encoder. It takes the time of `inject`.
    """

    def __init__(self, *, to: Level = "internal", signer: Signer | None = None) -> None:
        self._options = checked_options("PortableClientInterceptor", to=to, signer=signer)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        metadata = metadata_with(self._options, client_call_details.metadata)
        # Details of other interceptors may lack the newer attributes.
        fields = {name: getattr(client_call_details, name, None) for name in _Details._fields}
        return continuation(_Details(**{**fields, "metadata": metadata}), request)

    # The argument of the last two is an iterator of requests.
    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


class PortableServerInterceptor(grpc.ServerInterceptor):
    """Runs handlers with the values of their calls: `grpc.server(pool, interceptors=[...])`.

    A declared variable that was not received has no value in the handler. Handlers, and each step
    of a stream of responses, run in a context of the call, which ends with it. So a thread of the
    pool has no values of earlier calls. Make it the first interceptor, so that others see the
    values.

    Args:
        accept: the variables that a client may set, by name; or a level, as for `ctxvars.extract`.
            By default, a client may set nothing: name the variables at the edge of your network,
            and pass "internal" behind it.
        signer: if given, only values with a valid signature are taken.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level. Names are checked by
            the first call.

    No metadata fails a call. O(declared variables + length of the metadata) for each call, and O(1)
    for each step of a stream.
    """

    def __init__(self, *, accept: Accept = (), signer: Signer | None = None) -> None:
        self._options = checked_options("PortableServerInterceptor", accept=accept, signer=signer)

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        received = self._options.extract(handler_call_details.invocation_metadata)
        with received:
            # Interceptors behind this one choose the handler.
            handler = continuation(handler_call_details)
        return handler and with_values(handler, received)
