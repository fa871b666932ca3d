"""aiohttp: sessions send portable variables, and requests set them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp is not installed")

from aiohttp import web  # noqa: E402

from ctxvars.integrations.aiohttp import client, server  # noqa: E402

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.aiohttp.tenant")
undeclared: ContextVar[str] = ContextVar("undeclared", default="unset")
VALUE = "test.aiohttp.tenant=globex"


def refuse(value: int) -> str:
    raise OverflowError("of the encoder")


refused: ContextVar[int] = portable(
    ContextVar("refused"), "test.aiohttp.refused", codec=(refuse, int)
)


def seen() -> str:
    found = f"{tenant.get()} {undeclared.get()}"
    tenant.set("leaked")
    undeclared.set("leaked")
    return found


class Shop:
    """A server that answers at two names, and the headers that it has received."""

    def __init__(self, port: int, seen: list[tuple[str, list[str]]]) -> None:
        self.port = port
        self.seen = seen

    def url(self, host: str, path: str = "") -> str:
        return f"http://{host}:{self.port}/{path}"


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[Shop]:
    found: list[tuple[str, list[str]]] = []

    @web.middleware
    async def record(request: Any, handler: Any) -> Any:
        found.append((request.url.host, request.headers.getall("baggage", [])))
        return await handler(request)

    async def show(request: Any) -> Any:
        return web.Response(text=seen())

    async def redirect(request: Any) -> Any:
        raise web.HTTPTemporaryRedirect(request.query["to"])

    async def stream(request: Any) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(2):
            await response.write(tenant.get().encode() + b"\n")
            await asyncio.sleep(0)
        return response

    async def body(request: Any) -> Any:
        async def parts() -> AsyncGenerator[bytes]:
            for _ in range(2):
                yield tenant.get().encode() + b"\n"
                await asyncio.sleep(0)

        return web.Response(body=parts())

    async def socket(request: Any) -> Any:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(f"{message.data} {tenant.get()}")
        return response

    async def received(request: Any) -> Any:
        found = request[server.RECEIVED]
        return web.json_response([[each.name for each in found.errors], found.foreign])

    async def deadline(request: Any) -> Any:
        return web.json_response(ctxvars.remaining_time())

    app = web.Application(middlewares=[record])
    server.install(app, **({"accept": ["test.aiohttp.tenant", "ctxvars.deadline"]} | options))
    for handler in (show, redirect, stream, body, socket, received, deadline):
        app.router.add_get(f"/{handler.__name__}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Shop(runner.addresses[0][1], found)
    finally:
        await runner.cleanup()


def running(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 60))

    run.__name__ = test.__name__
    return run


@asynccontextmanager
async def shopping(**options: Any) -> AsyncIterator[tuple[Shop, Any]]:
    """A server, and a session that sends values to localhost."""
    async with served() as shop, aiohttp.ClientSession(**options) as session:
        client.install(session, hosts=["localhost"])
        yield shop, session


async def text_of(session: Any, url: str, **options: Any) -> str:
    async with session.get(url, **options) as response:
        text: str = await response.text()
        return text


@running
async def test_values_travel_to_hosts_of_the_list_and_not_to_the_next_request() -> None:
    async with shopping() as (shop, session):
        with tenant.scope("globex"):
            assert await text_of(session, shop.url("localhost", "show")) == "globex unset"
            assert await text_of(session, shop.url("127.0.0.1", "show")) == "none unset"
        assert await text_of(session, shop.url("localhost", "show")) == "none unset"
    assert shop.seen == [("localhost", [VALUE]), ("127.0.0.1", []), ("localhost", [])]


@running
async def test_streams_bodies_and_sockets_see_the_values() -> None:
    async with shopping() as (shop, session):
        with tenant.scope("globex"):
            assert await text_of(session, shop.url("localhost", "stream")) == "globex\nglobex\n"
            assert await text_of(session, shop.url("localhost", "body")) == "globex\nglobex\n"
            socket = await session.ws_connect(shop.url("localhost", "socket"))
        for text in ("first", "second"):
            await socket.send_str(text)
            assert await socket.receive_str() == f"{text} globex"
        await socket.close()


@running
async def test_values_do_not_follow_a_redirect_to_another_host() -> None:
    async with shopping() as (shop, session):
        last = shop.url("localhost", "show")
        second = shop.url("127.0.0.1", f"redirect?to={last}")
        options = {"params": {"to": second}, "headers": {"Baggage": "userId=alice"}}
        with tenant.scope("globex"):
            await text_of(session, shop.url("localhost", "redirect"), **options)
    both = [f"{VALUE},userId=alice"]
    assert shop.seen == [("localhost", both), ("127.0.0.1", ["userId=alice"]), ("localhost", both)]


@running
async def test_values_do_not_follow_a_middleware_that_changes_the_host() -> None:
    async def retry(request: Any, handler: Any) -> Any:
        response = await handler(request)
        request.url = request.url.with_host("127.0.0.1")
        response.release()
        return await handler(request)

    async with shopping(middlewares=(retry,)) as (shop, session):
        with tenant.scope("globex"):
            await text_of(session, shop.url("localhost", "show"), headers={"baggage": "a=b"})
    assert [headers for _, headers in shop.seen] == [[f"{VALUE},a=b"], ["a=b"]]


@running
async def test_the_remaining_time_is_sent() -> None:
    async with shopping() as (shop, session):
        with ctxvars.deadline(60):
            found = await text_of(session, shop.url("localhost", "deadline"))
    assert 0 < float(found) <= 60


@running
async def test_an_exception_of_an_encoder_names_the_variable() -> None:
    async with shopping() as (shop, session):
        with refused.scope(1), pytest.raises(OverflowError) as caught:
            await text_of(session, shop.url("localhost", "show"))
    assert "test.aiohttp.refused" in caught.value.__notes__[0]


@running
async def test_the_received_object_has_errors_and_foreign_members() -> None:
    async with served(accept=()) as shop, aiohttp.ClientSession() as session:
        headers = {"baggage": f"{VALUE},userId=alice"}
        found = await text_of(session, shop.url("localhost", "received"), headers=headers)
    assert found == '[["test.aiohttp.tenant"], ["userId=alice"]]'


@running
async def test_hostile_headers_do_not_fail_a_request() -> None:
    async with served() as shop, aiohttp.ClientSession() as session:
        for header in ("%%%", "test.aiohttp.tenant=%zz", "," * 100, "x" * 8000):
            headers = {"baggage": header}
            assert await text_of(session, shop.url("localhost", "show"), headers=headers) == (
                "none unset"
            )


@running
async def test_values_are_signed() -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    async with served(signer=signer) as shop, aiohttp.ClientSession() as session:
        with tenant.scope("globex"):
            client.install(session, hosts=["localhost"], signer=signer)
            assert await text_of(session, shop.url("localhost", "show")) == "globex unset"
            client.install(session, hosts=["localhost"])
            assert await text_of(session, shop.url("localhost", "show")) == "none unset"


@running
async def test_a_second_install_replaces_the_options_of_a_session() -> None:
    async def other(request: Any, handler: Any) -> Any:
        return await handler(request)

    middlewares = (client.PortableMiddleware(hosts=["127.0.0.1"]), other)
    async with served() as shop, aiohttp.ClientSession(middlewares=middlewares) as session:
        client.install(session, hosts=["localhost"])
        with tenant.scope("globex"):
            await text_of(session, shop.url("127.0.0.1", "show"))
            await text_of(session, shop.url("localhost", "show"))
            client.uninstall(session)
            await text_of(session, shop.url("localhost", "show"))
        assert session._middlewares == (other,)
        with pytest.raises(ValueError, match="does not send portable variables"):
            client.uninstall(session)
    assert [headers for _, headers in shop.seen] == [[], [VALUE], []]


def test_a_second_install_replaces_the_options_of_an_application() -> None:
    app = web.Application()
    server.install(app, accept=["test.aiohttp.tenant"])
    server.install(app, accept="public")
    [middleware] = app.middlewares
    assert middleware._options.accept == "public"
    server.uninstall(app)
    assert list(app.middlewares) == []
    with pytest.raises(ValueError, match="does not receive portable variables"):
        server.uninstall(app)


@running
async def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match=r"install\(\) argument 'accept'"):
        server.install(web.Application(), accept=None)  # type: ignore[arg-type]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TypeError, match=r"install\(\) argument 'hosts'"):
            client.install(session, hosts="localhost")
        with pytest.raises(ValueError, match=r"install\(\) argument 'hosts'"):
            client.install(session, hosts=["http://localhost"])
        assert session._middlewares == ()
