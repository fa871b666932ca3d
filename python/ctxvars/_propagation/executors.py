"""Thread pools whose calls run in a copy of the context that they were submitted from.

Native contexts are copied, which carry our variables along with those of the standard library.
"""

from __future__ import annotations

import sys
import threading
from _contextvars import Context as NativeContext
from _contextvars import copy_context
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as _pool
from functools import partial
from typing import TYPE_CHECKING, Any

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._changes.changes import Changes
from ctxvars._public import public

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future
    from typing import ParamSpec, TypeVar, TypeVarTuple

    from ctxvars._core import Context

    _P = ParamSpec("_P")
    _T = TypeVar("_T")
    _Ts = TypeVarTuple("_Ts")

# The executors whose calls leave the process or the interpreter, by the module that defines them.
_ELSEWHERE = {
    "concurrent.futures.process": "ProcessPoolExecutor",
    "concurrent.futures.interpreter": "InterpreterPoolExecutor",
}


def can_carry(executor: object) -> bool:
    """Whether the calls of an executor can take a context along, which cannot be pickled."""
    # Who has not imported the module has no such executor; who is just importing it, neither.
    return not any(
        isinstance(executor, getattr(sys.modules.get(module), name, ()))
        for module, name in _ELSEWHERE.items()
    )


class _Worker(threading.local):
    """What the thread of a pool had set when it was first given a call that carries its context.

    That is what the `initializer` of the pool has set, as a worker is started in an empty context.
    """

    def __init__(self) -> None:
        # A call may be made by another thread than that of a pool, whose context is its own.
        is_worker = getattr(threading.current_thread(), "_target", None) is _pool._worker
        self.context = copy_context() if is_worker else NativeContext()


_worker = _Worker()
# No variable has this value.
_UNSET = object()
_NO_VARIABLES = _core.Context().bindings


def _ours(variable: object, base: object, ours: object, theirs: object) -> object:
    return ours


def _call_over(below: NativeContext, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function with the variables of `below` that the current context does not set."""
    for variable, value in below.items():
        if variable.get(_UNSET) is _UNSET:
            variable.set(value)
    # All variables of ctxvars are one of these.
    Changes(_NO_VARIABLES, _core.Context.wrap(below).bindings).apply(resolve=_ours)
    try:
        return function(*args, **kwargs)
    finally:
        # An exception keeps this frame, and `function` may be a `_Call`.
        del function


class _Call:
    """A function that runs in a context, over what the initializer of a pool has set.

    Args:
        context: where it runs, or what makes the context of each call.
    """

    __slots__ = ("_context", "_function")

    def __init__(
        self, context: NativeContext | Callable[[], NativeContext], function: Callable[..., Any]
    ) -> None:
        self._context = context
        self._function = function

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        below = _worker.context
        try:
            if not below:
                return self._run()(self._function, *args, **kwargs)
            return self._run()(_call_over, below, self._function, args, kwargs)
        finally:
            # An exception keeps this frame, and from 3.14 on one of the pool that refers to this
            # object: neither may keep the context that was made for this call.
            if isinstance(self._context, NativeContext):
                self._context = NativeContext
            del self

    def _run(self) -> Callable[..., Any]:
        context = self._context
        return (context if isinstance(context, NativeContext) else context()).run


def submit_carrying(submit: Callable[..., Any], function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call `submit`, so that `function` runs in a copy of the current context."""
    return NativeContext().run(submit, _Call(copy_context(), function), *args, **kwargs)


def submit_in(
    context: Context | NativeContext,
    submit: Callable[..., Any],
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Call `submit`, so that `function` runs in `context`.

    A worker that is started for it may inherit the context that it is started in, and would keep
    that one alive: it finds an empty one.
    """
    return NativeContext().run(submit, context.run, function, *args, **kwargs)


def map_carrying(
    map: Callable[..., _T], function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> _T:
    """Call `map`, so that each call of `function` runs in a copy of the current context.

    With a `buffersize` most calls are submitted later, by whoever iterates over the results.
    """
    return map(_Call(copy_context().copy, function), *args, **kwargs)


@public
class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A `concurrent.futures.ThreadPoolExecutor` whose calls see the context of their submitter.

    Each call runs in a copy of its own, made when it is submitted, in O(1): what it sets is seen by
    no other. The copy is given up when the call ends, and the workers themselves run in an empty
    context, whatever `sys.flags.thread_inherit_context` says. What an `initializer` sets there is
    seen by the calls, unless their submitter has set the same variable.

    Arguments, methods and errors are those of `ThreadPoolExecutor`. An event loop whose default
    executor this is carries the context in `loop.run_in_executor(None, ...)`.

    >>> from ctxvars import ContextThreadPoolExecutor, ContextVar
    >>> user = ContextVar("user")
    >>> token = user.set("Ada")
    >>> with ContextThreadPoolExecutor() as pool:
    ...     pool.submit(user.get).result(), list(pool.map(lambda n: user.get() * n, [1, 2]))
    ('Ada', ['Ada', 'AdaAda'])
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Schedule a call in a copy of the current context.

        Raises:
            TypeError: `fn` is not callable.
            RuntimeError: the executor was shut down.
        """
        check_callable("submit", "fn", fn)
        future: Future[_T] = submit_carrying(super().submit, fn, *args, **kwargs)
        return future

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[_T]:
        """Schedule a call for each item, in a copy each of the context in which `map` is called.

        Raises:
            TypeError: `fn` is not callable, or there is a `buffersize` before Python 3.14.
            RuntimeError: the executor was shut down.
        """
        check_callable("map", "fn", fn)
        options = {} if buffersize is None else {"buffersize": buffersize}
        return map_carrying(
            super().map,
            fn,
            *iterables,
            timeout=timeout,
            chunksize=chunksize,
            **options,
        )


def run_in_executor(
    loop: asyncio.AbstractEventLoop,
    executor: Executor | None,
    function: Callable[[*_Ts], _T],
    /,
    *args: *_Ts,
) -> asyncio.Future[_T]:
    """Schedule a call on another thread, in a copy of the current context.

    Args:
        loop: the loop whose `run_in_executor` is called.
        executor: a pool of threads; `None` stands for the default one of the loop.
        function: what to call.
        args: what to call it with.

    Returns:
        A future of the loop, for what `function` returns.

    Raises:
        TypeError: `function` is not callable, or `executor` runs calls in other processes or
            interpreters, where no context can go.
        RuntimeError: the executor was shut down.

    The semantics are those of `loop.run_in_executor`, which leaves the context behind, and of
    `asyncio.to_thread`, which does not let the executor be chosen. O(1).

    >>> import asyncio
    >>> from ctxvars import ContextVar, run_in_executor
    >>> user = ContextVar("user")
    >>> async def main():
    ...     user.set("Ada")
    ...     return await run_in_executor(asyncio.get_running_loop(), None, user.get)
    >>> asyncio.run(main())
    'Ada'
    """
    if not can_carry(executor):
        raise TypeError(
            "run_in_executor() argument 'executor' must run calls in threads of this interpreter: "
            f"a context cannot be sent elsewhere by {executor!r}"
        )
    check_callable("run_in_executor", "function", function)
    submit = partial(loop.run_in_executor, executor)
    future: asyncio.Future[_T] = submit_carrying(submit, function, *args)
    return future


public(run_in_executor)
