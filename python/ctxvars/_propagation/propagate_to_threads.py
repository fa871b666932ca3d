"""A patch that makes the threads and thread pools of everybody carry the context."""

from __future__ import annotations

import threading
from _contextvars import Context, copy_context
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from ctxvars._locks import lasting_lock
from ctxvars._propagation.executors import can_carry, map_carrying, submit_carrying
from ctxvars._propagation.threads import start_in
from ctxvars._public import public

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


def _start(thread: threading.Thread, start: Callable[[], None]) -> None:
    # From 3.14 on a thread may be given a context, and is to run in that one.
    if getattr(thread, "_context", None) is None:
        start_in(copy_context(), thread, start)
    else:
        start()


def _submit(
    executor: ThreadPoolExecutor, submit: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    if can_carry(executor):
        return submit_carrying(submit, *args, **kwargs)
    # Its worker is a thread, which would keep the context.
    return Context().run(submit, *args, **kwargs)


def _map(
    executor: ThreadPoolExecutor, map: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    if can_carry(executor):
        return map_carrying(map, *args, **kwargs)
    return map(*args, **kwargs)


def _replace(owner: type, name: str, carry: Callable[..., Any]) -> None:
    """Let `carry` call a method of a class, and remember what undoes that.

    Others may have patched the method since. What they call then stays in place, and does nothing.
    """
    original = getattr(owner, name)
    is_inherited = name not in vars(owner)
    is_undone = False

    @wraps(original)
    def replacement(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        method = partial(original, self)
        return method(*args, **kwargs) if is_undone else carry(self, method, *args, **kwargs)

    def undo() -> None:
        nonlocal is_undone
        is_undone = True
        if vars(owner).get(name) is not replacement:
            return
        if is_inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

    # In this order, so that an exception of a signal handler in between leaves nothing patched
    # which could not be undone.
    _undo.append(undo)
    setattr(owner, name, replacement)


_PATCHES = (
    (threading.Thread, "start", _start),
    (ThreadPoolExecutor, "submit", _submit),
    (ThreadPoolExecutor, "map", _map),
)

_lock = lasting_lock()
_wanted_by: set[ThreadPropagation] = set()
_undo: list[Callable[[], None]] = []
_is_settling = False


def _settle() -> None:
    """Patch everything if any handle wants it, else undo all of it. The caller holds the lock.

    What interrupts it, and calls it again, changes only `_wanted_by`: the interrupted call looks at
    that after each step, and does the rest.
    """
    global _is_settling
    while not _is_settling and len(_undo) != (len(_PATCHES) if _wanted_by else 0):
        _is_settling = True
        try:
            # It may have been interrupted since it looked; from here on, only it patches.
            if _wanted_by and len(_undo) < len(_PATCHES):
                _replace(*_PATCHES[len(_undo)])
            elif not _wanted_by and _undo:
                _undo[-1]()
                _undo.pop()
        finally:
            _is_settling = False


@public
class ThreadPropagation:
    """What `propagate_to_threads` has begun, and `stop` ends; so does the end of a `with` block."""

    __slots__ = ()

    def stop(self) -> None:
        """Put the methods of the standard library back, unless somebody else has begun it as well.

        Threads that run and calls that were submitted keep their context. It may be called again.
        """
        with _lock:
            _wanted_by.discard(self)
            _settle()

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


def propagate_to_threads() -> ThreadPropagation:
    """Make every `threading.Thread` and `ThreadPoolExecutor` carry the context from now on.

    A thread runs in a copy of the context that it is started from, unless it was given a context
    (`threading.Thread(context=...)`, from Python 3.14 on); so does a `threading.Timer`. A call of
    an executor runs in a copy of the context that it is submitted from, which covers
    `loop.run_in_executor`; it sees what the `initializer` of the executor has set, unless its
    submitter has set the same variable. Subclasses are included, whether they were defined before
    or after. Not included are what starts threads without `threading`, and the workers of
    `multiprocessing.pool.ThreadPool`, which do not know who asked for a call.

    This patches the standard library for the whole process, so it is for programs, not libraries;
    those have `ContextThread` and `ContextThreadPoolExecutor`.

    Returns:
        A handle, which is also a context manager. The patch stays for as long as any handle that
        was made has not been stopped, whether it is kept or not.

    O(1) for each thread and call.

    >>> import threading
    >>> from ctxvars import ContextVar, propagate_to_threads
    >>> user = ContextVar("user", default="nobody")
    >>> token = user.set("Ada")
    >>> with propagate_to_threads():
    ...     thread = threading.Thread(target=lambda: print(user.get()))
    ...     thread.start(); thread.join()
    Ada
    """
    propagation = ThreadPropagation()
    with _lock:
        _wanted_by.add(propagation)
        try:
            _settle()
        except BaseException:
            # A signal handler has raised: the caller gets no handle to stop it with.
            propagation.stop()
            raise
    return propagation


public(propagate_to_threads)
