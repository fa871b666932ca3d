"""`ContextProcessPoolExecutor`: process pools whose calls have the values of their submitter.

A worker has a context for itself: empty, so without the values that a fork inherits, and then with
those that the `initializer` sets. Each call runs in a copy of it, with the values that were sent.

With `merge_back`, a worker returns its result as a `_Result`, which unpickles as the result itself.
Unpickling also hands the changes to the future, found by a number in a table of weak references. So
the future gets the plain result, from the code of the standard library.
"""

from __future__ import annotations

import itertools
from _contextvars import Context as NativeContext
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._changes.changes import Changes
from ctxvars._portable import registry
from ctxvars._portable.processes.payload import (
    are_immutable,
    dumped,
    dumps_for_this_machine,
    loads_values,
)
from ctxvars._public import public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from multiprocessing.context import BaseContext
    from typing import ParamSpec

    _P = ParamSpec("_P")

_T = TypeVar("_T")

# In a worker


_worker = NativeContext()
"""The context that the initializer of this worker has run in. It is never entered otherwise."""


def _initialize(initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
    global _worker, _prepared
    # A worker of a pool that a worker starts must not see what its parent has set.
    _worker = NativeContext()
    _prepared = None, None, _worker
    if initializer is not None:
        _worker.run(initializer, *initargs)


def _context_for(payload: bytes) -> NativeContext:
    """Return a context for one call.

    The jobs of a request mostly have the same values. If these cannot change, the next job gets a
    copy of the context that has been prepared for this one.
    """
    global _prepared
    tables, last_payload, context = _prepared
    if payload == last_payload and tables is registry._tables:
        return context.copy()
    context = _worker.copy()
    values = loads_values(payload, is_packed=False)
    context.run(_core.scope(values).__enter__)
    if are_immutable(values.values()):
        _prepared = registry._tables, payload, context
        return context.copy()
    return context


_prepared: tuple[registry.Tables | None, bytes | None, NativeContext] = (None, None, _worker)


def _run(payload: bytes, function: Callable[..., _T], /, *args: Any, **kwargs: Any) -> _T:
    return _context_for(payload).run(function, *args, **kwargs)


def _run_collecting(
    number: int,
    payload: bytes,
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> _Result:
    context = _context_for(payload)
    bindings = _core.Context.wrap(context)
    before = bindings.bindings
    result = context.run(function, *args, **kwargs)
    changed = {each.key: each.new for each in _core.changed_bindings(before, bindings.bindings)}
    return _Result(number, result, changed)


class _Each:
    """A function that is mapped: each call runs in its own context."""

    __slots__ = ("_function", "_payload")

    def __init__(self, payload: bytes, function: Callable[..., Any]) -> None:
        self._payload = payload
        self._function = function

    def __call__(self, /, *args: Any) -> Any:
        return _run(self._payload, self._function, *args)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Each, (self._payload, self._function)


# On the way back


class _Result:
    """A result that unpickles as itself, and hands the changes to the future."""

    __slots__ = ("_changed", "_number", "_result")

    def __init__(
        self, number: int, result: object, changed: dict[_core.ContextVar[Any], Any]
    ) -> None:
        self._number = number
        self._result = result
        self._changed = changed

    def __reduce__(self) -> tuple[Any, ...]:
        values = [
            (name, declared.module, self._changed[declared.variable])
            for name, declared in registry.tables().by_name.items()
            if declared.variable in self._changed and declared.pack is None
        ]
        return _receive, (self._number, self._result, dumped(values))


def _receive(number: int, result: _T, payload: bytes) -> _T:
    waiting = _waiting.get(number)
    if waiting is not None:
        waiting.payload = payload
    return result


class _Waiting:
    """A call whose changes have not come back."""

    __slots__ = ("__weakref__", "_context", "payload")

    def __init__(self) -> None:
        self._context = _core.copy_context()
        self.payload = b""

    def changes(self) -> Changes:
        base, changed = self._context.bindings, self._context.copy()
        changed.run(_core.scope(loads_values(self.payload)).__enter__)
        return Changes(base, changed.bindings)


_waiting: WeakValueDictionary[int, _Waiting] = WeakValueDictionary()
_numbers = itertools.count()


@public
class ContextFuture(Future[_T]):
    """The future of a call in a `ContextProcessPoolExecutor` with `merge_back=True`."""

    if TYPE_CHECKING:
        # Set by `submit`: the future is made of a plain one, whose constructor has run.
        _call: _Waiting

    def changes(self, timeout: float | None = None) -> Changes:
        """Return the changes that the call has made to portable variables.

        It waits for the call, and raises what `result` raises. `changes().apply()` makes the
        changes in the current context, by a three-way merge with what has changed here since the
        call was submitted.
        """
        self.result(timeout)
        return self._call.changes()


@public
class ContextProcessPoolExecutor(ProcessPoolExecutor):
    """A `concurrent.futures.ProcessPoolExecutor` whose calls have the values of their submitter.

    Each call sees the portable variables as they were set where it was submitted, and no other
    values: neither those of earlier calls, nor those that the worker was forked with. It does see
    what the `initializer` has set. This holds for all start methods.

    Args:
        merge_back: whether changes come back. `submit` then returns a `ContextFuture`, whose
            `changes()` are those of the call. Changes of calls that raise an exception are lost,
            and `map` does not return any.

    Other arguments, methods and errors are those of `ProcessPoolExecutor`. Values and functions
    have to be pickled, so declare variables in modules. Pickling the values is O(declared variables
    + size of the values) for each call of `submit`, and once for `map`.

    Raises:
        Exception: a value cannot be pickled. A note names its variable.

    >>> import multiprocessing
    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.pool")
    >>> fork = multiprocessing.get_context("fork")
    >>> with ctxvars.ContextProcessPoolExecutor(1, fork) as pool, tenant.scope("globex"):
    ...     pool.submit(ctxvars.inject).result()
    {'baggage': 'acme.tenant.pool=globex'}
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        merge_back: bool = False,
    ) -> None:
        if initializer is not None:
            check_callable("ContextProcessPoolExecutor", "initializer", initializer)
        options: dict[str, Any] = {}
        if max_tasks_per_child is not None:
            options["max_tasks_per_child"] = max_tasks_per_child
        super().__init__(max_workers, mp_context, _initialize, (initializer, initargs), **options)
        self._merge_back = merge_back

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Schedule a call with the current values of portable variables.

        Raises:
            TypeError: `fn` is not callable.
            RuntimeError: the executor was shut down.
            BrokenProcessPool: a worker has ended abruptly.
        """
        check_callable("submit", "fn", fn)
        if isinstance(fn, partial) and fn.args and type(fn.args[0]) is _Each:
            # From `map`: each item has the values of the time when `map` was called.
            return super().submit(fn, *args, **kwargs)
        payload = dumps_for_this_machine()
        if not self._merge_back:
            return super().submit(_run, payload, fn, *args, **kwargs)
        number, waiting = next(_numbers), _Waiting()
        _waiting[number] = waiting
        inner: Future[Any] = super().submit(_run_collecting, number, payload, fn, *args, **kwargs)
        inner.__class__ = ContextFuture
        future: ContextFuture[_T] = inner  # type: ignore[assignment]
        future._call = waiting
        return future

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Schedule a call for each item, with the values of the time when `map` is called.

        Raises:
            TypeError: `fn` is not callable, or there is a `buffersize` before Python 3.14.
            ValueError: `chunksize` is less than 1.
        """
        check_callable("map", "fn", fn)
        options = {} if buffersize is None else {"buffersize": buffersize}
        each = _Each(dumps_for_this_machine(), fn)
        return super().map(each, *iterables, timeout=timeout, chunksize=chunksize, **options)
