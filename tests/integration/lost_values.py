"""A FastAPI application that loses a context variable in eight ways, and has a remedy for each.

Each endpoint sets `user`, and then reads it where it is missing: on a thread, in a callback, in a
middleware. With the remedy, one line of the endpoint is another one, and the value is there.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import fastapi
import httpx
from starlette.middleware.base import BaseHTTPMiddleware

import ctxvars

user: ctxvars.ContextVar[str] = ctxvars.portable(
    ctxvars.ContextVar("user"), "tests.lost_values.user"
)

Look = Callable[[], None]
"""Called where the value is missing: in `process`, in another process."""


def app_for(way: str, look: Look, *, remedied: bool) -> fastapi.FastAPI:
    """Return an application whose path "/" loses `user` in this way."""
    app = fastapi.FastAPI()
    WAYS[way](app, look, remedied)
    return app


def request(app: Any) -> Any:
    """Request "/" in a new event loop, and return the result after the loop has been closed."""

    async def get() -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.get("/")).raise_for_status().json()

    return asyncio.run(get())


def thread(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    make = ctxvars.ContextThread if remedied else threading.Thread

    @app.get("/")
    async def endpoint() -> None:
        user.set("Ada")
        worker = make(target=look)
        worker.start()
        worker.join()


def executor(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    @app.get("/")
    async def endpoint() -> None:
        user.set("Ada")
        loop = asyncio.get_running_loop()
        if remedied:
            await ctxvars.run_in_executor(loop, None, look)
        else:
            await loop.run_in_executor(None, look)


def sync_dependency(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    def log_in() -> None:
        user.set("Ada")

    dependency = ctxvars.merge_back(log_in) if remedied else log_in

    @app.get("/", dependencies=[fastapi.Depends(dependency)])
    async def endpoint() -> None:
        look()


def base_http_middleware(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    @app.get("/")
    async def endpoint() -> None:
        user.set("Ada")

    class AccessLog(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            look()
            return response

    class PureAccessLog:
        def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
            self.app = app

        async def __call__(self, *arguments: Any) -> None:
            await self.app(*arguments)
            look()

    app.add_middleware(PureAccessLog if remedied else AccessLog)


def background_task(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    async def send_mail() -> None:
        look()

    @app.get("/")
    async def endpoint(background: fastapi.BackgroundTasks) -> None:
        with user.scope("Ada"):
            background.add_task(ctxvars.bind(send_mail) if remedied else send_mail)


def callback_set_before(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    @app.get("/")
    async def endpoint() -> None:
        loaded = asyncio.get_running_loop().create_future()
        if remedied:
            user.set("Ada")
            loaded.add_done_callback(lambda _: look())
        else:
            loaded.add_done_callback(lambda _: look())
            user.set("Ada")
        loaded.set_result(None)
        await asyncio.sleep(0)


def generator_closed_by_the_loop(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    async def rows() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            look()

    make = ctxvars.isolated(rows) if remedied else rows
    started = []

    @app.get("/")
    async def endpoint() -> None:
        with user.scope("Ada"):
            started.append(make())
            await anext(started[0])
        # The loop closes it when the request has ended, because `started` keeps it.


def process(app: fastapi.FastAPI, look: Look, remedied: bool) -> None:
    make = ctxvars.ContextProcessPoolExecutor if remedied else ProcessPoolExecutor

    @app.get("/")
    async def endpoint() -> None:
        with make(1, multiprocessing.get_context("fork")) as pool:
            pool.submit(int).result()  # The worker starts before the value is set.
            user.set("Ada")
            pool.submit(look).result()


WAYS = {
    function.__name__: function
    for function in (
        thread,
        executor,
        sync_dependency,
        base_http_middleware,
        background_task,
        callback_set_before,
        generator_closed_by_the_loop,
        process,
    )
}
