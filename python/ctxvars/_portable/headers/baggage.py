"""The header `baggage` of W3C: its grammar and its limits.

    baggage-string = list-member 0*179( OWS "," OWS list-member )
    list-member    = key OWS "=" OWS value *( OWS ";" OWS property )
    property       = key OWS "=" OWS value / key OWS
    key            = token                      ; RFC 7230, section 3.2.6
    value          = *baggage-octet             ; percent-encoded UTF-8
    baggage-octet  = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E

Each function takes time linear in its argument.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote as _quote
from urllib.parse import unquote as _unquote

HEADER = "baggage"
MAX_MEMBERS = 64
MAX_BYTES = 8192
"""Of all repeated headers together, with the commas between them."""

# Characters that are sent as they are. The grammar allows more, but some readers decode `+` as a
# space, or split at the second `=`. A percent sign is always encoded.
_SAFE = "-._~:/@"
_is_safe = re.compile(r"[A-Za-z0-9\-._~:/@]*").fullmatch

_KEY = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
# A percent sign that does not begin an encoded octet.
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
OWS = " \t"


def quote(text: str) -> str:
    """Percent-encode the UTF-8 of a text, unless all its characters are safe.

    Raises:
        UnicodeEncodeError: the text contains a surrogate, which UTF-8 cannot encode.
    """
    return text if _is_safe(text) else _quote(text, safe=_SAFE)


def unquote(value: str) -> str:
    """Decode a value: a `+` stays, and octets that are not UTF-8 become U+FFFD.

    Raises:
        ValueError: a percent sign is not followed by two hexadecimal digits.
    """
    if _BAD_PERCENT.search(value):
        raise ValueError("a percent sign must be followed by two hexadecimal digits")
    return _unquote(value, errors="replace")


class Member(NamedTuple):
    """A list-member. Its value is still percent-encoded."""

    name: str
    value: str
    properties: tuple[str, ...]


def is_plain(text: str) -> bool:
    """Whether a header has only characters of members: no white space, and none that are illegal.

    In such a header, members are split at commas, and values need no further checks.
    """
    return (
        text.isascii()
        and text.isprintable()
        and " " not in text
        and '"' not in text
        and "\\" not in text
    )


def parse_member(text: str) -> Member | None:
    """Return a list-member, or `None` if it violates the grammar."""
    first, *properties = text.split(";")
    name, equals, value = first.partition("=")
    name, value = name.strip(OWS), value.strip(OWS)
    if not equals or not _KEY.fullmatch(name) or not _VALUE.fullmatch(value):
        return None
    stripped = []
    for each in properties:
        key, equals, of_property = (part.strip(OWS) for part in each.partition("="))
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(of_property):
            return None
        stripped.append(f"{key}{equals}{of_property}")
    return Member(name, value, tuple(stripped))


def version_of(properties: tuple[str, ...]) -> int:
    """Return the version of a member, 1 if it has none; 0 for one that cannot be read."""
    versions = [each[2:] for each in properties if each.startswith("v=")]
    if not versions:
        return 1
    text = versions[0]
    is_version = len(versions) == 1 and text.isascii() and text.isdigit() and len(text) <= 4
    return int(text) if is_version else 0


def within_limits(text: str) -> tuple[list[str], int]:
    """Return the first members of a header, within the limits, and the number of the others.

    A member that exceeds a limit is dropped as a whole, and so are all members behind it. Empty
    members, which lists of HTTP may have, count as well.
    """
    if len(text) <= MAX_BYTES and text.count(",") < MAX_MEMBERS:
        return text.split(","), 0
    total = text.count(",") + 1
    if len(text) > MAX_BYTES:
        # The comma behind the last member that fits may be the first character over the limit.
        end = text.rfind(",", 0, MAX_BYTES + 1)
        text = text[:end] if end >= 0 else ""
    members = text.split(",", MAX_MEMBERS)[:MAX_MEMBERS] if text else []
    return members, total - len(members)
