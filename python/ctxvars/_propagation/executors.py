"""Thread pools whose calls run in a copy of the context in which they are submitted.

The copies are native contexts, which carry the variables of ctxvars and of the standard library.
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

# Executors whose calls run in another process or interpreter, by the modules that define them.
_ELSEWHERE = {
    "concurrent.futures.process": "ProcessPoolExecutor",
    "concurrent.futures.interpreter": "InterpreterPoolExecutor",
}


def can_carry(executor: object) -> bool:
    """Whether the calls of an executor can run in a context: contexts cannot be pickled."""
    # As long as the module is not imported, such an executor cannot exist.
    return not any(
        isinstance(executor, getattr(sys.modules.get(module), name, ()))
        for module, name in _ELSEWHERE.items()
    )


class _Worker(threading.local):
    """The context of a worker thread, as of the first call that carries a context.

    A worker starts in an empty context, so it has the values that the `initializer` has set.
    """

    def __init__(self) -> None:
        # On a thread that does not belong to a pool, the context is not that of an initializer.
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
    # One native variable carries all variables of ctxvars.
    Changes(_NO_VARIABLES, _core.Context.wrap(below).bindings).apply(resolve=_ours)
    try:
        return function(*args, **kwargs)
    finally:
        # The traceback of an exception keeps this frame alive, and `function` may be a `_Call`.
        del function


class _Call:
    """A function that runs in a context.

    Where the context has no value, the function sees the value that the `initializer` has set.

    Args:
        context: the context, or a function that makes one for each call.
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
            # The traceback of an exception keeps this frame alive; from 3.14 on, it also keeps a
            # frame of the pool alive that refers to this object. Neither frame may keep the context
            # alive.
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

    The pool may start a worker for the call, which may inherit the current context and keep it
    alive. So an empty context is current during `submit`.
    """
    return NativeContext().run(submit, context.run, function, *args, **kwargs)


def map_carrying(
    map: Callable[..., _T], function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> _T:
    """Call `map`, so that each call of `function` runs in a copy of the current context.

    With a `buffersize` most calls are submitted later, while the results are iterated over.
    """
    return map(_Call(copy_context().copy, function), *args, **kwargs)


@public
class ContextThreadPoolExecutor(ThreadPoolExecutor):
    """A `concurrent.futures.ThreadPoolExecutor` whose calls run in the context of their submitter.

    Each call runs in a new copy of the context, made in O(1) when the call is submitted. Other
    calls do not see the variables that it sets, and the copy is dropped when the call ends. The
    worker threads run in an empty context, whatever `sys.flags.thread_inherit_context` is. Calls
    see the variables that the `initializer` sets there, unless their submitter has set them, too.

    Arguments, methods and errors are those of `ThreadPoolExecutor`. As the default executor of an
    event loop, it carries the context in `loop.run_in_executor(None, ...)`.

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
        """Schedule a call for each item, each in a new copy of the context that `map` is called in.

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
        executor: a thread pool; `None` for the default executor of the loop.
        function: the function to call.
        args: the arguments of the function.

    Returns:
        A future of the loop, for the result of the function.

    Raises:
        TypeError: `function` is not callable, or `executor` runs calls in other processes or
            interpreters: contexts cannot be sent there.
        RuntimeError: the executor was shut down.

    Unlike `loop.run_in_executor`, it carries the context; unlike `asyncio.to_thread`, it takes an
    executor. Otherwise the semantics are those of these functions. O(1).

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
