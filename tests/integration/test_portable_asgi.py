"""ASGI: requests set portable variables."""

from __future__ import annotations

import asyncio
import threading
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable
from ctxvars.integrations.asgi import RECEIVED, PortableMiddleware
from tests.support.loops import Loop
from tests.support.new_context import in_new_context

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.asgi.tenant")
locale: ContextVar[str] = portable(ContextVar("locale", default="en"), "test.asgi.locale")
undeclared: ContextVar[str] = ContextVar("undeclared", default="unset")

ACCEPTED = ["test.asgi.tenant", "ctxvars.deadline"]


def scope_of(header: str | bytes = "", type: str = "http") -> dict[str, Any]:
    value = header if isinstance(header, bytes) else header.encode()
    return {"type": type, "headers": [(b"host", b"stock"), (b"baggage", value)]}


async def never(*arguments: Any) -> Any:
    raise AssertionError("the application neither receives nor sends")


def seen_with(header: str | bytes, **options: Any) -> tuple[str, str, ctxvars.Received]:
    """Return the tenant and the locale that an application sees, and the received object."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([tenant.get(), locale.get(), scope[RECEIVED]])

    in_new_context(asyncio.run, PortableMiddleware(app, **options)(scope_of(header), never, never))
    return seen[0], seen[1], seen[2]


def test_named_variables_are_accepted() -> None:
    header = "test.asgi.tenant=globex,test.asgi.locale=fr,userId=alice"
    seen_tenant, seen_locale, received = seen_with(header, accept=["test.asgi.tenant"])
    assert (seen_tenant, seen_locale) == ("globex", "en")
    assert received.errors == (ctxvars.CarrierError("test.asgi.locale", "not accepted"),)
    assert received.foreign == ("userId=alice",)


def test_nothing_is_accepted_by_default() -> None:
    seen_tenant, _, received = seen_with("test.asgi.tenant=globex,ctxvars.deadline=1.000")
    assert seen_tenant == "none"
    assert {each.name for each in received.errors} == {"test.asgi.tenant", "ctxvars.deadline"}


def test_a_level_is_accepted() -> None:
    header = "test.asgi.tenant=globex,test.asgi.locale=fr"
    assert seen_with(header, accept="internal")[:2] == ("globex", "fr")
    assert seen_with(header, accept="public")[:2] == ("none", "en")


def test_a_signature_is_verified() -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    with tenant.scope("globex"):
        header = ctxvars.inject(signer=signer)["baggage"]
    assert seen_with(header, accept="internal", signer=signer)[0] == "globex"
    assert seen_with("test.asgi.tenant=a", accept="internal", signer=signer)[0] == "none"


@pytest.mark.parametrize(
    "header",
    [
        *(b"%%%", b"test.asgi.tenant=%zz", b"\xff\xfe", b"=", b"," * 1000, b"a=b;" * 10),
        b"test.asgi.tenant=" + b"x" * 1_000_000,
    ],
)
def test_a_hostile_header_does_not_fail_a_request(header: bytes) -> None:
    assert seen_with(header, accept="internal")[0] == "none"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"accept": "everything"}, ValueError),
        ({"accept": None}, TypeError),
        ({"signer": b"key"}, TypeError),
    ],
)
def test_options_are_checked(options: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="PortableMiddleware"):
        PortableMiddleware(never, **options)


def test_lifespan_passes_unchanged() -> None:
    scope = {"type": "lifespan"}

    async def app(given: Any, receive: Any, send: Any) -> None:
        assert given is scope
        undeclared.set("by the lifespan")

    async def lifespan() -> str:
        await PortableMiddleware(app, accept="internal")(scope, never, never)
        return undeclared.get()

    assert in_new_context(asyncio.run, lifespan()) == "by the lifespan"
    assert scope == {"type": "lifespan"}


def test_no_values_of_the_last_request_or_of_the_server(loop: Loop) -> None:
    """The server calls the application in one task for all requests."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((tenant.get(), locale.get(), undeclared.get()))
        await loop.turn()
        tenant.set("leaked")
        locale.set("leaked")
        undeclared.set("leaked")

    async def serve() -> None:
        tenant.set("of the server")
        middleware = PortableMiddleware(app, accept=ACCEPTED)
        for header in ("test.asgi.tenant=globex", "", "test.asgi.tenant=acme"):
            await middleware(scope_of(header), never, never)
            assert (tenant.get(), locale.get(), undeclared.get()) == (
                *("of the server", "en", "unset"),
            )

    in_new_context(loop.run, serve())
    assert seen == [("globex", "en", "unset"), ("none", "en", "unset"), ("acme", "en", "unset")]


def test_steps_in_other_contexts_see_the_values_of_the_request() -> None:
    """A server makes the first step eagerly, and closes the request from elsewhere."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(tenant.get())
        try:
            await asyncio.sleep(0)
            seen.append(tenant.get())
            await asyncio.sleep(1000)
        finally:
            seen.append(tenant.get())

    request = PortableMiddleware(app, accept=ACCEPTED)(
        scope_of("test.asgi.tenant=globex"), never, never
    )
    request.send(None)  # type: ignore[attr-defined]
    assert tenant.get() == "none"

    async def go_on() -> None:
        async def rest() -> None:
            await Rest()

        class Rest:
            def __await__(self) -> Any:
                return (yield from request.__await__())

        task = asyncio.create_task(rest())
        while len(seen) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tenant.get() == "none"

    in_new_context(asyncio.run, go_on())
    assert seen == ["globex"] * 3


def test_a_request_without_headers_has_no_values() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((tenant.get(), scope[RECEIVED].values))

    with tenant.scope("of the server"):
        asyncio.run(PortableMiddleware(app, accept="internal")({"type": "http"}, never, never))
    assert seen == [("none", {})]


def test_a_deadline_arrives() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(ctxvars.remaining_time())

    request = PortableMiddleware(app, accept=ACCEPTED)
    in_new_context(asyncio.run, request(scope_of("ctxvars.deadline=60.000"), never, never))
    assert seen[0] is not None
    assert 0 < seen[0] <= 60


def starlette_app(seen: list[Any]) -> Any:
    """An application with streaming, background tasks, threads, sockets and nested tasks."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    from starlette.applications import Starlette
    from starlette.background import BackgroundTasks
    from starlette.middleware import Middleware
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def plain(request: Any) -> Any:
        return PlainTextResponse(tenant.get())

    def on_a_thread(request: Any) -> Any:
        return PlainTextResponse(tenant.get())

    async def stream(request: Any) -> Any:
        async def parts() -> AsyncGenerator[str]:
            for _ in range(2):
                yield f"{tenant.get()} {locale.get()}\n"
                await asyncio.sleep(0)
                locale.set("set by the stream")

        return StreamingResponse(parts())

    async def background(request: Any) -> Any:
        tasks = BackgroundTasks()
        tasks.add_task(lambda: seen.append(tenant.get()))

        async def job() -> None:
            await asyncio.sleep(0)
            seen.append(tenant.get())

        tasks.add_task(job)
        return PlainTextResponse("started", background=tasks)

    async def fail(request: Any) -> Any:
        raise RuntimeError("of the endpoint")

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{text} {tenant.get()}")

    routes = [
        Route("/plain", plain),
        Route("/thread", on_a_thread),
        Route("/stream", stream),
        Route("/background", background),
        Route("/fail", fail),
        WebSocketRoute("/socket", socket),
    ]
    return Starlette(routes=routes, middleware=[Middleware(PortableMiddleware, accept=ACCEPTED)])


@contextmanager
def client_of(app: Any) -> Iterator[Any]:
    pytest.importorskip("httpx", reason="httpx is not installed")
    with warnings.catch_warnings():
        # The client prefers another package than the one that is installed.
        warnings.simplefilter("ignore")
        from starlette.testclient import TestClient

    with TestClient(app, headers={"baggage": "test.asgi.tenant=globex"}) as client:
        yield client


def test_streams_threads_background_tasks_and_sockets_see_the_values() -> None:
    seen: list[Any] = []
    with client_of(starlette_app(seen)) as client:
        assert client.get("/plain").text == "globex"
        assert client.get("/thread").text == "globex"
        assert client.get("/stream").text == "globex en\nglobex set by the stream\n"
        assert client.get("/background").text == "started"
        with pytest.raises(RuntimeError, match="of the endpoint"):
            client.get("/fail")
        with client.websocket_connect("/socket") as socket:
            for text in ("first", "second"):
                socket.send_text(text)
                assert socket.receive_text() == f"{text} globex"
    assert seen == ["globex", "globex"]


def test_dependencies_of_fastapi_see_the_values() -> None:
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = fastapi.FastAPI()
    app.add_middleware(PortableMiddleware, accept=ACCEPTED)
    depends = fastapi.Depends(lambda: tenant.get())

    @app.get("/")
    async def endpoint(of_dependency: Any = depends) -> list[str]:
        return [of_dependency, tenant.get()]

    with client_of(app) as client:
        assert client.get("/").json() == ["globex", "globex"]


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Run uvicorn on a thread; yield its port."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", ws="none")
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    # Connections wait until the server accepts them.
    listening.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()


def test_requests_of_one_connection_of_uvicorn() -> None:
    seen: list[Any] = []
    with served(starlette_app(seen)) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        answers = []
        for path, headers in [
            ("/plain", {"baggage": "test.asgi.tenant=globex"}),
            ("/plain", {}),
            ("/stream", {"Baggage": "test.asgi.tenant=acme, userId=alice"}),
            ("/plain", {"baggage": "test.asgi.tenant=%zz"}),
            ("/background", {"baggage": "test.asgi.tenant=globex"}),
            ("/plain", {"baggage": "test.asgi.locale=fr"}),
        ]:
            connection.request("GET", path, headers=headers)
            answers.append(connection.getresponse().read().decode())
        connection.close()
    stream = "acme en\nacme set by the stream\n"
    assert answers == ["globex", "none", stream, "none", "started", "none"]
    assert seen == ["globex", "globex"]


def test_a_client_of_uvicorn_that_leaves_a_stream_cancels_it_in_its_context() -> None:
    seen: list[str] = []
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.append(tenant.get())
        ended.set()

    with served(PortableMiddleware(app, accept=ACCEPTED)) as port:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/", headers={"baggage": "test.asgi.tenant=globex"})
        assert connection.getresponse().read(5) == b"first"
        connection.close()
        assert ended.wait(30)
    assert seen == ["globex"]
