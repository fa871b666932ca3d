"""`propagate_to_threads`: monkey-patches threads and thread pools to carry the context."""

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
    # From 3.14 on `Thread` has an argument `context`, which takes precedence.
    if getattr(thread, "_context", None) is None:
        start_in(copy_context(), thread, start)
    else:
        start()


def _submit(
    executor: ThreadPoolExecutor, submit: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    if can_carry(executor):
        return submit_carrying(submit, *args, **kwargs)
    # The worker is a thread, too, and would keep the context alive.
    return Context().run(submit, *args, **kwargs)


def _map(
    executor: ThreadPoolExecutor, map: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    if can_carry(executor):
        return map_carrying(map, *args, **kwargs)
    return map(*args, **kwargs)


def _replace(owner: type, name: str, carry: Callable[..., Any]) -> None:
    """Patch a method of a class, so that `carry` calls it; remember how to undo that.

    Other code may patch the method afterwards, and keep calling the replacement. Then undoing
    leaves the replacement in place, and it only calls the original.
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

    # In this order: a signal handler may raise in between, and every patch must be undoable.
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
    """Patch all methods if there is any active handle, else undo all patches.

    The caller holds the lock. A signal handler may interrupt this function and call it again. The
    inner call changes only `_wanted_by`; the interrupted call checks it after each step, and does
    the rest.
    """
    global _is_settling
    while not _is_settling and len(_undo) != (len(_PATCHES) if _wanted_by else 0):
        _is_settling = True
        try:
            # A signal handler may have run since the check; from here on, only this call patches.
            if _wanted_by and len(_undo) < len(_PATCHES):
                _replace(*_PATCHES[len(_undo)])
            elif not _wanted_by and _undo:
                _undo[-1]()
                _undo.pop()
        finally:
            _is_settling = False


@public
class ThreadPropagation:
    """Handle returned by `propagate_to_threads()`.

    Call `stop()` or leave the `with` block to undo the patch.
    """

    __slots__ = ()

    def stop(self) -> None:
        """Undo the patch, unless another handle is active.

        Running threads and submitted calls keep their context. A second call does nothing.
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

    A thread runs in a copy of the context in which it is started, unless it was given a context
    (`threading.Thread(context=...)`, from Python 3.14 on). The same applies to `threading.Timer`. A
    call of an executor runs in a copy of the context in which it is submitted, also by
    `loop.run_in_executor`. It sees the variables that the `initializer` of the executor has set,
    unless its submitter has set them, too. Subclasses are included, whenever they are defined.
    Threads that are started without `threading` are not included, nor are the workers of
    `multiprocessing.pool.ThreadPool`, whose calls have no record of the code that submitted them.

    This monkey-patches the standard library for the whole process, so it is for programs. Libraries
    use `ContextThread` and `ContextThreadPoolExecutor`.

    Returns:
        A handle, which is also a context manager. The patch stays until all handles have been
        stopped, whether the program keeps references to them or not.

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
            # A signal handler has raised, so the caller does not get the handle.
            propagation.stop()
            raise
    return propagation


public(propagate_to_threads)
