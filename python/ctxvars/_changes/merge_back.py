"""`merge_back`: runs a function in a private context, then repeats its changes for the caller.

A framework may call the function in a task or on a thread. If that runs in a copy of the private
context of `run_collecting`, the changes are posted to the collector, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction, signature
from typing import TYPE_CHECKING, Any, overload

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._changes.changes import Changes
from ctxvars._changes.private_context import (
    Mark,
    PrivateContext,
    call_on_thread,
    current_mark,
    run_in,
)
from ctxvars._map.diff import check_resolver
from ctxvars._public import public

if TYPE_CHECKING:
    from typing import ParamSpec, Protocol, TypeVar

    from ctxvars._changes.changes import _Resolve

    _P = ParamSpec("_P")
    _T = TypeVar("_T")
    _Y = TypeVar("_Y")

    class _MergeBack(Protocol):
        @overload
        def __call__(  # type: ignore[overload-overlap]
            self, function: Callable[_P, Iterator[_Y]], /
        ) -> Callable[_P, AsyncGenerator[_Y, Any]]: ...
        @overload
        def __call__(
            self, function: Callable[_P, Coroutine[Any, Any, _T]], /
        ) -> Callable[_P, Coroutine[Any, Any, _T]]: ...
        @overload
        def __call__(
            self, function: Callable[_P, _T], /
        ) -> Callable[_P, Coroutine[Any, Any, _T]]: ...


@overload
def merge_back(  # type: ignore[overload-overlap]
    function: Callable[_P, Iterator[_Y]], /, *, resolve: _Resolve | None = None
) -> Callable[_P, AsyncGenerator[_Y, Any]]: ...
@overload
def merge_back(
    function: Callable[_P, Coroutine[Any, Any, _T]], /, *, resolve: _Resolve | None = None
) -> Callable[_P, Coroutine[Any, Any, _T]]: ...
@overload
def merge_back(
    function: Callable[_P, _T], /, *, resolve: _Resolve | None = None
) -> Callable[_P, Coroutine[Any, Any, _T]]: ...
@overload
def merge_back(function: None = None, /, *, resolve: _Resolve | None = None) -> _MergeBack: ...
def merge_back(function: Any = None, /, *, resolve: _Resolve | None = None) -> Any:
    """Decorate a function so that the variables it sets are set for its caller.

    The caller is the code that awaits the function. A framework may run the function wherever it
    likes: in a task, in a copy of the context, or on a thread.

    Args:
        function: a function, a generator function or a coroutine function. Each call runs in a
            private copy of the context of its caller. When the call ends, its changes are made in
            the caller's context by a three-way merge: values that other code has set there
            meanwhile are kept, even if the function replaces the whole context, as asgiref does.

            A function that is not async runs on a worker thread: of the default executor of
            asyncio, or of trio. FastAPI would run such a dependency on a thread, in a context that
            it drops afterwards. It awaits a decorated one in the task of the request.

            A generator function, such as a dependency with `yield`, becomes an async generator
            function. Each step runs on a worker thread, and sees the values that the caller has set
            since the last step. The changes of a step are made when the step ends. All steps run in
            one private context, so a step can reset a token of an earlier step.
        resolve: called as `resolve(variable, base, ours, theirs)` for each variable that both the
            caller (`ours`) and the call (`theirs`) have set meanwhile, also to equal values. It
            returns the value to set, or `MISSING` for none. By default `theirs` is set, as by a
            function that sets the variable itself.

    Returns:
        A coroutine function with the parameters of `function`; of a generator function an async
        generator function; or a decorator if only `resolve` is given.

    Raises:
        TypeError: `function` or `resolve` is not callable, or `function` is an async generator
            function, which needs no decorator: it sets variables for the code that resumes it.

    If the function raises or is cancelled, the changes it has made until then are kept. In a task
    or thread that a framework has started, the changes are also posted to the `run_collecting` that
    the task or thread belongs to, if there is one. Only variables of ctxvars are merged back, and a
    token that was made outside cannot be reset inside. O(changes x log n) for a call, and O(1) for
    each step of a coroutine.

    >>> import asyncio
    >>> from ctxvars import ContextVar, merge_back
    >>> user = ContextVar("user", default="nobody")
    >>> @merge_back
    ... def log_in(name):
    ...     user.set(name)  # on another thread
    >>> async def main():
    ...     await log_in("Ada")
    ...     return user.get()
    >>> asyncio.run(main())
    'Ada'
    """
    check_resolver("merge_back", resolve)
    if function is None:
        return partial(merge_back, resolve=resolve)
    check_callable("merge_back", "function", function)
    if _is_kind(isasyncgenfunction, function):
        raise TypeError(
            "merge_back() argument 'function' must not be an async generator function, got "
            f"{function!r}: it sets variables for the code that resumes it; decorate functions "
            "that it awaits"
        )
    resolve = resolve or _theirs
    if _is_kind(isgeneratorfunction, function):
        return _merging_steps(function, resolve)
    on_thread = not _is_kind(iscoroutinefunction, function)

    @wraps(function)
    async def merging(*args: Any, **kwargs: Any) -> Any:
        around = current_mark.get()
        private = PrivateContext(around.collector if around is not None else None)
        try:
            return await run_in(
                private.context, partial(function, *args, **kwargs), on_thread=on_thread
            )
        finally:
            _merge_into_caller(private.close(), around, resolve)

    return merging


def _merge_into_caller(changes: Changes, around: Mark | None, resolve: _Resolve) -> None:
    """Make the changes in the current context; in a copy of a private context, also post them."""
    changes.apply(resolve=resolve)
    if around is not None and around.collector is not None and not around.is_set_here():
        around.collector.post(changes)


def _merging_steps(function: Callable[..., Generator[Any, Any, Any]], resolve: _Resolve) -> Any:
    """Return an async generator function that makes each step of `function` on a worker thread."""

    @wraps(function)
    async def merging(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        context = _core.copy_context()
        seen = context.bindings
        body = context.run(function, *args, **kwargs)

        async def step(call: Callable[..., Any], *args: Any) -> list[Any]:
            """Return what the body yields, in a list; an empty list if it has ended."""
            nonlocal seen
            around = current_mark.get()
            context.run(Changes(seen, _core.copy_context().bindings).apply, resolve=_theirs)
            before = context.bindings
            try:
                yielded: list[Any] = await call_on_thread(context, partial(_yielded, call, *args))
                return yielded
            finally:
                _merge_into_caller(Changes(before, context.bindings), around, resolve)
                seen = _core.copy_context().bindings

        try:
            yielded = await step(next, body)
            while yielded:
                try:
                    sent = yield yielded[0]
                except GeneratorExit:
                    await step(body.close)
                    raise
                except BaseException as error:
                    yielded = await step(body.throw, error)
                else:
                    yielded = await step(body.send, sent)
        finally:
            # The body is still suspended if its last step was cancelled before it began.
            if not getattr(body, "gi_running", False):
                context.run(body.close)

    # Frameworks unwrap functions, and must not find the generator function. Without `__wrapped__`
    # they cannot evaluate annotations that are text: the names are those of another module.
    try:
        found = signature(function, eval_str=True)
    except NameError:
        found = signature(function)
    merging.__signature__ = found  # type: ignore[attr-defined]
    del merging.__wrapped__
    return merging


def _yielded(call: Callable[..., Any], *args: Any) -> list[Any]:
    """Return what a step of a generator yields, in a list; an empty list if the generator ends.

    A future cannot carry `StopIteration`. A call of `close` returns a list, too, which is ignored.
    """
    try:
        return [call(*args)]
    except StopIteration:
        return []


def _is_kind(is_kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a function is of a kind, or an object whose `__call__` is."""
    return is_kind(function) or is_kind(type(function).__call__)


def _theirs(variable: _core.ContextVar[Any], base: Any, ours: Any, theirs: Any) -> Any:
    return theirs


public(merge_back)
