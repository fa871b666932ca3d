"""What a call did, in a form in which the standard library and ctxvars must agree."""

import re
from collections.abc import Callable

_MODULE = re.compile(r"\b(_contextvars|ctxvars)\.")
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")


def normalised(text: str) -> str:
    """Take out of a text the only two things that may differ: the module and addresses."""
    return _ADDRESS.sub("0x", _MODULE.sub("", text))


def outcome(call: Callable[[], object]) -> tuple[str, ...]:
    """Return what the call returned, or what it raised, with the causes."""
    try:
        result = call()
        return "returned", normalised(str(type(result))), normalised(repr(result))
    except Exception as error:
        chain = (error, error.__cause__, error.__context__)
        return ("raised", str(type(error)), *(normalised(f"{each} {each!r}") for each in chain))
