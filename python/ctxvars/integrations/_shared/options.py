"""The options that all integrations take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ctxvars._portable.declaration import Level, check_level
from ctxvars._portable.headers.extract import Accept, Received, extract
from ctxvars._portable.headers.inject import inject
from ctxvars._portable.headers.signing import Signer


class Options(NamedTuple):
    """What an integration sends and accepts."""

    to: Level
    accept: Accept
    signer: Signer | None

    def inject(self, headers: Any, setter: Any = None) -> Any:
        """Write the values of portable variables into headers."""
        return inject(headers, to=self.to, signer=self.signer, setter=setter)

    def extract(self, headers: Any, getter: Any = None) -> Received:
        """Read the values of portable variables from headers.

        In the block, a declared variable that was not sent has no value.
        """
        return extract(headers, accept=self.accept, signer=self.signer, getter=getter)


def checked_options(
    function: str, to: Level = "internal", accept: Accept = "internal", signer: Any = None
) -> Options:
    """Return the options, if their types are right.

    Names in `accept` are checked by the first `extract`: modules that declare variables may be
    imported later than the integration is installed.
    """
    check_level(function, "to", to)
    if isinstance(accept, str):
        check_level(function, "accept", accept)
    elif isinstance(accept, Iterable):
        # An iterator would be exhausted by the first request.
        accept = frozenset(accept)
    else:
        raise TypeError(
            f"{function}() argument 'accept' must be a level or a collection of names, "
            f"got {accept!r}"
        )
    if signer is not None and not isinstance(signer, Signer):
        raise TypeError(f"{function}() argument 'signer' must be a ctxvars.Signer, got {signer!r}")
    return Options(to, accept, signer)
