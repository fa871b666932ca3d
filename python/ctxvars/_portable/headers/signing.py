"""`Signer`: HMAC-SHA256 over the members of a header, with rotating keys and an age.

The signature is a member itself: `ctxvars.signature=KEY/TIME/MAC/NAME:NAME`. It lists the names
that it covers, because other services add members that have no signature. Slashes and colons are
legal in values, but not in names, and so separate the parts. The MAC covers the decoded values: a
service in between may encode them in another way.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from ctxvars._arguments import check_callable
from ctxvars._portable.declaration import RESERVED
from ctxvars._public import public

SIGNATURE = f"{RESERVED}signature"
Signed: TypeAlias = tuple[str, int, str]
"""What is signed of a member: the name, the version and the text."""

MIN_KEY_BYTES = 16
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIME = re.compile(r"[0-9]{1,12}")


@public
class Signer:
    """Signs headers and verifies their signatures, by HMAC-SHA256 with a shared secret.

    `inject(..., signer=signer)` signs the members of all declared variables together, so values of
    two requests cannot be mixed. `extract(..., signer=signer)` takes values only from members that
    a valid signature covers.

    Args:
        keys: the secrets, by the names that are sent with the signatures. The first one signs; all
            of them verify. To rotate keys, first add the new key at the end everywhere, then move
            it to the front, and remove the old one when its signatures have expired.
        max_age: the seconds that a signature is valid.
        leeway: how many seconds the clock of the sender may be ahead.
        clock: returns the current time in seconds, as `time.time`.

    A signature says that a service with the key has sent these values. It does not hide them, and
    within `max_age` it can be sent again with another request.

    Raises:
        ValueError: there are no keys, a secret has fewer than 16 bytes, or the name of a key is
            empty, too long, or has characters other than letters, digits, `.`, `_` and `-`.
        TypeError: a secret is not `bytes`, or `clock` is not callable.

    >>> import secrets
    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.signed")
    >>> signer = ctxvars.Signer({"2026-11": secrets.token_bytes(32)})
    >>> with tenant.scope("globex"):
    ...     headers = ctxvars.inject({}, signer=signer)
    >>> with ctxvars.extract(headers, signer=signer):
    ...     tenant.get()
    'globex'
    >>> headers["baggage"] = headers["baggage"].replace("globex", "initech")
    >>> ctxvars.extract(headers, signer=signer).errors
    (CarrierError(name='acme.tenant.signed', reason='signature', members=1),)
    """

    __slots__ = ("_clock", "_first", "_keys", "_leeway", "_max_age")

    def __init__(
        self,
        keys: Mapping[str, bytes],
        /,
        *,
        max_age: float = 300.0,
        leeway: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not keys:
            raise ValueError("Signer() needs at least one key")
        for name, secret in keys.items():
            if not isinstance(name, str) or not _KEY_ID.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a key")
            if not isinstance(secret, bytes):
                raise TypeError(f"the secret of key {name!r} must be bytes")
            if len(secret) < MIN_KEY_BYTES:
                raise ValueError(f"the secret of key {name!r} has fewer than {MIN_KEY_BYTES} bytes")
        check_callable("Signer", "clock", clock)
        self._keys = dict(keys)
        self._first = next(iter(self._keys))
        self._max_age = max_age
        self._leeway = leeway
        self._clock = clock

    def __repr__(self) -> str:
        # Without the secrets: representations end in logs.
        return f"<ctxvars.Signer with keys {', '.join(self._keys)}>"

    def sign(self, members: Iterable[Signed], /) -> str:
        """Return the value of the signature member. O(length)."""
        members = sorted(members)
        issued = str(int(self._clock()))
        mac = _mac(self._keys[self._first], self._first, issued, members)
        return f"{self._first}/{issued}/{mac}/{':'.join(name for name, _, _ in members)}"

    def verify(self, value: str, members: Mapping[str, Signed], /) -> frozenset[str]:
        """Return the names of the members that the signature covers; none if it is not valid.

        O(length), whatever the signature is.
        """
        key, _, rest = value.partition("/")
        issued, _, rest = rest.partition("/")
        mac, _, listed = rest.partition("/")
        names = listed.split(":") if listed else []
        if key not in self._keys or not _TIME.fullmatch(issued) or not mac.isascii():
            return frozenset()
        age = self._clock() - int(issued)
        if not -self._leeway <= age <= self._max_age or any(name not in members for name in names):
            return frozenset()
        # `sign` lists each name once. The value of a repeated name would be hashed each time.
        if len(set(names)) != len(names):
            return frozenset()
        expected = _mac(self._keys[key], key, issued, [members[name] for name in names])
        return frozenset(names) if hmac.compare_digest(expected, mac) else frozenset()


def _mac(secret: bytes, key: str, issued: str, members: list[Signed]) -> str:
    """Return the MAC in base64url. Each part is preceded by its length, so no two inputs agree."""
    parts = [key, issued, *(str(part) for member in members for part in member)]
    encoded = (part.encode("utf-8", "surrogatepass") for part in parts)
    message = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return urlsafe_b64encode(hmac.digest(secret, message, "sha256")).rstrip(b"=").decode("ascii")
