"""Portable values in the environment variables of subprocesses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER
from ctxvars._portable.headers.extract import Received, extract
from ctxvars._portable.headers.inject import inject
from ctxvars._public import public

VARIABLE = HEADER.upper()
"""The name that OpenTelemetry gives to the header in the environment."""


def environment_with(
    environment: Mapping[str, str] | None = None, /, *, to: Level = "process"
) -> dict[str, str]:
    """Return an environment for a subprocess, with the portable values as the variable `BAGGAGE`.

    Args:
        environment: the other environment variables; `os.environ` by default. A `BAGGAGE` that it
            has is replaced, or left out if there are no values.
        to: as for `inject`. Other processes of the machine may be able to read the environment.

    Raises:
        ValueError: the values exceed the limits, as for `inject`.

    O(declared variables + environment variables).

    >>> import subprocess, sys
    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.environment")
    >>> with tenant.scope("globex"):
    ...     environment = ctxvars.environment_with({"LANG": "C"})
    >>> environment
    {'LANG': 'C', 'BAGGAGE': 'acme.tenant.environment=globex'}
    """
    given: Mapping[str, str] = os.environ if environment is None else environment
    result = {name: value for name, value in given.items() if name.lower() != HEADER}
    values = inject(to=to).get(HEADER)
    if values:
        result[VARIABLE] = values
    return result


def extract_environment(
    environment: Mapping[str, str] | None = None, /, **options: Any
) -> Received:
    """Read portable values from `BAGGAGE`; return a context manager that sets them.

    Args:
        environment: `os.environ` by default.
        options: those of `extract`. By default, all declared variables are accepted: the parent
            process controls this one in any case.

    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.child")
    >>> with ctxvars.extract_environment({"BAGGAGE": "acme.tenant.child=globex"}):
    ...     tenant.get()
    'globex'
    """
    given: Mapping[str, str] = os.environ if environment is None else environment
    options.setdefault("accept", "process")
    return extract([(HEADER, given.get(VARIABLE, ""))], **options)


public(environment_with)
public(extract_environment)
