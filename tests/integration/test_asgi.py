"""FastAPI and Starlette: endpoints see the values that dependencies and middlewares set."""

from __future__ import annotations

import asyncio
import contextvars as native
from typing import Any

import pytest

from ctxvars import ContextVar, merge_back, run_collecting
from tests.support.new_context import in_new_context

httpx = pytest.importorskip("httpx", reason="httpx is not installed")

user: ContextVar[str] = ContextVar("user", default="nobody")
tenant: ContextVar[str] = ContextVar("tenant", default="none")
native_user: native.ContextVar[str] = native.ContextVar("native_user", default="nobody")


def requested(app: Any, *paths: str) -> list[Any]:
    """Return the responses of an application to requests, one after the other."""

    async def request() -> list[Any]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            # As in a server, each request has its task.
            return [(await asyncio.create_task(client.get(path))).json() for path in paths]

    answers: list[Any] = in_new_context(asyncio.run, request())
    return answers


def log_in(name: str = "Ada") -> str:
    """A dependency that is not async: FastAPI calls it on a thread, in a copy of the context."""
    user.set(name)
    native_user.set(name)
    return name


def test_an_endpoint_of_fastapi_sees_values_set_by_a_merged_dependency() -> None:
    """The behaviour that fastapi#953 asks for."""
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = fastapi.FastAPI()
    as_it_is, merged_back = fastapi.Depends(log_in), fastapi.Depends(merge_back(log_in))

    @app.get("/plain")
    async def plain(name: Any = as_it_is) -> list[str]:
        return [name, user.get(), native_user.get()]

    @app.get("/merged")
    async def merged(name: Any = merged_back) -> list[str]:
        return [name, user.get(), native_user.get()]

    @app.get("/merged-on-a-thread")
    def on_a_thread(name: Any = merged_back) -> list[str]:
        return [name, user.get(), native_user.get()]

    assert requested(app, "/plain", "/merged", "/merged-on-a-thread?name=Bob", "/plain") == [
        ["Ada", "nobody", "nobody"],
        ["Ada", "Ada", "nobody"],
        ["Bob", "Bob", "nobody"],
        ["Ada", "nobody", "nobody"],
    ]


def test_dependencies_of_fastapi_that_depend_on_one_another() -> None:
    fastapi = pytest.importorskip("fastapi", reason="fastapi is not installed")
    app = fastapi.FastAPI()
    logged_in = fastapi.Depends(merge_back(log_in))

    @merge_back
    async def choose_tenant(name: Any = logged_in) -> None:
        tenant.set(f"{name}'s, says {user.get()}")

    @app.get("/", dependencies=[fastapi.Depends(choose_tenant)])
    async def endpoint() -> list[str]:
        return [user.get(), tenant.get()]

    assert requested(app, "/?name=Eve") == [["Eve", "Eve's, says Eve"]]


def seen_by_a_middleware(endpoint: Any, *, collects: bool) -> list[str]:
    """Return the values that a `BaseHTTPMiddleware` of Starlette sees after the endpoint."""
    pytest.importorskip("starlette", reason="starlette is not installed")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.routing import Route

    seen: list[str] = []

    class Seeing(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            tenant.set("the middleware's")
            if collects:
                response, changes = await run_collecting(call_next, request)
                changes.apply()
            else:
                response = await call_next(request)
            seen.extend([user.get(), tenant.get()])
            return response

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(Seeing)])
    assert requested(app, "/") == [["Ada", "the middleware's"]]
    return seen


def test_a_middleware_of_starlette_sees_values_set_by_a_merged_endpoint() -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    from starlette.responses import JSONResponse

    async def endpoint(request: Any) -> Any:
        log_in()
        return JSONResponse([user.get(), tenant.get()])

    def endpoint_on_a_thread(request: Any) -> Any:
        log_in()
        return JSONResponse([user.get(), tenant.get()])

    # The endpoint runs in another task.
    assert seen_by_a_middleware(endpoint, collects=False) == ["nobody", "the middleware's"]
    assert seen_by_a_middleware(endpoint, collects=True) == ["nobody", "the middleware's"]
    for function in (endpoint, endpoint_on_a_thread):
        merged = merge_back(function)
        assert seen_by_a_middleware(merged, collects=True) == ["Ada", "the middleware's"]


def test_middlewares_around_middlewares() -> None:
    pytest.importorskip("starlette", reason="starlette is not installed")
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    seen: list[list[str]] = []

    class Collecting(BaseHTTPMiddleware):
        @merge_back
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response, changes = await run_collecting(call_next, request)
            changes.apply()
            seen.append([user.get(), tenant.get()])
            tenant.set(f"{tenant.get()}+")
            return response

    @merge_back
    async def endpoint(request: Any) -> Any:
        log_in()
        tenant.set("the endpoint's")
        return JSONResponse("done")

    app = Starlette(
        routes=[Route("/", endpoint)], middleware=[Middleware(Collecting), Middleware(Collecting)]
    )
    assert requested(app, "/") == ["done"]
    assert seen == [["Ada", "the endpoint's"], ["Ada", "the endpoint's+"]]
