"""gRPC: calls of real channels and servers, with generic handlers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")

from ctxvars.integrations import grpc as sync  # noqa: E402
from ctxvars.integrations.grpc import aio  # noqa: E402

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.grpc.tenant")
undeclared: ContextVar[str] = ContextVar("undeclared", default="unset")


def refuse(value: int) -> str:
    raise OverflowError("of the encoder")


refused: ContextVar[int] = portable(ContextVar("refused"), "test.grpc.refused", codec=(refuse, int))

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
ACCEPTED = ["test.grpc.tenant", "ctxvars.deadline"]


def seen() -> bytes:
    found = f"{tenant.get()} {undeclared.get()}".encode()
    tenant.set("leaked")
    undeclared.set("leaked")
    return found


def see() -> bytes:
    return f"{tenant.get()} {undeclared.get()}".encode()


class Handlers:
    """Functions of all kinds."""

    def unary_unary(self, request: bytes, context: Any) -> bytes:
        if request == b"fail":
            context.abort(grpc.StatusCode.NOT_FOUND, see().decode())
        if request == b"deadline":
            return str(ctxvars.remaining_time()).encode()
        return seen()

    def unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield see()
        undeclared.set("set by the stream")
        yield seen()

    def stream_unary(self, requests: Iterator[bytes], context: Any) -> bytes:
        count = len([*requests])
        return see() + str(count).encode()

    def stream_stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for each in requests:
            yield see() + each


class AsyncHandlers:
    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        if request == b"fail":
            await context.abort(grpc.StatusCode.NOT_FOUND, see().decode())
        if request == b"deadline":
            return str(ctxvars.remaining_time()).encode()
        return seen()

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield see()
        await asyncio.sleep(0)
        undeclared.set("set by the stream")
        yield seen()

    async def stream_unary(self, requests: Any, context: Any) -> bytes:
        count = len([each async for each in requests])
        return see() + str(count).encode()

    async def stream_stream(self, requests: Any, context: Any) -> None:
        """A handler that writes its responses."""
        async for each in requests:
            await context.write(see() + each)


EXPECTED = {
    "unary_unary": [b"globex unset"],
    "unary_stream": [b"globex unset", b"globex set by the stream"],
    "stream_unary": [b"globex unset2"],
    "stream_stream": [b"globex unseta", b"globex unsetb"],
}


def generic(handlers: Any) -> Any:
    methods = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(handlers, kind)) for kind in KINDS
    }
    return grpc.method_handlers_generic_handler("Shop", methods)


@contextmanager
def served(handlers: Any, **options: Any) -> Iterator[str]:
    """Run a server with one thread; yield its address."""
    interceptor = sync.PortableServerInterceptor(**({"accept": ACCEPTED} | options))
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, interceptors=[interceptor])
        server.add_generic_rpc_handlers([generic(handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@contextmanager
def connected(address: str, **options: Any) -> Iterator[Any]:
    interceptor = sync.PortableClientInterceptor(**options)
    with grpc.insecure_channel(address) as channel:
        yield grpc.intercept_channel(channel, interceptor)


def responses(channel: Any, kind: str, **options: Any) -> list[bytes]:
    """Call a method; return its responses."""
    method = getattr(channel, kind)(f"/Shop/{kind}")
    request = iter([b"a", b"b"]) if kind.startswith("stream") else b""
    found = method(request, timeout=30, **options)
    return [*found] if kind.endswith("stream") else [found]


def test_handlers_of_all_kinds_see_the_values_and_none_of_earlier_calls() -> None:
    with served(Handlers()) as address, connected(address) as channel:
        for kind in KINDS * 2:
            with tenant.scope("globex"):
                assert responses(channel, kind) == EXPECTED[kind]
            assert responses(channel, kind)[0].startswith(b"none unset")


def test_futures_and_calls_with_state_see_the_values() -> None:
    with served(Handlers()) as address, connected(address) as channel:
        method = channel.unary_unary("/Shop/unary_unary")
        with tenant.scope("globex"):
            future = method.future(b"", timeout=30)
            response, call = method.with_call(b"", timeout=30)
        assert (future.result(), response) == (b"globex unset", b"globex unset")
        assert call.code() is grpc.StatusCode.OK


def test_metadata_of_the_program_is_merged() -> None:
    found: list[Any] = []

    class Keeping(Handlers):
        def unary_unary(self, request: bytes, context: Any) -> bytes:
            found.append([tuple(pair) for pair in context.invocation_metadata()])
            return b""

    with served(Keeping()) as address, connected(address) as channel, tenant.scope("globex"):
        responses(channel, "unary_unary", metadata=[("baggage", "userId=alice"), ("key", "value")])
    assert ("baggage", "test.grpc.tenant=globex,userId=alice") in found[0]
    assert ("key", "value") in found[0]


def test_errors_of_handlers_arrive_with_their_status() -> None:
    with served(Handlers()) as address, connected(address) as channel, tenant.scope("globex"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/Shop/unary_unary")(b"fail", timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == "globex unset"
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/Shop/unknown")(b"", timeout=30)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_stream_is_closed_in_its_context() -> None:
    found: list[bytes] = []

    class Endless(Handlers):
        def unary_stream(self, request: bytes, context: Any) -> Iterator[bytes]:
            try:
                while True:
                    yield see()
            finally:
                found.append(see())

    with served(Endless()) as address, connected(address) as channel, tenant.scope("globex"):
        stream = channel.unary_stream("/Shop/unary_stream")(b"", timeout=30)
        assert next(stream) == b"globex unset"
        stream.cancel()
        # The only thread serves the next call when the stream has ended.
        responses(channel, "unary_unary")
    assert found == [b"globex unset"]


def test_the_remaining_time_is_sent() -> None:
    with served(Handlers()) as address, connected(address) as channel, ctxvars.deadline(60):
        found = channel.unary_unary("/Shop/unary_unary")(b"deadline", timeout=30)
    assert 0 < float(found) <= 60


def test_an_exception_of_an_encoder_names_the_variable() -> None:
    with (
        connected("127.0.0.1:1") as channel,
        refused.scope(1),
        pytest.raises(OverflowError) as caught,
    ):
        responses(channel, "unary_stream")
    assert "test.grpc.refused" in caught.value.__notes__[0]


def test_a_server_accepts_nothing_by_default() -> None:
    with (
        served(Handlers(), accept=()) as address,
        connected(address) as channel,
        tenant.scope("globex"),
    ):
        assert responses(channel, "unary_unary") == [b"none unset"]


def test_values_are_signed() -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    with served(Handlers(), signer=signer) as address, tenant.scope("globex"):
        with connected(address, signer=signer) as channel:
            assert responses(channel, "unary_unary") == [b"globex unset"]
        with connected(address) as channel:
            assert responses(channel, "unary_unary") == [b"none unset"]


@pytest.mark.parametrize("header", ["%%%", "test.grpc.tenant=%zz", "," * 100, "a" * 5000, "=" * 9])
def test_hostile_metadata_does_not_fail_a_call(header: str) -> None:
    with served(Handlers()) as address, grpc.insecure_channel(address) as channel:
        metadata = [("baggage", header)]
        assert responses(channel, "unary_unary", metadata=metadata) == [b"none unset"]


def test_a_handler_keeps_its_options() -> None:
    """gRPC finds the pool of a handler, and whether it blocks, in attributes."""

    def behavior(request: Any, context: Any, send: Any) -> None:
        send(see())
        send(None)

    behavior.experimental_non_blocking = True  # type: ignore[attr-defined]
    handler = grpc.unary_stream_rpc_method_handler(behavior)
    details = SimpleNamespace(invocation_metadata=[("baggage", "test.grpc.tenant=globex")])
    found = sync.PortableServerInterceptor(accept=ACCEPTED).intercept_service(
        lambda _: handler, details
    )
    sent: list[Any] = []
    assert found.unary_stream.experimental_non_blocking
    found.unary_stream(b"", None, sent.append)
    assert sent == [b"globex unset", None]


def test_a_handler_that_is_an_object_sees_the_values() -> None:
    class Callable_:
        def __call__(self, request: bytes, context: Any) -> bytes:
            return see()

    class Objects(Handlers):
        unary_unary = Callable_()  # type: ignore[assignment]
        unary_stream = functools.partial(Handlers.unary_stream, None)  # type: ignore[arg-type, assignment]

    with served(Objects()) as address, connected(address) as channel, tenant.scope("globex"):
        assert responses(channel, "unary_unary") == [b"globex unset"]
        assert responses(channel, "unary_stream") == EXPECTED["unary_stream"]


def asynchronously(handlers: Any, body: Callable[[Any], Any], **options: Any) -> None:
    """Call an async function with a channel to a server of grpc.aio."""

    async def run() -> None:
        interceptor = aio.PortableServerInterceptor(accept=ACCEPTED)
        with ThreadPoolExecutor(1) as pool:
            server = grpc.aio.server(pool, interceptors=[interceptor])
            server.add_generic_rpc_handlers([generic(handlers)])
            port = server.add_insecure_port("127.0.0.1:0")
            await server.start()
            try:
                interceptors = aio.client_interceptors(**options)
                target = f"127.0.0.1:{port}"
                async with grpc.aio.insecure_channel(target, interceptors=interceptors) as channel:
                    await body(channel)
            finally:
                await server.stop(None)

    asyncio.run(run())


async def async_responses(channel: Any, kind: str, **options: Any) -> list[bytes]:
    method = getattr(channel, kind)(f"/Shop/{kind}")
    request = iter([b"a", b"b"]) if kind.startswith("stream") else b""
    found = method(request, timeout=30, **options)
    return [each async for each in found] if kind.endswith("stream") else [await found]


@pytest.mark.parametrize("handlers", [Handlers(), AsyncHandlers()])
def test_handlers_of_asyncio_see_the_values_and_none_of_earlier_calls(handlers: Any) -> None:
    """Handlers that are not async run on a thread."""

    async def body(channel: Any) -> None:
        for kind in KINDS * 2:
            with tenant.scope("globex"):
                assert await async_responses(channel, kind) == EXPECTED[kind]
            found = await async_responses(channel, kind)
            assert found[0].startswith(b"none unset")

    asynchronously(handlers, body)


def test_partial_functions_of_asyncio_see_the_values() -> None:
    class Partial(AsyncHandlers):
        unary_unary = functools.partial(AsyncHandlers.unary_unary, None)  # type: ignore[arg-type, assignment]
        unary_stream = functools.partial(AsyncHandlers.unary_stream, None)  # type: ignore[arg-type, assignment]

    async def body(channel: Any) -> None:
        with tenant.scope("globex"):
            for kind in ("unary_unary", "unary_stream"):
                assert await async_responses(channel, kind) == EXPECTED[kind]

    asynchronously(Partial(), body)


def test_metadata_of_asyncio_is_merged() -> None:
    found: list[Any] = []

    class Keeping(AsyncHandlers):
        async def unary_unary(self, request: bytes, context: Any) -> bytes:
            found.append([tuple(pair) for pair in context.invocation_metadata()])
            return b""

    async def body(channel: Any) -> None:
        metadata = (("baggage", "userId=alice"), ("key", "value"))
        with tenant.scope("globex"):
            await async_responses(channel, "unary_unary", metadata=metadata)

    asynchronously(Keeping(), body)
    assert ("baggage", "test.grpc.tenant=globex,userId=alice") in found[0]
    assert ("key", "value") in found[0]


def test_concurrent_calls_of_asyncio_see_their_values() -> None:
    async def body(channel: Any) -> None:
        async def call(name: str) -> list[bytes]:
            with tenant.scope(name):
                return await async_responses(channel, "unary_stream")

        names = ["globex", "acme", "initech"]
        found = await asyncio.gather(*map(call, names))
        assert [first for first, _ in found] == [f"{name} unset".encode() for name in names]

    asynchronously(AsyncHandlers(), body)


def test_errors_and_deadlines_of_asyncio() -> None:
    async def body(channel: Any) -> None:
        method = channel.unary_unary("/Shop/unary_unary")
        with tenant.scope("globex"), pytest.raises(grpc.RpcError) as caught:
            await method(b"fail", timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == "globex unset"
        with ctxvars.deadline(60):
            assert 0 < float(await method(b"deadline", timeout=30)) <= 60
        with refused.scope(1), pytest.raises(OverflowError):
            await method(b"", timeout=30)

    asynchronously(AsyncHandlers(), body)


def test_a_cancelled_stream_of_asyncio_is_closed_in_its_context() -> None:
    found: list[bytes] = []
    closed = asyncio.Event()

    class Endless(AsyncHandlers):
        async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
            try:
                while True:
                    yield see()
                    await asyncio.sleep(0)
            finally:
                found.append(see())
                closed.set()

    async def body(channel: Any) -> None:
        with tenant.scope("globex"):
            stream = channel.unary_stream("/Shop/unary_stream")(b"", timeout=30)
            assert await stream.read() == b"globex unset"
            stream.cancel()
        await asyncio.wait_for(closed.wait(), 30)

    asynchronously(Endless(), body)
    assert found == [b"globex unset"]


@pytest.mark.parametrize(
    "make",
    [sync.PortableClientInterceptor, sync.PortableServerInterceptor, aio.client_interceptors],
)
def test_options_are_checked(make: Any) -> None:
    with pytest.raises(TypeError, match=make.__name__):
        make(signer=b"key")
