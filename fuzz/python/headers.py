"""A fuzz target: headers of an attacker, made by atheris from the branches that they take.

    python fuzz/python/headers.py [OPTIONS OF LIBFUZZER] [CORPUS]

For any text, `extract` raises nothing, its short cut agrees with the full reading, the values that
were taken are received again when they are sent on, and no value passes without its signature.
"""

import contextvars
import sys
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import atheris

with atheris.instrument_imports(include=["ctxvars._portable"]):
    import ctxvars
    from ctxvars._portable import registry
    from ctxvars._portable.headers.extract import Reading, read_plain


class Colour(Enum):
    RED = "red"


CODECS = {
    each.__name__: each
    for each in (str, int, bool, float, bytes, UUID, datetime, date, Decimal, Colour)
} | {"json": "json", "optional": str | None}
VARIABLES = {
    name: ctxvars.portable(ctxvars.ContextVar(name), name, codec=codec)
    for name, codec in CODECS.items()
}
VARIABLES["newer"] = ctxvars.portable(
    ctxvars.ContextVar("newer"), "newer", codec=int, version=2, older={1: len}
)
signer = ctxvars.Signer({"key": bytes(16)}, clock=lambda: 1000.0)
signed_by_others = ctxvars.Signer({"key": bytes(range(16))}, clock=lambda: 1000.0)


def check(text: str) -> None:
    headers = {"baggage": text}
    received = ctxvars.extract(headers)
    tables = registry.tables()
    values = read_plain(text, tables.readers["internal"])
    if values is not None:
        reading = Reading(tables, tables.readers["internal"])
        reading.read(text, None)
        # Not by `==`: NaN. A deadline counts from the moment when it is read.
        assert values.keys() == reading.values.keys()
        assert not reading.errors
        assert not reading.foreign
    with received:
        sent = ctxvars.inject({})
        again = ctxvars.extract(sent)
        assert again.values.keys() == received.values.keys()
        for variable in VARIABLES.values():
            assert repr(again.values.get(variable)) == repr(received.values.get(variable))
        forged = ctxvars.inject({}, signer=signed_by_others)
    for each in (headers, forged):
        if "ctxvars.signature=key/" not in each.get("baggage", "") or each is forged:
            assert not ctxvars.extract(each, signer=signer).values


def test_one_input(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    contextvars.Context().run(check, provider.ConsumeUnicode(atheris.ALL_REMAINING))


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
