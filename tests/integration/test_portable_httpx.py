"""httpx: clients send portable variables to the hosts of a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable

httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from ctxvars.integrations.httpx import install, uninstall  # noqa: E402

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.httpx.tenant")
locale: ContextVar[str] = portable(
    ContextVar("locale", default="en"), "test.httpx.locale", to="public"
)


def refuse(value: int) -> str:
    raise OverflowError("of the encoder")


refused: ContextVar[int] = portable(
    ContextVar("refused"), "test.httpx.refused", codec=(refuse, int)
)

Sent = list[tuple[str, str | None]]
"""The hosts of requests, each with its header."""


def transport_of(sent: Sent, redirects: dict[str, str]) -> Any:
    def respond(request: Any) -> Any:
        sent.append((request.url.host, request.headers.get("baggage")))
        target = redirects.get(str(request.url))
        if target is None:
            return httpx.Response(200)
        return httpx.Response(307, headers={"location": target})

    return httpx.MockTransport(respond)


def get_sync(sent: Sent, redirects: Any, url: str, headers: Any, **options: Any) -> None:
    with httpx.Client(transport=transport_of(sent, redirects), follow_redirects=True) as client:
        install(client, **options)
        client.get(url, headers=headers)


def get_async(sent: Sent, redirects: Any, url: str, headers: Any, **options: Any) -> None:
    async def get() -> None:
        transport = transport_of(sent, redirects)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            install(client, **options)
            await client.get(url, headers=headers)

    asyncio.run(get())


@pytest.fixture(params=[get_sync, get_async])
def get(request: Any) -> Callable[..., Sent]:
    """Send a request; return what was sent."""

    def send(
        url: str, headers: Any = None, redirects: dict[str, str] | None = None, **options: Any
    ) -> Sent:
        sent: Sent = []
        request.param(sent, redirects or {}, url, headers, **options)
        return sent

    return send


def test_values_are_sent_to_hosts_of_the_list(get: Any) -> None:
    with tenant.scope("globex & sons"):
        assert get("http://stock.example/tea", hosts=["*.example"]) == [
            ("stock.example", "test.httpx.tenant=globex%20%26%20sons")
        ]
        assert get("http://evil-example/tea", hosts=["*.example"]) == [("evil-example", None)]
        assert get("http://stock:8080/", hosts=["stock:8081"]) == [("stock", None)]
        assert get("http://[::1]:8000/", hosts=["[::1]:8000"])[0][1] is not None
        assert get("http://stra\xdfe.example/", hosts=["strasse.example"])[0][1] is None
    assert get("http://stock.example/tea", hosts=["*.example"]) == [("stock.example", None)]


def test_only_variables_of_the_level_are_sent(get: Any) -> None:
    with tenant.scope("globex"), locale.scope("fr"):
        sent = get("http://partner/", hosts=["partner"], to="public")
    assert sent == [("partner", "test.httpx.locale=fr")]


def test_values_do_not_follow_a_redirect_to_another_host(get: Any) -> None:
    redirects = {"http://stock/a": "http://stock/b", "http://stock/b": "http://evil/c"}
    with tenant.scope("globex"):
        sent = get("http://stock/a", redirects=redirects, hosts=["stock"])
    value = "test.httpx.tenant=globex"
    assert sent == [("stock", value), ("stock", value), ("evil", None)]


def test_values_follow_a_redirect_that_comes_back(get: Any) -> None:
    redirects = {"http://stock/": "http://evil/", "http://evil/": "http://stock/b"}
    with tenant.scope("globex"):
        sent = get("http://stock/", redirects=redirects, hosts=["stock"])
    value = "test.httpx.tenant=globex"
    assert sent == [("stock", value), ("evil", None), ("stock", value)]


def test_members_of_the_program_follow_all_redirects(get: Any) -> None:
    redirects = {"http://stock/": "http://evil/"}
    headers = [("Baggage", "userId=alice"), ("baggage", "test.httpx.tenant=given;v=9")]
    with tenant.scope("globex"):
        sent = get("http://stock/", headers, redirects, hosts=["stock"])
        assert sent == [
            ("stock", "test.httpx.tenant=globex,userId=alice"),
            ("evil", "userId=alice,test.httpx.tenant=given;v=9"),
        ]
        sent = get("http://other/", headers, redirects, hosts=["stock"])
    assert sent == [("other", "userId=alice, test.httpx.tenant=given;v=9")]


def test_changes_of_other_hooks_follow_a_redirect() -> None:
    """Such as those of OpenTelemetry, which writes the header in the transport."""
    sent: Sent = []
    redirects = transport_of(sent, {"http://stock/": "http://evil/"})

    def write(request: Any) -> Any:
        present = request.headers.get("baggage", "")
        request.headers["baggage"] = f"{present},otel=1"
        return redirects.handler(request)

    with httpx.Client(transport=httpx.MockTransport(write), follow_redirects=True) as client:
        install(client, hosts=["stock"])
        with tenant.scope("globex"):
            client.get("http://stock/", headers={"baggage": "test.httpx.tenant=given"})
    assert sent == [
        ("stock", "test.httpx.tenant=globex,otel=1"),
        ("evil", "otel=1,test.httpx.tenant=given,otel=1"),
    ]


def test_a_redirect_that_the_program_follows_is_without_values() -> None:
    sent: Sent = []
    transport = transport_of(sent, {"http://stock/": "http://evil/"})
    with httpx.Client(transport=transport) as client, tenant.scope("globex"):
        install(client, hosts=["stock"])
        response = client.get("http://stock/")
        client.send(response.next_request)
    assert sent == [("stock", "test.httpx.tenant=globex"), ("evil", None)]


def test_a_request_that_is_sent_again_has_the_current_values(get: Any) -> None:
    sent: Sent = []
    with httpx.Client(transport=transport_of(sent, {})) as client:
        install(client, hosts=["stock"])
        request = client.build_request("GET", "http://stock/")
        for name in ("globex", "acme"):
            with tenant.scope(name):
                client.send(request)
        client.send(request)
    assert [header for _, header in sent] == [
        *("test.httpx.tenant=globex", "test.httpx.tenant=acme", None)
    ]


def test_values_are_signed(get: Any) -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    with tenant.scope("globex"):
        [(_, header)] = get("http://stock/", hosts=["stock"], signer=signer)
    with ctxvars.extract({"baggage": header}, signer=signer):
        assert tenant.get() == "globex"


def test_the_remaining_time_is_sent(get: Any) -> None:
    with ctxvars.deadline(60):
        [(_, header)] = get("http://stock/", hosts=["stock"])
    with ctxvars.extract({"baggage": header}):
        assert 0 < (ctxvars.remaining_time() or 0) <= 60


def test_an_exception_of_an_encoder_names_the_variable(get: Any) -> None:
    with refused.scope(1):
        with pytest.raises(OverflowError, match="of the encoder") as caught:
            get("http://stock/", hosts=["stock"])
        assert "test.httpx.refused" in caught.value.__notes__[0]
        assert get("http://other/", hosts=["stock"]) == [("other", None)]


@pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
def test_a_second_install_replaces_the_options_and_uninstall_undoes_it(kind: Any) -> None:
    hooks = [print]
    client = kind(event_hooks={"request": hooks})
    install(client, hosts=["stock"])
    install(client, hosts=["other"])
    [_, hook] = client.event_hooks["request"]
    assert hook.outgoing.hosts.match("http", "other", None)
    assert not hook.outgoing.hosts.match("http", "stock", None)
    uninstall(client)
    assert client.event_hooks["request"] == hooks
    with pytest.raises(ValueError, match="does not send portable variables"):
        uninstall(client)


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
    client = httpx.Client()
    with pytest.raises(error, match=r"install\(\)"):
        install(client, **options)
    assert client.event_hooks["request"] == []
