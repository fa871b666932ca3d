"""`create_task`: tasks that run in a given context, on any event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ctxvars._core import Context
from ctxvars._public import public

if TYPE_CHECKING:
    # `import ctxvars` does not import asyncio, which takes longer than the rest of the package.
    import asyncio
    import contextvars
    from collections.abc import Coroutine

    _T = TypeVar("_T")


def create_task(
    coro: Coroutine[Any, Any, _T],
    *,
    name: str | None = None,
    context: Context | contextvars.Context | None = None,
) -> asyncio.Task[_T]:
    """Schedule a coroutine as a task of the running loop, like `asyncio.create_task`.

    Event loops and eager tasks take native contexts only. This function takes a context of ctxvars,
    too, and passes on the native context that carries it.

    Args:
        coro: the coroutine to run.
        name: the name of the task; `None` lets the loop choose one.
        context: where the task runs; `None` for a copy of the current context.

    Returns:
        The task.

    Raises:
        TypeError: `coro` is not a coroutine, or `context` is not a context.
        RuntimeError: no loop is running.

    The semantics are those of `asyncio.create_task`. O(1).

    >>> import asyncio
    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> async def greet():
    ...     return f"Hello {user.get()}!"
    >>> async def main():
    ...     context = ctxvars.Context()
    ...     context.run(user.set, "Ada")
    ...     return await ctxvars.create_task(greet(), context=context)
    >>> asyncio.run(main())
    'Hello Ada!'
    """
    import asyncio

    if isinstance(context, Context):
        context = context.native
    elif context is not None:
        Context.wrap(context)  # raises the TypeError that names what it got
    loop = asyncio.get_running_loop()
    if context is None:
        return loop.create_task(coro, name=name)
    return loop.create_task(coro, name=name, context=context)


public(create_task)
