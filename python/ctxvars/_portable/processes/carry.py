"""`carry`: a function that is pickled together with the values of portable variables."""

from __future__ import annotations

import pickle
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import update_wrapper
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._portable.processes.payload import Dumps, context_for, dumps_values
from ctxvars._public import public

_P = ParamSpec("_P")
_T = TypeVar("_T")

_BODIES = (Coroutine, Generator, AsyncGenerator)


@public
class CarriedFunction(Generic[_P, _T]):
    """The result of `carry`: a function that can be pickled with the values of variables."""

    if TYPE_CHECKING:
        __wrapped__: Callable[_P, _T]

    def __init__(self, function: Callable[_P, _T], payload: bytes, clear_missing: bool) -> None:
        # The name and the signature, for engines that show or inspect them. `updated` is empty: the
        # attributes of the function are not those of this object.
        update_wrapper(self, function, updated=())
        self._payload = payload
        self._clear_missing = clear_missing
        if iscoroutinefunction(function):
            _mark_as_coroutine_function(self)

    def __call__(self, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        context = context_for(self._payload, self._clear_missing)
        result = context.run(self.__wrapped__, *args, **kwargs)
        # Steps of a coroutine or a generator run later, and in the same context.
        return _core.isolate(result, context, False) if isinstance(result, _BODIES) else result

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        from types import MethodType

        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return CarriedFunction, (self.__wrapped__, self._payload, self._clear_missing)

    def __repr__(self) -> str:
        return f"<ctxvars.carry({self.__wrapped__!r})>"


def _mark_as_coroutine_function(function: Any) -> None:
    if sys.version_info >= (3, 12):
        from inspect import markcoroutinefunction

        markcoroutinefunction(function)
    else:
        # What `asyncio.iscoroutinefunction` looks at.
        from asyncio.coroutines import _is_coroutine  # type: ignore[attr-defined]

        function._is_coroutine = _is_coroutine


def carry(
    function: Callable[_P, _T],
    /,
    *,
    clear_missing: bool = True,
    dumps: Dumps = pickle.dumps,
) -> CarriedFunction[_P, _T]:
    """Return a function that runs with the current values of portable variables, also elsewhere.

    Args:
        function: a function that the engine can pickle. Coroutine functions and generator functions
            stay such functions.
        clear_missing: whether declared variables without a value here have none there, either,
            whatever the worker has. Otherwise they keep the values of the worker.
        dumps: pickles the values, which `pickle.loads` has to read. `cloudpickle.dumps` takes more
            types.

    Each call runs in a copy of the context of the worker, so no other call sees the variables that
    it sets. The values are pickled now: objects that change later do not change there. A deadline
    is sent as remaining time. The variables are declared when their modules are imported, which the
    receiver does.

    Raises:
        TypeError: `function` is not callable.

    An exception that pickling a value raises is passed on, with a note that names the variable.
    O(declared variables + size of the values).

    >>> import pickle
    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.carried")
    >>> with tenant.scope("globex"):
    ...     job = pickle.dumps(ctxvars.carry(ctxvars.inject))
    >>> pickle.loads(job)()  # in another process
    {'baggage': 'acme.tenant.carried=globex'}
    """
    check_callable("carry", "function", function)
    check_callable("carry", "dumps", dumps)
    return CarriedFunction(function, dumps_values(dumps), clear_missing)


public(carry)
