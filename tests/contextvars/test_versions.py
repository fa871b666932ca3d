"""Behaviour that differs between versions of Python, with the standard library and with ctxvars.

Most tests do one thing with both modules and compare. They also state the expected result of each
version, so that a test cannot pass because both modules lack a feature.
"""

import asyncio
import contextvars as native
import subprocess
import sys
import threading
from types import ModuleType
from typing import Any

import pytest

import ctxvars
from tests.support.builds import FREE_THREADED
from tests.support.parity import outcome

HAS_THREAD_CONTEXT = sys.version_info >= (3, 14)


def on_both(action: Any) -> tuple[Any, Any]:
    """Return the results of `action` for the module of the standard library, and for ctxvars."""
    return action(native), action(ctxvars)


def with_token(contextvars: ModuleType) -> list[object]:
    """Use a token as a context manager: once, twice, after a reset, and in another context."""
    variable = contextvars.ContextVar("variable")

    def leave_twice() -> None:
        token = variable.set("twice")
        with token, token:
            pass

    def leave_after_a_reset() -> None:
        with variable.set("inner") as token:
            variable.reset(token)

    def leave_while_raising() -> None:
        with variable.set("inner"):
            raise ZeroDivisionError

    def leave_elsewhere() -> None:
        token = contextvars.copy_context().run(variable.set, "elsewhere")
        token.__exit__(None, None, None)

    def leave() -> str:
        with variable.set("inner") as token:
            assert type(token) is contextvars.Token
            return variable.get()

    actions = [leave, leave_twice, leave_after_a_reset, leave_while_raising, leave_elsewhere]
    return [*map(outcome, actions), variable.get("no value")]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the standard library's came with 3.14")
def test_a_token_as_a_context_manager() -> None:
    theirs, ours = on_both(with_token)
    assert ours == theirs


def test_messages_about_tokens() -> None:
    """Versions differ in how a message shows a token, and in whether it says "used"."""

    def messages(contextvars: ModuleType) -> list[object]:
        variable, other = contextvars.ContextVar("variable"), contextvars.ContextVar("other")
        context = contextvars.Context()
        elsewhere = context.run(variable.set, 1)
        token = variable.set(2)
        return [
            outcome(lambda: variable.reset(elsewhere)),
            outcome(lambda: other.reset(token)),
            outcome(lambda: variable.reset("no token")),
            outcome(lambda: variable.reset(token)),
            outcome(lambda: variable.reset(token)),
            outcome(lambda: context.run(context.run, int)),
            outcome(lambda: context["no variable"]),
            outcome(contextvars.Token),
            outcome(lambda: contextvars.ContextVar(1)),
            outcome(lambda: variable.get(1, 2)),
            outcome(lambda: contextvars.Context(1)),
        ]

    theirs, ours = on_both(messages)
    assert ours == theirs


def seen_in_a_thread(contextvars: ModuleType, context: Any) -> list[object]:
    """Return the value in a thread with a given context, and the value that it leaves there."""
    variable = contextvars.ContextVar("variable")
    context.run(variable.set, "given")
    seen: list[object] = []

    def target() -> None:
        seen.append(variable.get("none"))
        variable.set("left by the thread")

    thread = threading.Thread(target=target, context=context)  # type: ignore[call-arg]
    thread.start()
    thread.join()
    return [*seen, context[variable], variable.get("none")]


@pytest.mark.skipif(not HAS_THREAD_CONTEXT, reason="Thread(context=) came with 3.14")
def test_a_thread_that_is_given_a_context() -> None:
    """A thread accepts any object with a method `run`: our contexts and native ones."""
    theirs = seen_in_a_thread(native, native.Context())
    assert seen_in_a_thread(ctxvars, ctxvars.Context()) == theirs
    assert theirs == ["given", "left by the thread", "none"]

    ours = ctxvars.Context()
    variable = ctxvars.ContextVar[str]("variable")
    thread = threading.Thread(target=variable.set, args=("left",), context=ours.native)  # type: ignore[call-arg]
    thread.start()
    thread.join()
    assert ours[variable] == "left"


@pytest.mark.skipif(HAS_THREAD_CONTEXT, reason="Thread(context=) came with 3.14")
def test_a_thread_cannot_be_given_a_context() -> None:
    theirs, ours = on_both(
        lambda contextvars: outcome(lambda: threading.Thread(context=contextvars.Context()))  # type: ignore[call-arg]
    )
    assert ours == theirs
    assert ours[0] == "raised"


INHERITING = """
import sys, threading, {module} as contextvars
variable = contextvars.ContextVar("variable")
variable.set("starter's")
seen = []
def target():
    seen.append(variable.get("none"))
    variable.set("thread's")
threads = [threading.Thread(target=target), threading.Timer(0, target)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(getattr(sys.flags, "thread_inherit_context", 0), seen, variable.get())
"""


def inherited(module: str, *options: str) -> str:
    program = INHERITING.format(module=module)
    command = [sys.executable, *options, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("option", [None, "0", "1"])
def test_threads_inherit_the_context_if_the_flag_says_so(option: str | None) -> None:
    """Before 3.14, and without the flag, a thread starts with an empty context."""
    options = [] if option is None else ["-X", f"thread_inherit_context={option}"]
    theirs, ours = inherited("contextvars", *options), inherited("ctxvars", *options)
    assert ours == theirs
    inherits = option == "1" and HAS_THREAD_CONTEXT
    if option is not None:
        value = "starter's" if inherits else "none"
        assert ours == f"{int(inherits)} {[value] * 2} starter's\n"


def test_a_task_that_is_given_a_context() -> None:
    """Native contexts work since 3.11; `ctxvars.create_task` accepts ours as well."""

    async def run_both(contextvars: ModuleType, create_task: Any) -> list[object]:
        variable = contextvars.ContextVar("variable", default="none")
        context = contextvars.Context()
        context.run(variable.set, "given")

        async def body() -> str:
            seen = variable.get()
            variable.set("left by the task")
            await asyncio.sleep(0)
            return seen

        seen = await create_task(body(), context=context)
        return [seen, context[variable], variable.get()]

    theirs = asyncio.run(run_both(native, asyncio.create_task))
    assert theirs == ["given", "left by the task", "none"]
    assert asyncio.run(run_both(ctxvars, ctxvars.create_task)) == theirs

    def native_of_ours(coroutine: Any, context: ctxvars.Context) -> Any:
        return asyncio.create_task(coroutine, context=context.native)

    assert asyncio.run(run_both(ctxvars, native_of_ours)) == theirs


def test_a_runner_that_is_given_a_context() -> None:
    """`asyncio.Runner` creates tasks in a given native context."""
    variable = ctxvars.ContextVar("variable", default="none")
    context = ctxvars.Context()

    async def body() -> str:
        variable.set(f"{variable.get()}+")
        return variable.get()

    with asyncio.Runner() as runner:
        assert runner.run(body(), context=context.native) == "none+"
        assert runner.run(body(), context=context.native) == "none++"
    assert (context[variable], variable.get()) == ("none++", "none")


@pytest.mark.skipif(not FREE_THREADED, reason="only a free-threaded build has no lock")
def test_a_free_threaded_build_stays_so() -> None:
    """The module declares that it does not need the GIL, so its import does not enable it."""
    ask = "import ctxvars, sys; print(sys._is_gil_enabled())"
    command = [sys.executable, "-E", "-W", "error", "-c", ask]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
