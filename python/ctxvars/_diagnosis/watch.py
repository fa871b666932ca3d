"""`watch`: a callback for each change of a variable, and for switches to other contexts."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

from ctxvars import _core
from ctxvars._arguments import check_callable
from ctxvars._core import ContextVar
from ctxvars._diagnosis.origin import check_variable, current_value
from ctxvars._locks import lasting_lock
from ctxvars._missing import MISSING
from ctxvars._public import public


@public
@dataclass(frozen=True, slots=True)
class WatchedChange:
    """What the callback of `watch` gets.

    Attributes:
        kind: "set", "reset" and "delete" by these methods; "scope_enter" and "scope_exit" by a
            scope; "apply" by `Changes.apply`. "switch" if nothing has changed, but another context
            has become current, in which the variable has another value.
        variable: the variable.
        old: the value before, or `MISSING`.
        new: the value now, or `MISSING`.
    """

    kind: str
    # Not `Any`: type hints are evaluated with the names of `ctxvars`.
    variable: ContextVar[object]
    old: object
    new: object

    @property
    def is_switch(self) -> bool:
        """Whether the variable was not changed, and another context has become current."""
        return self.kind == "switch"


Callback: TypeAlias = Callable[[WatchedChange], object]


class _Seen(threading.local):
    """The values that this thread has seen last, and whether a callback runs.

    A watch should not keep values alive, so the references are weak if the type allows that.
    """

    def __init__(self) -> None:
        self.is_calling = False
        self._values: dict[ContextVar[Any], Callable[[], Any]] = {}

    def value(self, variable: ContextVar[Any]) -> Any:
        """Return the last value, or `MISSING`; `None` if it has been freed."""
        return self._values[variable]() if variable in self._values else MISSING

    def remember(self, variable: ContextVar[Any], value: Any) -> None:
        try:
            self._values[variable] = weakref.ref(value)
        except TypeError:
            self._values[variable] = lambda: value

    def forget(self, variable: ContextVar[Any]) -> None:
        self._values.pop(variable, None)


_seen = _Seen()
_lock = lasting_lock()
# It is replaced as a whole, so the hook reads it without the lock.
_watches: dict[ContextVar[Any], tuple[Watch, ...]] = {}


@public
class Watch:
    """Handle returned by `watch()`.

    Call `stop()` or leave the `with` block to end it. The watch stays on until then, whether the
    program keeps references to the handle or not.
    """

    __slots__ = ("_callback", "_variable")

    sees_switches = _core.watches_switches
    """Whether each switch is seen when it happens: from Python 3.14 on."""

    def __init__(self, variable: ContextVar[Any], callback: Callback) -> None:
        self._variable = variable
        self._callback = callback

    def check(self) -> None:
        """Call the callback if another context has become current since the last call.

        Before Python 3.14, only this method and the next change see a switch that an event loop has
        made. O(1).
        """
        if self in _watches.get(self._variable, ()):
            _switched((self._variable,))

    def stop(self) -> None:
        """End the watch. A second call does nothing. O(watched variables)."""
        _replace(self._variable, lambda watches: tuple(it for it in watches if it is not self))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self.stop()


def watch(variable: ContextVar[Any], callback: Callback, /) -> Watch:
    """Call a function after each change of a variable, in any thread and any context.

    Args:
        variable: a variable.
        callback: called as `callback(change)` with a `WatchedChange`, in the thread and the context
            of the change. What it raises is reported by `sys.unraisablehook`: it does not reach the
            code that has made the change. Changes that it makes itself are not reported to it.

    Returns:
        A handle, which is also a context manager.

    Raises:
        TypeError: `variable` is not a `ContextVar`, or `callback` is not callable.

    If another context becomes current, the callback gets a change of the kind "switch", unless the
    value is the same object. From Python 3.14 on, that happens at the switch itself, also in event
    loops, which switch to the context of the loop between two tasks. Before Python 3.14, it happens
    at `Context.run`, and otherwise late: before the next change in the thread, or by
    `Watch.check()`.

    Each thread remembers the value that it has seen last, by a weak reference if its type allows
    that; if the value has been freed, `old` of a switch is None. A change costs O(watches of the
    variable); a switch O(watched variables).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> def show(change):
    ...     print(change.kind, change.old, "->", change.new)
    >>> with ctxvars.watch(user, show):
    ...     token = user.set("Ada")
    ...     user.reset(token)
    set <Token.MISSING> -> Ada
    reset Ada -> <Token.MISSING>
    """
    check_variable("watch", variable)
    check_callable("watch", "callback", callback)
    handle = Watch(variable, callback)
    _seen.remember(variable, current_value(variable))
    _replace(variable, lambda watches: (*watches, handle))
    return handle


public(watch)


def _replace(
    variable: ContextVar[Any], change: Callable[[tuple[Watch, ...]], tuple[Watch, ...]]
) -> None:
    """Replace the watches of a variable, and set the hook for all watched variables."""
    global _watches
    with _lock:
        watches = _watches | {variable: change(_watches.get(variable, ()))}
        _watches = {variable: found for variable, found in watches.items() if found}
        if variable not in _watches:
            _seen.forget(variable)
        _core.set_watch_hook(_on_event if _watches else None, _watches)


def _on_event(kind: str, variable: ContextVar[Any] | None, old: Any, new: Any) -> None:
    """Handle one event. The core calls this after each change, and after switches it sees."""
    if _seen.is_calling:
        # A callback makes this change. The values are read again when it returns.
        return
    if variable is None:
        _switched(tuple(_watches))
        return
    changes = []
    seen = _seen.value(variable)
    if seen is not old:
        changes.append(WatchedChange("switch", variable, seen, old))
    changes.append(WatchedChange(kind, variable, old, new))
    _seen.remember(variable, new)
    _call(changes)


def _switched(variables: tuple[ContextVar[Any], ...]) -> None:
    """Compare the values of this thread with those that it has seen last."""
    changes = []
    for variable in variables:
        old, new = _seen.value(variable), current_value(variable)
        if old is not new:
            _seen.remember(variable, new)
            changes.append(WatchedChange("switch", variable, old, new))
    _call(changes)


def _call(changes: list[WatchedChange]) -> None:
    """Call the callbacks, each one even if another one raises."""
    errors: list[BaseException] = []
    _seen.is_calling = True
    try:
        for change in changes:
            for each in _watches.get(change.variable, ()):
                try:
                    each._callback(change)
                except BaseException as error:
                    errors.append(error)
    finally:
        _seen.is_calling = False
        for change in changes:
            if change.variable in _watches:
                _seen.remember(change.variable, current_value(change.variable))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise BaseExceptionGroup("several callbacks of watch() have raised", errors)
