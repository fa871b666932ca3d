"""The options that all integrations take are checked when an integration is installed."""

from __future__ import annotations

from typing import Any

import pytest

import ctxvars
from ctxvars.integrations._shared.options import checked_options

tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "tests.options.tenant")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"to": "everywhere"}, ValueError, "install.. argument 'to' must be 'process', "),
        ({"accept": "anything"}, ValueError, "install.. argument 'accept' must be 'process', "),
        ({"accept": None}, TypeError, "install.. argument 'accept' must be a level or a coll"),
        ({"signer": b"secret"}, TypeError, "install.. argument 'signer' must be a ctxvars.Sig"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        checked_options("install", **options)


def test_names_may_come_from_an_iterator() -> None:
    options = checked_options("install", accept=iter(["tests.options.tenant"]))
    for value in ("globex", "acme"):
        with options.extract({"baggage": f"tests.options.tenant={value}"}):
            assert tenant.get() == value


def test_names_are_checked_when_values_are_received() -> None:
    options = checked_options("install", accept=["tests.options.later"])
    later = ctxvars.portable(ctxvars.ContextVar("later"), "tests.options.later")
    with options.extract({"baggage": "tests.options.later=1"}):
        assert later.get() == "1"
    with pytest.raises(ValueError, match=r"extract.. cannot accept 'tests.options.never'"):
        checked_options("install", accept=["tests.options.never"]).extract({})
