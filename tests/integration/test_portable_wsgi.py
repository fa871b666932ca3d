"""WSGI: requests set portable variables."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest

import ctxvars
from ctxvars import ContextVar, portable
from ctxvars.integrations.wsgi import RECEIVED, PortableMiddleware
from tests.support.new_context import in_a_new_context

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.wsgi.tenant")
undeclared: ContextVar[str] = ContextVar("undeclared", default="unset")


def environ_of(header: str | None = None) -> dict[str, Any]:
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    if header is not None:
        environ["HTTP_BAGGAGE"] = header
    return environ


def requested(app: Any, header: str | None = None) -> list[bytes]:
    """Return the parts of a response, as a server reads them."""
    body = app(environ_of(header), lambda *arguments: None)
    try:
        return [*body]
    finally:
        if hasattr(body, "close"):
            body.close()


def seen() -> bytes:
    return f"{tenant.get()} {undeclared.get()}".encode()


def listing(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    undeclared.set("set by the application")
    return [f"{tenant.get()}".encode()]


def streaming(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield seen()
    undeclared.set("set by the stream")
    yield seen()


class Closing:
    """A response that is iterated over and closed after the call."""

    def __init__(self, log: list[Any]) -> None:
        self._log = log

    def __iter__(self) -> Iterator[bytes]:
        self._log.append(("iter", seen()))
        undeclared.set("set by iter")
        return iter([b"part"])

    def close(self) -> None:
        self._log.append(("close", seen()))


@in_a_new_context
def test_the_call_and_each_step_of_the_response_see_the_values() -> None:
    accepting = ["test.wsgi.tenant"]
    middleware = PortableMiddleware(streaming, accept=accepting)
    first = middleware(environ_of("test.wsgi.tenant=globex"), lambda *_: None)
    second = middleware(environ_of("test.wsgi.tenant=acme"), lambda *_: None)
    steps = [next(iter(each)) for each in (first, second, first, second)]
    assert steps == [
        *(b"globex unset", b"acme unset"),
        *(b"globex set by the stream", b"acme set by the stream"),
    ]
    assert [*first, *second] == []
    assert seen() == b"none unset"


@in_a_new_context
def test_close_sees_the_values() -> None:
    log: list[Any] = []
    app = PortableMiddleware(lambda *_: Closing(log), accept="internal")
    assert requested(app, "test.wsgi.tenant=globex") == [b"part"]
    assert log == [("iter", b"globex unset"), ("close", b"globex set by iter")]


@in_a_new_context
def test_an_abandoned_stream_is_closed_in_its_context() -> None:
    log = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        try:
            yield b"first"
        finally:
            log.append(seen())

    body: Any = PortableMiddleware(app, accept="internal")(
        environ_of("test.wsgi.tenant=globex"), lambda *_: None
    )
    assert next(iter(body)) == b"first"
    body.close()
    assert log == [b"globex unset"]


@in_a_new_context
def test_no_values_of_the_last_request_or_of_the_server() -> None:
    tenant.set("of the server")
    app = PortableMiddleware(listing, accept="internal")
    headers = ["test.wsgi.tenant=globex", None, "test.wsgi.tenant=acme"]
    assert [requested(app, each) for each in headers] == [[b"globex"], [b"none"], [b"acme"]]
    assert seen() == b"of the server unset"


@in_a_new_context
def test_nothing_is_accepted_by_default() -> None:
    found: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        found.append(environ[RECEIVED])
        return [seen()]

    header = "test.wsgi.tenant=globex,userId=alice"
    assert requested(PortableMiddleware(app), header) == [b"none unset"]
    assert found[0].errors == (ctxvars.CarrierError("test.wsgi.tenant", "not accepted"),)
    assert found[0].foreign == ("userId=alice",)


@in_a_new_context
def test_an_exception_leaves_the_context() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        undeclared.set("set before")
        raise RuntimeError("of the application")

    with pytest.raises(RuntimeError, match="of the application"):
        requested(PortableMiddleware(app, accept="internal"), "test.wsgi.tenant=globex")
    assert seen() == b"none unset"


@in_a_new_context
def test_a_deadline_arrives() -> None:
    found = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        found.append(ctxvars.remaining_time())
        return []

    requested(PortableMiddleware(app, accept=["ctxvars.deadline"]), "ctxvars.deadline=60.000")
    assert found[0] is not None
    assert 0 < found[0] <= 60


@in_a_new_context
@pytest.mark.parametrize(
    "header", ["%%%", "test.wsgi.tenant=%zz", "\xff", "test.wsgi.tenant=" + "x" * 1_000_000]
)
def test_a_hostile_header_does_not_fail_a_request(header: str) -> None:
    assert requested(PortableMiddleware(listing, accept="internal"), header) == [b"none"]


def test_lists_and_files_are_returned_as_they_are() -> None:
    """A server sends a file by a system call, and a list with its length."""
    environ = environ_of()
    environ["wsgi.file_wrapper"] = FileWrapper
    parts, file = [b"part"], FileWrapper(io.BytesIO(b"text"))
    for body in (parts, file):
        middleware = PortableMiddleware(lambda *_, body=body: body, accept="internal")
        assert middleware(environ, lambda *_: None) is body


def test_options_are_checked() -> None:
    with pytest.raises(TypeError, match="PortableMiddleware"):
        PortableMiddleware(listing, accept=None)  # type: ignore[arg-type]


class Silent(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


def test_a_server_of_the_standard_library() -> None:
    # The validator checks the protocol on both sides of the middleware.
    app = validator(PortableMiddleware(validator(streaming), accept=["test.wsgi.tenant"]))
    with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            answers = []
            for headers in ({"baggage": "test.wsgi.tenant=globex"}, {}):
                connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
                connection.request("GET", "/", headers=headers)
                answers.append(connection.getresponse().read())
                connection.close()
        finally:
            server.shutdown()
            thread.join()
    assert answers == [
        b"globex unsetglobex set by the stream",
        b"none unsetnone set by the stream",
    ]
