"""requests: sessions send portable variables to the hosts of a list."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable

requests = pytest.importorskip("requests", reason="requests is not installed")

from ctxvars.integrations.requests import PortableAdapter, install, uninstall  # noqa: E402

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.requests.tenant")
VALUE = "test.requests.tenant=globex"


class Server(ThreadingHTTPServer):
    """Answers at two names. `/to/URL` redirects, `/digest` wants a password."""

    seen: list[tuple[str, str | None]]

    def url(self, host: str, path: str = "") -> str:
        return f"http://{host}:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        self.server.seen.append((host, self.headers.get("baggage")))
        if self.path.startswith("/to/"):
            self.send_response(307)
            self.send_header("Location", self.path.removeprefix("/to/"))
        elif self.path == "/digest" and "Authorization" not in self.headers:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[Any]:
    with requests.Session() as session:
        session.trust_env = False
        install(session, hosts=["localhost"])
        yield session


def test_values_are_sent_to_hosts_of_the_list(server: Server, session: Any) -> None:
    with tenant.scope("globex"):
        response = session.get(server.url("localhost"))
        session.get(server.url("127.0.0.1"))
    session.get(server.url("localhost"))
    assert server.seen == [("localhost", VALUE), ("127.0.0.1", None), ("localhost", None)]
    assert response.request.headers["baggage"] == VALUE


def test_values_do_not_follow_a_redirect_to_another_host(server: Server, session: Any) -> None:
    second = server.url("127.0.0.1", "to/" + server.url("localhost"))
    with tenant.scope("globex"):
        session.get(server.url("localhost", "to/" + second))
    assert server.seen == [("localhost", VALUE), ("127.0.0.1", None), ("localhost", VALUE)]


def test_a_redirect_that_the_program_follows_is_without_values(
    server: Server, session: Any
) -> None:
    url = server.url("localhost", "to/" + server.url("127.0.0.1"))
    with tenant.scope("globex"):
        response = session.get(url, allow_redirects=False)
        session.send(response.next)
    assert server.seen == [("localhost", VALUE), ("127.0.0.1", None)]


def test_members_of_the_program_follow_all_redirects(server: Server, session: Any) -> None:
    url = server.url("localhost", "to/" + server.url("127.0.0.1"))
    with tenant.scope("globex"):
        session.get(url, headers={"Baggage": "userId=alice"})
    assert server.seen == [("localhost", f"{VALUE},userId=alice"), ("127.0.0.1", "userId=alice")]


def test_a_request_that_is_sent_again_for_authentication_has_values(
    server: Server, session: Any
) -> None:
    auth = requests.auth.HTTPDigestAuth("ada", "secret")
    with tenant.scope("globex"):
        assert session.get(server.url("localhost", "digest"), auth=auth).status_code == 200
    assert server.seen == [("localhost", VALUE)] * 2


def test_the_request_of_the_program_does_not_change(server: Server, session: Any) -> None:
    request = session.prepare_request(requests.Request("GET", server.url("localhost")))
    request.of_the_program = True
    headers = dict(request.headers)
    with tenant.scope("globex"):
        response = session.send(request)
    assert dict(request.headers) == headers
    assert response.request.of_the_program


def test_the_remaining_time_is_sent_signed(server: Server, session: Any) -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    install(session, hosts=["localhost"], signer=signer)
    with ctxvars.deadline(60):
        session.get(server.url("localhost"))
    [(_, header)] = server.seen
    with ctxvars.extract({"baggage": header}, signer=signer):
        assert 0 < (ctxvars.remaining_time() or 0) <= 60


def test_a_second_install_replaces_the_options(server: Server, session: Any) -> None:
    mounted = requests.adapters.HTTPAdapter()
    session.mount(server.url("127.0.0.1"), mounted)
    install(session, hosts=["127.0.0.1"])
    with tenant.scope("globex"):
        session.get(server.url("localhost"))
        session.get(server.url("127.0.0.1"))
    assert server.seen == [("localhost", None), ("127.0.0.1", VALUE)]
    assert session.get_adapter(server.url("127.0.0.1")).adapter is mounted


def test_uninstall_undoes_install() -> None:
    session = requests.Session()
    session.mount("http://b", requests.adapters.HTTPAdapter())
    session.mount("http://a", requests.adapters.HTTPAdapter())
    before = list(session.adapters.items())
    install(session, hosts=["stock"])
    assert all(isinstance(each, PortableAdapter) for each in session.adapters.values())
    assert list(session.adapters) == [prefix for prefix, _ in before]
    uninstall(session)
    assert list(session.adapters.items()) == before
    with pytest.raises(ValueError, match="does not send portable variables"):
        uninstall(session)


def test_a_session_can_be_pickled(server: Server, session: Any) -> None:
    with pickle.loads(pickle.dumps(session)) as copy, tenant.scope("globex"):
        copy.get(server.url("localhost"))
        copy.get(server.url("127.0.0.1"))
    assert server.seen == [("localhost", VALUE), ("127.0.0.1", None)]


def test_attributes_of_an_adapter_are_those_of_the_original(session: Any) -> None:
    adapter = session.adapters["https://"]
    assert adapter.max_retries is adapter.adapter.max_retries
    assert repr(adapter).startswith("<PortableAdapter of <requests.adapters.HTTPAdapter")
    with pytest.raises(AttributeError):
        adapter.missing  # noqa: B018


@pytest.mark.parametrize("url", ["http://localhost:99999/", "http://[::1/"])
def test_an_url_that_cannot_be_read_raises_the_exception_of_requests(
    session: Any, url: str
) -> None:
    request = requests.Request("GET", "http://localhost/").prepare()
    request.url = url
    raised = []
    for each in (session, requests.Session()):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            each.send(request)
        raised.append(caught.type)
    assert raised[0] is raised[1]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"hosts": "stock"}, TypeError),
        ({"hosts": ["http://stock"]}, ValueError),
        ({"hosts": [], "to": "everyone"}, ValueError),
        ({"hosts": [], "signer": b"key"}, TypeError),
    ],
)
def test_options_are_checked(options: Any, error: type[Exception]) -> None:
    session = requests.Session()
    with pytest.raises(error, match=r"install\(\)"):
        install(session, **options)
    assert not any(isinstance(each, PortableAdapter) for each in session.adapters.values())
