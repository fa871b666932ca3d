"""The values of portable variables as a pickle, and the context that a job runs in.

Only for calls that are pickled anyway: to unpickle is to run code of the sender.
"""

from __future__ import annotations

import logging
import pickle
from _contextvars import Context as NativeContext
from _contextvars import copy_context
from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from operator import is_
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from ctxvars._core import ContextVar, scope
from ctxvars._portable import registry
from ctxvars._portable.registry import UNSET
from ctxvars._public import public

Dumps: TypeAlias = Callable[[Any], bytes]

_logger = logging.getLogger("ctxvars.portable")
_logged: set[str] = set()


def dumps_values(dumps: Dumps = pickle.dumps) -> bytes:
    """Return the values of all portable variables, pickled together; b"" without any value.

    Raises:
        Exception: a value cannot be pickled. A note names its variable.
    """
    tables = registry._tables or registry.tables()
    values = []
    for name, declared in tables.by_name.items():
        value = declared.variable.get(UNSET)
        if value is not UNSET:
            if declared.pack is not None:
                value = declared.pack(value)
            values.append((name, declared.module, value))
    return dumped(values, dumps) if values else b""


def dumps_for_this_machine() -> bytes:
    """Return the values as `dumps_values` does, but deadlines as times of the clock.

    All processes of a machine share the monotonic clock, so the time that a call waits for a worker
    counts. The jobs of a request mostly have the same values. If these are the same objects, and
    cannot change, the last result is returned again.
    """
    global _last_dumped
    tables = registry._tables or registry.tables()
    values = [variable.get(UNSET) for variable in tables.absent]
    last_tables, last_values, payload = _last_dumped
    if last_tables is tables and all(map(is_, last_values, values)):
        return payload
    named = [
        (name, declared.module, value)
        for (name, declared), value in zip(tables.by_name.items(), values, strict=True)
        if value is not UNSET
    ]
    payload = dumped(named) if named else b""
    if are_immutable(values):
        _last_dumped = tables, values, payload
    return payload


_last_dumped: tuple[registry.Tables | None, list[Any], bytes] = (None, [], b"")
_IMMUTABLE = frozenset(
    (bool, bytes, date, datetime, Decimal, float, int, NoneType, str, UUID, type(UNSET))
)


def are_immutable(values: Iterable[Any]) -> bool:
    """Whether the values cannot change: two jobs cannot use one of them to share anything."""
    return _IMMUTABLE.issuperset(map(type, values))


def dumped(values: list[tuple[str, str, Any]], dumps: Dumps = pickle.dumps) -> bytes:
    """Pickle names, modules and values."""
    try:
        return dumps(values)
    except Exception:
        for name, _, value in values:
            try:
                dumps(value)
            except Exception as error:
                error.add_note(f"while sending the portable variable {name!r}")
                raise
        raise


def loads_values(payload: bytes, is_packed: bool = True) -> dict[ContextVar[Any], Any]:
    """Return the values in a payload, by their variables.

    A variable that is not declared here, even after its module was imported, is left out and logged
    once: a worker may run an older version of the program than the sender.

    Raises:
        Exception: a value cannot be unpickled.
    """
    found: dict[ContextVar[Any], Any] = {}
    if not payload:
        return found
    by_name = registry.tables().by_name
    for name, module, value in pickle.loads(payload):
        declared = by_name.get(name) or _declared(name, module)
        if declared is not None:
            if is_packed and declared.unpack is not None:
                value = declared.unpack(value)
            found[declared.variable] = value
    return found


def _declared(name: str, module: str) -> registry.Declared | None:
    declared = registry.import_declaration(name, module)
    if declared is None and name not in _logged:
        _logged.add(name)
        _logger.warning(
            "dropped the portable variable %r: %s does not declare it here (logged once)",
            name,
            module,
        )
    return declared


def set_values(payload: bytes, clear_missing: bool) -> None:
    """Set the values in a payload in the current context, which is dropped after the job."""
    values = loads_values(payload)
    if clear_missing:
        values = {**registry.tables().absent, **values}
    if values:
        scope(values).__enter__()


def context_for(payload: bytes, clear_missing: bool) -> NativeContext:
    """Return a copy of the current context, with the values of a payload."""
    context = copy_context()
    context.run(set_values, payload, clear_missing)
    return context


def clear_portable() -> None:
    """Take the values of all portable variables away, in the current context.

    A worker that was forked has the values of the context that it was forked in. So this is an
    initializer for workers that ctxvars does not start, such as those of `multiprocessing.Pool`.
    Then send the values of each call by `carry`. O(declared variables).

    >>> import multiprocessing
    >>> import ctxvars
    >>> with multiprocessing.Pool(1, initializer=ctxvars.clear_portable) as pool:
    ...     pool.apply(ctxvars.carry(abs), (-1,))
    1
    """
    scope(registry.tables().absent).__enter__()


public(clear_portable)
