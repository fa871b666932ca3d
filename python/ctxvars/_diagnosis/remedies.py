"""Why a boundary loses values, and what to use instead: sentences for users.

Each boundary has a section in the how-to guide.
"""

from __future__ import annotations

from dataclasses import dataclass

GUIDE = "https://OWNER.github.io/ctxvars/how-to/missing-variables.html"


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place where code starts to run in another context.

    Attributes:
        name: an identifier, such as "thread".
        title: what it is, in a few words.
        inside: why code inside does not see what was set outside.
        inside_remedy: what to use, so that it does.
        outside: why code outside does not see what was set inside.
        outside_remedy: what to use, so that it does.
        section: the section of the guide.
    """

    name: str
    title: str
    inside: str
    inside_remedy: str
    outside: str
    outside_remedy: str
    section: str

    @property
    def guide(self) -> str:
        """The address of the section."""
        return f"{GUIDE}#{self.section}"


_STAYS_IN_COPY = "Values that it sets stay in the copy, which is dropped when it ends."
_MERGE_BACK = (
    "decorate the function with ctxvars.merge_back and await it: its changes are made in the"
    " context of the caller"
)

_ALL = (
    Boundary(
        "thread",
        "a thread that was started without its context",
        "A new thread starts with an empty context. It does not see the values of the code that"
        " starts it.",
        "start a ctxvars.ContextThread, or give the thread ctxvars.bind(function) as its target;"
        " for the threads of libraries, call ctxvars.propagate_to_threads()",
        "Values that a thread sets stay in the context of the thread.",
        "run the thread in a context, ctxvars.ContextThread(context=context), and read the value"
        " from this context",
        "a-thread",
    ),
    Boundary(
        "copied_thread",
        "a thread that runs in a copy of the context",
        "The copy was made when the thread was started. The thread does not see values that were"
        " set afterwards.",
        "set the variable before the thread is started",
        _STAYS_IN_COPY,
        "run the thread in a context, ctxvars.ContextThread(context=context), and read the value"
        " from this context",
        "a-thread",
    ),
    Boundary(
        "foreign_thread",
        "a thread that other code has started",
        "The thread was started without the module threading, and with an empty context.",
        "give that code ctxvars.bind(function), or a function that calls ctxvars.snapshot().run",
        "Values that a thread sets stay in the context of the thread.",
        "return the value",
        "a-thread",
    ),
    Boundary(
        "pool",
        "a worker of a thread pool",
        "A worker does not run in the context of the code that submits a call, neither by"
        " ThreadPoolExecutor.submit nor by loop.run_in_executor.",
        "use ctxvars.ContextThreadPoolExecutor; in a coroutine, call ctxvars.run_in_executor(loop,"
        " None, function)",
        "Values that a call sets stay in the worker, where later calls see them.",
        _MERGE_BACK,
        "a-thread-pool",
    ),
    Boundary(
        "thread_pool",
        "a worker of multiprocessing.pool.ThreadPool",
        "A worker does not run in the context of the code that submits a call.",
        "use ctxvars.ContextThreadPoolExecutor, or pass ctxvars.bind(function) to the pool",
        "Values that a call sets stay in the worker, where later calls see them.",
        "return the value, or use ctxvars.merge_back",
        "a-thread-pool",
    ),
    Boundary(
        "copied_call",
        "a call in a worker thread, which runs in a copy of the context",
        "The copy was made when the call was submitted. The call does not see values that were set"
        " afterwards.",
        "set the variable before the call is submitted",
        _STAYS_IN_COPY,
        _MERGE_BACK,
        "a-thread-pool",
    ),
    Boundary(
        "sync_call",
        "sync code that a framework runs in a worker thread",
        "FastAPI, Starlette and anyio run sync endpoints, dependencies and background tasks in a"
        " worker thread, in a copy of the context. The copy was made when the call was submitted.",
        "set the variable before the framework makes the call; for a background task, add"
        " ctxvars.bind(function) where the value is set",
        "FastAPI, Starlette and anyio run sync code in a worker thread, in a copy of the context."
        " The copy is thrown away when the call returns, with the values that it has set.",
        "decorate the sync dependency with ctxvars.merge_back, or make it async",
        "sync-code-of-a-framework",
    ),
    Boundary(
        "task",
        "a task",
        "A task runs in a copy of the context, which is made when the task is created. It does not"
        " see values that are set afterwards.",
        "set the variable before the task is created, or give the task the context in which it is"
        " set: ctxvars.create_task(coro, context=context)",
        "A task runs in a copy of the context. Values that it sets stay in this copy.",
        _MERGE_BACK,
        "a-task",
    ),
    Boundary(
        "base_http_middleware",
        "the task in which BaseHTTPMiddleware runs the application",
        "BaseHTTPMiddleware runs the application in another task, in a copy of the context, which"
        " call_next makes. The endpoint does not see values that are set afterwards.",
        "set the variable before call_next is called, or write a pure ASGI middleware",
        "BaseHTTPMiddleware runs the application in another task, in a copy of the context. Values"
        " that the endpoint sets stay in this copy.",
        "write a pure ASGI middleware, which awaits the application in its own task; or await"
        " ctxvars.run_collecting(call_next, request) and apply the changes",
        "basehttpmiddleware",
    ),
    Boundary(
        "background",
        "a background task",
        "Starlette runs background tasks after the response. The blocks that had set variables for"
        " the endpoint have been left by then.",
        "add ctxvars.bind(function) as the background task, inside of the block",
        "Starlette runs background tasks after the endpoint has returned.",
        "set the variable before the response is returned",
        "a-background-task",
    ),
    Boundary(
        "streaming",
        "the body of a streaming response",
        "Starlette iterates over the body after the endpoint has returned. The blocks that had set"
        " variables for the endpoint have been left by then.",
        "pass ctxvars.bind(function)() as the body, inside of the block",
        "Starlette iterates over the body after the endpoint has returned.",
        "set the variable before the response is returned",
        "a-background-task",
    ),
    Boundary(
        "callback",
        "a callback of the event loop",
        "call_soon, call_later and add_done_callback copy the context when they register the"
        " callback. It does not see values that are set afterwards.",
        "register the callback after the variable is set, or register it with the context in which"
        " it is set: context=context.native",
        "A callback runs in a copy of the context. Values that it sets stay in this copy.",
        "set the variable in the code that waits for the callback",
        "a-callback",
    ),
    Boundary(
        "closed_generator",
        "an async generator that the event loop closes, or steps in another task",
        "The event loop closes an abandoned async generator in a task, and the context of this task"
        " is not that of the code that has iterated over the generator.",
        "decorate the generator function with ctxvars.isolated: then all steps run in one context,"
        " which is made at the first step. Or close the generator where it is used, by"
        " contextlib.aclosing",
        "Values that an async generator sets in a task of the event loop stay in this task.",
        "decorate the generator function with ctxvars.isolated",
        "an-async-generator",
    ),
    Boundary(
        "process",
        "another process",
        "A process does not get the values of the process that starts it.",
        "declare the variable by ctxvars.portable(variable, name), and start a"
        " ctxvars.ContextProcess",
        "Values that a process sets stay in this process.",
        "return the value",
        "another-process",
    ),
    Boundary(
        "process_pool",
        "a worker of a pool of processes",
        "A worker does not get the values of the process that submits a call.",
        "declare the variable by ctxvars.portable(variable, name), and use"
        " ctxvars.ContextProcessPoolExecutor",
        "Values that a process sets stay in this process.",
        "use ctxvars.ContextProcessPoolExecutor(merge_back=True), and apply the changes of the"
        " future",
        "another-process",
    ),
    Boundary(
        "portable_values",
        "a call in another process, which got the values of portable variables",
        "Other variables do not travel, and a portable variable travels if it is set where the call"
        " is submitted.",
        "declare the variable by ctxvars.portable(variable, name) in a module that both processes"
        " import, and set it before the call is submitted",
        "Values that a call sets are dropped when it ends.",
        "use ctxvars.ContextProcessPoolExecutor(merge_back=True), and apply the changes of the"
        " future",
        "another-process",
    ),
    Boundary(
        "job",
        "a job of a queue or a cluster",
        "A job runs later, in a worker, without the values of the code that has sent it.",
        "declare the variable by ctxvars.portable(variable, name), and install the module of"
        " ctxvars.integrations for the queue, in the program that sends and in the worker",
        "Values that a job sets stay in the worker.",
        "return the value",
        "another-process",
    ),
    # A stack does not show these.
    Boundary(
        "after_block",
        "the end of the block that had set it",
        "The block has been left, or the variable was reset or deleted.",
        "read the variable inside of the block; code that runs later gets the values by"
        " ctxvars.bind(function), or by ctxvars.snapshot(), which are called inside of the block",
        "The block has been left.",
        "read the variable inside of the block",
        "a-block-that-was-left",
    ),
    Boundary(
        "copy",
        "a copy of the context",
        "The copy was made before the variable was set. It does not see values that are set"
        " afterwards.",
        "set the variable before the copy is made, or make a new copy: ctxvars.snapshot()",
        "Values that are set in a copy of the context stay in the copy.",
        "read the value from the copy: context[variable]",
        "a-copy-of-the-context",
    ),
    Boundary(
        "other_context",
        "another context",
        "It was set in a context that this one is not a copy of.",
        "set the variable here, too; or run this code in a copy of the other context:"
        " ctxvars.snapshot().run(function)",
        "It was set in a context that this one is not a copy of.",
        "read the value from the other context: context[variable]",
        "a-copy-of-the-context",
    ),
)

BOUNDARIES = {boundary.name: boundary for boundary in _ALL}
