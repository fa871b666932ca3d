"""`run_collecting`: runs a function in a private context, and returns its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, overload

from ctxvars._changes.changes import Changes
from ctxvars._changes.private_context import Collector, PrivateContext, run_in
from ctxvars._public import public

if TYPE_CHECKING:
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _T = TypeVar("_T")


@overload
async def run_collecting(function: Awaitable[_T], /) -> tuple[_T, Changes]: ...
@overload
async def run_collecting(
    function: Callable[_P, Awaitable[_T]], /, *args: _P.args, **kwargs: _P.kwargs
) -> tuple[_T, Changes]: ...
@overload
async def run_collecting(
    function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
) -> tuple[_T, Changes]: ...
async def run_collecting(function: Any, /, *args: Any, **kwargs: Any) -> tuple[Any, Changes]:
    """Run a function in a copy of the current context; return its result and its changes.

    Args:
        function: a function, a coroutine function, or a coroutine or another awaitable. A function
            that is not async is called on the current thread.
        args, kwargs: the arguments of the function.

    Returns:
        The result, and the `Changes` of the variables of ctxvars. They are the changes made in the
        copy, and those that `merge_back` functions have made so far in copies of it, in tasks and
        threads that a framework has started. If both have set a variable, the value set in the copy
        itself stays; among `merge_back` functions, the last one to end wins. `changes.apply()`
        makes the changes in the current context.

    Raises:
        TypeError: `function` is neither callable nor awaitable, or it is awaitable and there are
            arguments. Or it is a task or another future, which has its context already.

    An exception of the function is passed on, and its changes are lost. No other code sees what the
    function sets, the variables of the standard library included. O(1) for each step of a
    coroutine.

    >>> import asyncio
    >>> from ctxvars import ContextVar, merge_back, run_collecting
    >>> user = ContextVar("user", default="nobody")
    >>> @merge_back
    ... async def log_in(name):
    ...     user.set(name)
    >>> async def framework():
    ...     await asyncio.create_task(log_in("Ada"))  # in a copy of the context
    ...     return "done"
    >>> async def main():
    ...     result, changes = await run_collecting(framework)
    ...     before = user.get()
    ...     changes.apply()
    ...     return result, before, user.get()
    >>> asyncio.run(main())
    ('done', 'nobody', 'Ada')
    """
    is_call = not isawaitable(function)
    if is_call and not callable(function):
        raise TypeError(
            f"run_collecting() argument 'function' must be callable or awaitable, got {function!r}"
        )
    if asyncio.isfuture(function):
        raise TypeError(
            "run_collecting() argument 'function' must not be a task or future, got "
            f"{function!r}: it has a context already; pass the coroutine itself, "
            "run_collecting(work()), or a function that makes the tasks, "
            "run_collecting(lambda: asyncio.gather(work()))"
        )
    if not is_call and (args or kwargs):
        raise TypeError(
            f"run_collecting() takes arguments for a function only, not for {function!r}"
        )
    call = partial(function, *args, **kwargs) if is_call else lambda: function
    collector = Collector()
    private = PrivateContext(collector)
    try:
        result = await run_in(private.context, call, on_thread=False)
    except BaseException:
        collector.close()
        private.close()
        raise
    return result, private.close(collector.close())


public(run_collecting)
