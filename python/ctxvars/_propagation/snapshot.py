"""Contexts that were kept, to run code in copies of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from reprlib import recursive_repr
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ctxvars import _core
from ctxvars._isolation.isolated import isolate_calls
from ctxvars._public import public

P = ParamSpec("P")
R = TypeVar("R")
Function = TypeVar("Function", bound="Callable[..., Any] | classmethod[Any, Any, Any]")

# How many variables the repr of a snapshot shows.
MOST_SHOWN = 10


@public
class Snapshot:
    """All variables as they were when it was made, ours and the standard library's.

    It never changes: each use runs in a copy of its own, any number of times, also from many
    threads at once. `ctxvars.snapshot()` makes one. O(1), whatever the number of variables.

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user", default="nobody")
    >>> with user.set("Ada"):
    ...     snapshot = ctxvars.snapshot()
    >>> snapshot.run(user.get)
    'Ada'
    >>> snapshot.bindings[user]
    'Ada'
    >>> user.get()
    'nobody'
    """

    __slots__ = ("__weakref__", "_context")

    def __init__(self) -> None:
        self._context = _core.copy_context()

    @property
    def bindings(self) -> _core.Map[_core.ContextVar[Any], Any]:
        """Our variables that had a value, and these values. O(1)."""
        return self._context.bindings

    def __repr__(self) -> str:
        pairs = sorted(self.bindings.items(), key=lambda pair: pair[0].name)
        shown = [f"{variable.name}={short_repr(value)}" for variable, value in pairs[:MOST_SHOWN]]
        if len(pairs) > MOST_SHOWN:
            shown.append(f"{len(pairs) - MOST_SHOWN} more")
        return f"<ctxvars.Snapshot {', '.join(shown) or 'without values'}>"

    if not TYPE_CHECKING:
        # The value of a variable may refer to the snapshot.
        __repr__ = recursive_repr("<ctxvars.Snapshot ...>")(__repr__)

    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function in a copy of the snapshot.

        Args:
            function: what to call. What it returns is not bound: a coroutine runs in the context
                of whoever awaits it, unless its function is bound, see `bind`.
            args, kwargs: its arguments.

        Returns:
            What the function returns. What it sets is dropped.

        Raises:
            TypeError: the function cannot be called.

        As `Context.run` (PEP 567), but in a copy. O(1).
        """
        return self._context.copy().run(function, *args, **kwargs)

    def bind(self, function: Function, /) -> Function:
        """Return a function that runs in a copy of the snapshot, another one for each call.

        Args:
            function: a function, generator function, coroutine function or async generator
                function; what the call returns runs in the copy, too, as with `isolated`.

        Returns:
            What behaves as the function, but for the context.

        Raises:
            TypeError: what was given is not a function.

        O(1) for each call, and for each step of what it returns.

        >>> import ctxvars
        >>> user = ctxvars.ContextVar("user", default="nobody")
        >>> with user.set("Ada"):
        ...     snapshot = ctxvars.snapshot()
        >>> @snapshot.bind
        ... def greetings():
        ...     yield f"Hello {user.get()}"
        ...     yield f"Bye {user.get()}"
        >>> list(greetings())
        ['Hello Ada', 'Bye Ada']
        """
        if callable(function) or isinstance(function, classmethod):
            bound: Function = isolate_calls(function, self._context, live=False)
            return bound
        message = f"bind() argument 'function' must be a function, got {function!r}"
        if isinstance(function, (Generator, Coroutine, AsyncGenerator)):
            message += "; bind the function that returns it, before it is called"
        raise TypeError(message)


def snapshot() -> Snapshot:
    """Return a snapshot of the current context.

    Returns:
        All variables as they are now, to run code with any number of times, in any thread.

    The semantics are those of `copy_context` (PEP 567). O(1).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> with user.set("Ada"):
    ...     before = ctxvars.snapshot()
    >>> before.run(user.get)
    'Ada'
    """
    return Snapshot()


def bind(function: Function, /) -> Function:
    """Return a function that runs with the variables as they are now, whoever calls it.

    Args:
        function: a function, generator function, coroutine function or async generator function.

    Returns:
        What behaves as the function, but for the context: each call has a copy of the current one.

    Raises:
        TypeError: what was given is not a function.

    It is `snapshot().bind(function)`. O(1).

    >>> import ctxvars, threading
    >>> user = ctxvars.ContextVar("user", default="nobody")
    >>> with user.set("Ada"):
    ...     thread = threading.Thread(target=ctxvars.bind(lambda: print(user.get())))
    >>> thread.start(); thread.join()
    Ada
    """
    return Snapshot().bind(function)


public(snapshot)
public(bind)
