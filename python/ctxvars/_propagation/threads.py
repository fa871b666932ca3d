"""Threads that run in a copy of the context in which they are started.

Before Python 3.14 a thread starts with an empty context. From 3.14 on, `sys.flags` decides between
an empty context and a copy (`thread_inherit_context`). The copies here are native contexts, which
carry the variables of ctxvars and those of the standard library.
"""

import threading
from _contextvars import Context as NativeContext
from _contextvars import copy_context
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ctxvars._core import Context
from ctxvars._public import public


class _RunIn:
    """Replaces the `run` method of one thread object until the thread calls it.

    On every version of Python, threads look `run` up on the object, whether its class overrides
    the method or not.
    """

    __slots__ = ("_attributes", "_context", "_replaced", "_run")

    def __init__(self, context: Context | NativeContext, thread: threading.Thread) -> None:
        self._context = context
        self._run = thread.run
        self._attributes = vars(thread)
        # Tools that watch threads may have replaced `run`, too.
        self._replaced = {"run": self._run} if "run" in self._attributes else {}
        self._attributes["run"] = self

    def __call__(self) -> None:
        self.restore()  # The thread object may outlive the thread, and must not keep the context.
        self._context.run(self._run)

    def restore(self) -> None:
        """Restore `run`, unless other code has replaced it meanwhile."""
        if self._attributes.get("run") is self:
            del self._attributes["run"]
            self._attributes.update(self._replaced)


def start_in(
    context: Context | NativeContext, thread: threading.Thread, start: Callable[[], None]
) -> None:
    """Call `start`, which starts `thread`, so that the thread runs in `context`."""
    run = _RunIn(context, thread)
    try:
        # From 3.14 on, a thread may inherit the current context, and keeps it while it runs. So an
        # empty context is current during `start`.
        NativeContext().run(start)
    except BaseException:
        run.restore()
        raise


@public
class ContextThread(threading.Thread):
    """A `threading.Thread` that runs in a copy of the context in which it is started.

    Args:
        context: a context of ctxvars or a native one. The thread runs in this context itself, not
            in a copy of the current one. `threading.Thread` takes this argument from Python 3.14
            on, `ContextThread` on every version.

    All other arguments, the methods and the errors are those of `threading.Thread`. A subclass may
    override `run`. The copy is made by `start`, in O(1), and lives as long as the thread.

    Raises:
        TypeError: `context` is not a context.

    >>> from ctxvars import ContextThread, ContextVar
    >>> user = ContextVar("user", default="nobody")
    >>> token = user.set("Ada")
    >>> thread = ContextThread(target=lambda: print(user.get()))
    >>> thread.start(); thread.join()
    Ada
    """

    # If a subclass does not call the constructor, `start` of `threading.Thread` raises.
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
            RuntimeError: the thread was started before, or cannot be started.
        """
        context = copy_context() if self._given_context is None else self._given_context
        start_in(context, self, super().start)
