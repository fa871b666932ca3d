"""Boundaries: the places where code starts to run in another context than the code that caused it.

Threads, pools, tasks and frameworks call code from functions with known names, and those are on the
stack. So a stack says under which boundary its code runs. `RULES` lists the functions.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ctxvars._diagnosis.remedies import BOUNDARIES, Boundary
from ctxvars._recording.events import makes

if TYPE_CHECKING:
    from asyncio import Task


class Frame(Protocol):
    """One call of a stack: a `LiveFrame`, or a `Place` of a recording."""

    @property
    def file(self) -> str:
        """`code.co_filename`."""

    @property
    def function(self) -> str:
        """`code.co_qualname`."""

    @property
    def makes(self) -> str:
        """What a call of the function makes."""


class LiveFrame(NamedTuple):
    """One call of a live stack."""

    file: str
    function: str
    makes: str


RULES = (
    # Functions of frameworks come first: they run inside the functions of the standard library.
    ("starlette/background.py", "BackgroundTask.__call__", "background"),
    ("starlette/responses.py", "StreamingResponse.stream_response", "streaming"),
    (
        "starlette/middleware/base.py",
        "BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro",
        "base_http_middleware",
    ),
    ("anyio/_backends/_asyncio.py", "WorkerThread.run", "sync_call"),
    ("trio/_threads.py", "to_thread_run_sync.<locals>.worker_fn", "sync_call"),
    ("trio/_core/_run.py", "unrolled_run", "loop"),
    # It brings back what the call sets.
    ("asgiref/sync.py", "SyncToAsync.thread_handler", "copied_call"),
    ("asgiref/sync.py", "SyncToAsync.__call__.<locals>.func", "copied_call"),
    # Workers of job queues and clusters.
    ("arq/worker.py", "Worker.run_job", "job"),
    ("celery/app/trace.py", "build_tracer.<locals>.trace_task", "job"),
    ("distributed/worker.py", "_run_task_simple", "job"),
    ("distributed/worker.py", "_run_task_async", "job"),
    ("dramatiq/worker.py", "WorkerThread.process_message", "job"),
    ("rq/worker/base.py", "BaseWorker.perform_job", "job"),
    ("saq/worker.py", "Worker.process", "job"),
    ("taskiq/receiver/receiver.py", "Receiver.run_task", "job"),
    ("ctxvars/_propagation/threads.py", "_RunIn.__call__", "copied_thread"),
    ("ctxvars/_propagation/executors.py", "_Call.__call__", "copied_call"),
    ("ctxvars/_portable/processes/carry.py", "CarriedFunction.__call__", "portable_values"),
    ("ctxvars/_portable/processes/pool.py", "_run", "portable_values"),
    ("ctxvars/_portable/processes/pool.py", "_run_collecting", "portable_values"),
    (
        "ctxvars/_portable/processes/process.py",
        "ContextProcess._bootstrap.<locals>.run_with_values",
        "portable_values",
    ),
    ("concurrent/futures/thread.py", "_worker", "pool"),
    ("concurrent/futures/process.py", "_process_worker", "process_pool"),
    ("multiprocessing/pool.py", "worker", "pool_worker"),
    ("multiprocessing/process.py", "BaseProcess._bootstrap", "process"),
    ("threading.py", "Thread._bootstrap_inner", "thread"),
    ("threading.py", "Thread._bootstrap", "thread"),
    ("asyncio/events.py", "Handle._run", "loop"),
    ("asyncio/tasks.py", "create_eager_task_factory.<locals>.factory", "loop"),
    # The loops of uvloop are compiled. They have no frame between these and a task.
    ("asyncio/runners.py", "Runner.run", "loop"),
    ("asyncio/runners.py", "Runner.close", "loop"),
    ("uvloop/__init__.py", "run", "loop"),
)
"""The end of a file name, the qualified name of a function in it, and the boundary that it is.

"loop" and "pool_worker" are not boundaries yet: `_name_of` looks at the frame beside it.
"""

_BY_FUNCTION: dict[str, list[tuple[str, str]]] = {}
for _file, _function, _boundary in RULES:
    _BY_FUNCTION.setdefault(_function, []).append((f"/{_file}", _boundary))


def live_stack(frame: FrameType | None = None) -> Iterator[LiveFrame]:
    """Yield the calls of the current thread, innermost first; by default, those of the caller."""
    frame = sys._getframe(1) if frame is None else frame
    while frame:
        yield LiveFrame(frame.f_code.co_filename, frame.f_code.co_qualname, makes(frame.f_code))
        frame = frame.f_back


def boundary_of(
    stack: Iterable[Frame],
    *,
    in_task: bool | None = None,
    inherited: bool = False,
    is_main_thread: bool = True,
) -> Boundary | None:
    """Return the innermost boundary on a stack, or `None` if there is none.

    Args:
        stack: calls, innermost first.
        in_task: whether a task is current; `None` if that is unknown.
        inherited: whether the context had values when the first code ran in it. A thread that
            inherited values was started in a copy.
        is_main_thread: whether the code runs in the main thread. Another thread without a known
            function was started by other code than `threading`.

    O(depth of the boundary).
    """
    name = _name_of(stack, in_task)
    if name is None and in_task:
        name = "task"
    elif name is None and not is_main_thread:
        name = "foreign_thread"
    if name == "thread" and (inherited or threads_inherit()):
        name = "copied_thread"
    elif name in ("pool", "thread_pool", "foreign_thread") and inherited and not threads_inherit():
        name = "copied_call"
    return None if name is None else BOUNDARIES[name]


def current_boundary(frame: FrameType | None = None, *, inherited: bool = False) -> Boundary | None:
    """Return the innermost boundary of the current thread, or `None` if there is none.

    Args:
        frame: the innermost frame; by default, that of the caller.
        inherited: whether the context had values when the first code ran in it.
    """
    return boundary_of(
        live_stack(sys._getframe(1) if frame is None else frame),
        in_task=current_task() is not None,
        inherited=inherited,
        is_main_thread=threading.get_ident() == threading.main_thread().ident,
    )


def current_task() -> Task[object] | None:
    """Return the current task of asyncio, or `None`. It does not import asyncio."""
    asyncio = sys.modules.get("asyncio")
    try:
        task: Task[object] | None = asyncio.current_task() if asyncio else None
    except RuntimeError:  # no running event loop
        return None
    return task


def threads_inherit() -> bool:
    """Return whether new threads start in a copy of the context: from Python 3.14 on, a flag."""
    return bool(getattr(sys.flags, "thread_inherit_context", False))


def _name_of(stack: Iterable[Frame], in_task: bool | None) -> str | None:
    """Return the name of the innermost boundary on a stack."""
    inner: Frame | None = None  # the call that the frame has made
    waiting: str | None = None
    for frame in stack:
        found = _rule_of(frame)
        if waiting == "pool_worker":
            # `worker` of multiprocessing is the target of a thread, or of a process.
            if found in ("thread", "process"):
                return "thread_pool" if found == "thread" else "process_pool"
        elif found == "loop":
            if stepped := _stepped_by_loop(inner, in_task):
                return stepped
        elif found == "pool_worker":
            waiting = found
        elif found is not None:
            return found
        # A task that is written in Python has frames between the loop and its coroutine.
        if frame.function.startswith("Task.__") and frame.file.endswith("tasks.py"):
            in_task = True
        else:
            inner = frame
    return None


def _stepped_by_loop(inner: Frame | None, in_task: bool | None) -> str | None:
    """Return the boundary between a loop and the call that it has made."""
    if inner is None or _is_of_loop(inner):
        # In `asyncio.run`, before or after the loop itself; or the loop is what runs.
        return "task" if in_task and inner is None else None
    if inner.makes == "coroutine":
        return "task"
    if inner.makes == "async generator":
        return "closed_generator"
    return "task" if in_task else "callback"


def _is_of_loop(frame: Frame) -> bool:
    """Whether a frame is one of the event loop, which has not called other code yet."""
    path = frame.file.replace(os.sep, "/")
    return path.endswith(
        (
            "/asyncio/base_events.py",
            "/asyncio/runners.py",
            "/asyncio/windows_events.py",
            "/uvloop/__init__.py",
        )
    )


def _rule_of(frame: Frame) -> str | None:
    rules = _BY_FUNCTION.get(frame.function)
    if rules is None:
        return None
    path = frame.file.replace(os.sep, "/")
    return next((boundary for end, boundary in rules if path.endswith(end)), None)
