"""Threads that run in a copy of the context that they were started from.

Before Python 3.14 a thread starts with an empty context, and from then on with an empty one or a
copy, as `sys.flags.thread_inherit_context` says. Native contexts are copied, which carry our
variables along with those of the standard library.
"""

import threading
from _contextvars import Context as NativeContext
from _contextvars import copy_context
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ctxvars._core import Context
from ctxvars._public import public


class _RunIn:
    """Stands in for the `run` of a thread object until the thread calls it.

    On every version of Python it is looked up on the object, whether its class has a `run` of its
    own or not.
    """

    __slots__ = ("_attributes", "_context", "_replaced", "_run")

    def __init__(self, context: Context | NativeContext, thread: threading.Thread) -> None:
        self._context = context
        self._run = thread.run
        self._attributes = vars(thread)
        # Tools that watch threads may have put something there as well.
        self._replaced = {"run": self._run} if "run" in self._attributes else {}
        self._attributes["run"] = self

    def __call__(self) -> None:
        self.restore()  # The thread object may outlive the thread: it must not keep the context.
        self._context.run(self._run)

    def restore(self) -> None:
        """Put back what was there, unless somebody else has replaced it since."""
        if self._attributes.get("run") is self:
            del self._attributes["run"]
            self._attributes.update(self._replaced)


def start_in(
    context: Context | NativeContext, thread: threading.Thread, start: Callable[[], None]
) -> None:
    """Call `start`, which starts `thread`, so that what the thread does runs in `context`."""
    run = _RunIn(context, thread)
    try:
        # What a thread inherits on its own, if it does, it would keep for as long as it runs.
        NativeContext().run(start)
    except BaseException:
        run.restore()
        raise


@public
class ContextThread(threading.Thread):
    """A `threading.Thread` that runs in a copy of the context in which it is started.

    Args:
        context: where the thread runs instead, ours or the standard library's: this very context,
            not a copy. Python's own threads take it from 3.14 on, this one on every version.

    All other arguments, the methods and the errors are those of `threading.Thread`. A subclass may
    have a `run` of its own. The copy is made by `start`, in O(1), and lives as long as the thread.

    Raises:
        TypeError: `context` is not a context.

    >>> from ctxvars import ContextThread, ContextVar
    >>> user = ContextVar("user", default="nobody")
    >>> token = user.set("Ada")
    >>> thread = ContextThread(target=lambda: print(user.get()))
    >>> thread.start(); thread.join()
    Ada
    """

    # A subclass may start without this constructor, which is for `threading.Thread` to refuse.
    _given_context: Context | NativeContext | None = None

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        context: Context | NativeContext | None = None,
    ) -> None:
        if not isinstance(context, Context | NativeContext | None):
            raise TypeError(
                f"ContextThread() argument 'context' must be a Context or None, got {context!r}"
            )
        super().__init__(group, target, name, args, kwargs, daemon=daemon)
        self._given_context = context

    def start(self) -> None:
        """Start the thread, in a copy of the current context.

        Raises:
            RuntimeError: it was started before, or cannot be started.
        """
        context = copy_context() if self._given_context is None else self._given_context
        start_in(context, self, super().start)
