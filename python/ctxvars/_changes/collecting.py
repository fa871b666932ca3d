"""Bringing back what code has set that runs in a context of its own, or in a copy of that.

`merge_back` runs a function in a private context and applies its changes to that of its caller.
`run_collecting` runs one in a private context, too, and returns the changes. If a framework calls a
`merge_back` function in a task or thread of its own, its caller has a copy of the private context
of `run_collecting`: so the changes are posted to the collector, which that copy refers to.

Both are `_run` in a context, and differ in what becomes of the changes.
"""

from __future__ import annotations

import asyncio
import sys
from _contextvars import ContextVar as NativeContextVar
from _contextvars import Token as NativeToken
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from functools import partial, wraps
from inspect import (
    isasyncgenfunction,
    isawaitable,
    iscoroutinefunction,
    isgeneratorfunction,
    signature,
)
from typing import TYPE_CHECKING, Any, overload

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._changes.changes import Changes
from ctxvars._map.diff import check_resolver
from ctxvars._missing import MISSING
from ctxvars._propagation.executors import submit_in
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


class _Collector:
    """Where `merge_back` functions post their changes, for as long as `run_collecting` runs."""

    __slots__ = ("is_open", "posted")

    def __init__(self) -> None:
        self.posted: list[Changes] = []
        self.is_open = True

    def post(self, changes: Changes) -> None:
        # Tasks that go on in the background still refer to it when nobody reads it any more.
        if self.is_open:
            self.posted.append(changes)

    def close(self) -> list[Changes]:
        self.is_open = False
        posted, self.posted = self.posted, []
        return posted


class _Mark:
    """Set in a private context, to tell it from its copies, and to say what collects changes."""

    __slots__ = ("_token", "collector")

    def __init__(self, collector: _Collector | None) -> None:
        self.collector = collector
        self._token: NativeToken[_Mark | None] | None = None

    def set(self) -> None:
        self._token = _mark.set(self)

    def is_set_here(self) -> bool:
        """Whether this is the context where it was set, not a copy: only there a token is reset."""
        if self._token is None:
            return False
        try:
            _mark.reset(self._token)
        except ValueError:
            return False
        self.set()
        return True

    def forget(self) -> None:
        """Let go of the context, which refers to the mark: there is no cycle to be collected."""
        self._token = None


_mark: NativeContextVar[_Mark | None] = NativeContextVar("ctxvars.mark", default=None)


class _Private:
    """A copy of the current context, made for one call."""

    __slots__ = ("_before", "_mark", "context")

    def __init__(self, collector: _Collector | None) -> None:
        self.context = _core.copy_context()
        self._before = self.context.bindings
        self._mark = _Mark(collector)
        self.context.run(self._mark.set)

    def close(self, posted: Iterable[Changes] = ()) -> Changes:
        """End the call, and return what it has changed, and what was posted to its collector."""
        self._mark.forget()
        own = self.context.bindings

        def later(variable: _core.ContextVar[Any], base: Any, ours: Any, theirs: Any) -> Any:
            # What the body has set itself, it has set knowing what it waited for. Of those that
            # post, the last one wins.
            return ours if ours is own.get(variable, MISSING) else theirs

        for changes in posted:
            self.context.run(changes.apply, resolve=later)
        return Changes(self._before, self.context.bindings)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _run(context: _core.Context, call: Callable[[], Any], *, on_thread: bool) -> Any:
    """What `call` returns in `context`, awaited there if it is to be awaited."""
    result = await _call_on_thread(context, call) if on_thread else context.run(call)
    if not isawaitable(result):
        return result
    body = result if isinstance(result, Coroutine) else _awaited(result)
    return await _core.isolate(body, context, False)


async def _call_on_thread(context: _core.Context, call: Callable[[], Any]) -> Any:
    """What `call` returns in `context`, on a thread of the event loop that is running."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return await trio.to_thread.run_sync(context.run, call)
    submit = partial(asyncio.get_running_loop().run_in_executor, None)
    return await submit_in(context, submit, call)


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
    """Run something in a copy of the current context, and return what it returns and has set.

    Args:
        function: a function, a coroutine function, or a coroutine or other awaitable. A function
            that is not async is called on this thread.
        args: what to call it with.
        kwargs: the same.

    Returns:
        The result, and the `Changes` of the variables of ctxvars: those that were made in the copy,
        and those that `merge_back` functions made in copies of it, in tasks or threads that others
        have begun, until now. If both have set a variable, what was set in the copy itself stays;
        among `merge_back` functions, the last one to end wins. `changes.apply()` makes them in the
        current context.

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
    collector = _Collector()
    private = _Private(collector)
    try:
        result = await _run(private.context, call, on_thread=False)
    except BaseException:
        collector.close()
        private.close()
        raise
    return result, private.close(collector.close())


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
    """Decorate a function that sets variables for its caller, wherever a framework runs it.

    Args:
        function: a function, a generator function or a coroutine function. Each call runs in a
            private copy of the context of the code that awaits it. Its changes are made there at
            the end, three-way. So what replaces all of a context inside, as asgiref does, undoes
            nothing that others have set meanwhile. A function that is not async runs on another
            thread: that of the default executor of asyncio, or of trio's. FastAPI, which would run
            it on a thread, in a context that is thrown away, awaits it in the task of the request
            instead. A generator function, such as a dependency with `yield`, becomes an async
            generator function: each step is made on a thread, sees what its caller has set since
            the last one, and its changes are made there at its end. All steps are made in the same
            private context, so that a token of one can be reset in another.
        resolve: called as `resolve(variable, base, ours, theirs)` for each variable that has been
            set, maybe to equal values, both by the caller meanwhile (`ours`) and by the call
            (`theirs`). It returns the value to set, or `MISSING` for none. Without it `theirs` is
            set, as a function that sets a variable would do.

    Returns:
        A coroutine function with the parameters of `function`; of a generator function an async
        generator function; or a decorator if only `resolve` is given.

    Raises:
        TypeError: `function` is not callable, or is an async generator function: that sets
            variables for the code that resumes it without any help. Or `resolve` is not callable.

    If the function raises or is cancelled, what it has set until then is kept, as it would be
    without. In a task or thread of its own, the changes are also posted to the `run_collecting`
    that it is part of, if there is any. Only variables of ctxvars are brought back, and a token
    that was made outside cannot be reset inside. O(changes x log n) in all, besides O(1) for each
    step of a coroutine.

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
        around = _mark.get()
        private = _Private(around.collector if around is not None else None)
        try:
            return await _run(
                private.context, partial(function, *args, **kwargs), on_thread=on_thread
            )
        finally:
            _bring_back(private.close(), around, resolve)

    return merging


def _bring_back(changes: Changes, around: _Mark | None, resolve: _Resolve) -> None:
    """Make the changes in the current context, and post them to what collects them, if need be."""
    changes.apply(resolve=resolve)
    if around is not None and around.collector is not None and not around.is_set_here():
        around.collector.post(changes)


def _merging_steps(function: Callable[..., Generator[Any, Any, Any]], resolve: _Resolve) -> Any:
    """The async generator function whose steps are those of `function`, each on a thread."""

    @wraps(function)
    async def merging(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        context = _core.copy_context()
        seen = context.bindings
        body = context.run(function, *args, **kwargs)

        async def step(call: Callable[..., Any], *args: Any) -> list[Any]:
            """What the body yields; nothing if it has ended."""
            nonlocal seen
            around = _mark.get()
            context.run(Changes(seen, _core.copy_context().bindings).apply, resolve=_theirs)
            before = context.bindings
            try:
                yielded: list[Any] = await _call_on_thread(context, partial(_yielded, call, *args))
                return yielded
            finally:
                _bring_back(Changes(before, context.bindings), around, resolve)
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
            # It has not ended if its last step was cancelled before it began.
            if not getattr(body, "gi_running", False):
                context.run(body.close)

    # What unwraps it, as FastAPI does, must not find the generator function. Nor does it find the
    # module then whose names are in the annotations.
    try:
        found = signature(function, eval_str=True)
    except NameError:
        found = signature(function)
    merging.__signature__ = found  # type: ignore[attr-defined]
    del merging.__wrapped__
    return merging


def _yielded(call: Callable[..., Any], *args: Any) -> list[Any]:
    """What a step of a generator yields, in a list, or an empty one: futures take no StopIteration.

    `close` yields nothing.
    """
    try:
        return [call(*args)]
    except StopIteration:
        return []


def _is_kind(is_kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether a function is of a kind, or an object whose call is."""
    return is_kind(function) or is_kind(type(function).__call__)


def _theirs(variable: _core.ContextVar[Any], base: Any, ours: Any, theirs: Any) -> Any:
    return theirs


public(run_collecting)
public(merge_back)
