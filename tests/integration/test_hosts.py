"""The hosts that HTTP clients send values to."""

from __future__ import annotations

from typing import Any

import pytest

from ctxvars.integrations._shared.hosts import Hosts


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port"),
    [
        ("stock", "http", "stock", None),
        ("stock", "http", "stock", 8080),
        ("Stock.Example", "https", "stock.EXAMPLE", None),
        ("stock.example.", "http", "stock.example", None),
        ("stock.example", "http", "stock.example.", None),
        ("stock:8080", "http", "stock", 8080),
        ("stock:80", "http", "stock", None),
        ("stock:443", "HTTPS", "stock", None),
        ("stock:443", "wss", "stock", None),
        ("my_stock", "http", "my_stock", None),
        ("*.example", "http", "stock.example", None),
        ("*.example", "http", "a.b.example", None),
        ("*.Example:443", "https", "stock.example", None),
        ("*.xn--bcher-kva.example", "http", "a.xn--bcher-kva.example", None),
        ("10.0.0.7", "http", "10.0.0.7", 80),
        ("10.0.0.7:80", "http", "10.0.0.7", None),
        ("::1", "http", "::1", 8000),
        ("[::1]", "http", "[::1]", 8000),
        ("[::1]:8000", "http", "0:0:0:0:0:0:0:1", 8000),
        ("[FE80::A]", "http", "fe80:0::a", None),
    ],
)
def test_a_host_matches(pattern: str, scheme: str, host: str, port: int | None) -> None:
    assert Hosts("install", ["other.example", pattern]).match(scheme, host, port)


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port"),
    [
        ("stock", "http", "stock.evil.example", None),
        ("stock", "http", "evilstock", None),
        ("stock", "http", "evil-stock", None),
        ("stock", "http", "", None),
        ("stock", "http", None, None),
        ("stock:8080", "http", "stock", None),
        ("stock:8080", "http", "stock", 80),
        ("stock:443", "http", "stock", None),
        ("stock:80", "unknown", "stock", None),
        ("*.example", "http", "example", None),
        ("*.example", "http", ".example", None),
        ("*.example", "http", "evilexample", None),
        ("*.example", "http", "evil-example", None),
        ("*.example", "http", "stock.example.evil", None),
        ("*.example:443", "https", "stock.example", 444),
        ("*.example", "http", "stock.example..", None),
        ("10.0.0.7", "http", "10.0.0.70", None),
        ("10.0.0.7", "http", "110.0.0.7", None),
        # Punycode of the name, and what IDNA 2003 makes of it.
        ("strasse.example", "http", "stra\xdfe.example", None),
        ("[::1]", "http", "::11", None),
        ("[::1]:8000", "http", "::1", 8001),
    ],
)
def test_another_host_does_not_match(
    pattern: str, scheme: str, host: str | None, port: int | None
) -> None:
    assert not Hosts("install", [pattern]).match(scheme, host, port)


def test_no_host_matches_an_empty_list() -> None:
    assert not Hosts("install", []).match("http", "localhost", None)


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "*", "*.", ".example", "*example", "a*.example", "stock.*", "*.*.example"),
        *("http://stock", "stock/", "stock/path", "user@stock", "stock:", "stock:x", "stock:0"),
        *(
            "stock:65536",
            "stock:-1",
            "stock:80:90",
            "sto ck",
            "stock\n",
            "-stock",
            "stock..example",
        ),
        *("b\xfccher.example", "*.0.0.1", "*.1", "[::1", "[::1]8000", "[stock]", "*.::1"),
        *("[::1]:", "[]", "[]:80", 80, None, b"stock"),
    ],
)
def test_something_else_is_refused(pattern: Any) -> None:
    with pytest.raises(ValueError, match=r"install\(\) argument 'hosts' must have hosts such as"):
        Hosts("install", ["stock", pattern])


@pytest.mark.parametrize("hosts", ["stock", None, 3])
def test_one_host_is_not_a_list(hosts: Any) -> None:
    with pytest.raises(TypeError, match="'hosts' must be a collection of hosts"):
        Hosts("install", hosts)
