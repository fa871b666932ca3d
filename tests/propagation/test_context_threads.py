"""`ContextThread`: threads that run in a copy of the context that starts them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextThread
from tests.support.new_context import KINDS, in_new_context, outlives, variable_of
from tests.support.subprocesses import in_subprocess
from tests.support.worker_threads import INHERIT, Running, ran


def seen_by_threads() -> list[list[object]]:
    """Return the values that threads of each form see, for each kind of variable."""
    found = []
    for variable in map(variable_of, KINDS):
        seen: list[object] = []

        def target(variable: Any = variable, seen: list[object] = seen) -> None:
            seen.append(variable.get())
            variable.set("the thread's")

        variable.set("when made")
        thread = ContextThread(target=target, daemon=True)
        running = Running(variable)
        variable.set("when started")
        ran(thread)
        ran(running)
        found.append([*seen, *running.seen, variable.get()])
    return found


@pytest.mark.parametrize("options", INHERIT, ids=" ".join)
def test_a_thread_runs_in_a_copy_of_the_context_it_was_started_from(
    options: tuple[str, ...],
) -> None:
    expected = ["when started"] * 3
    assert in_subprocess(seen_by_threads, options=options) == [expected, expected]


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.__name__)
def test_a_thread_runs_in_the_very_context_it_is_given(module: Any) -> None:
    """On every version, also if the context is empty, and thus false."""
    variable = variable_of(module)
    variable.set("the starter's")
    context = module.Context()
    seen: list[object] = []

    def target() -> None:
        seen.append(variable.get())
        variable.set("left by the thread")

    ran(ContextThread(target=target, context=context))
    assert (seen, context[variable]) == (["none"], "left by the thread")


def test_a_thread_object_keeps_no_context_alive() -> None:
    def start(variable: Any) -> Any:
        return ran(ContextThread(target=int)), ran(Running(ctxvars.ContextVar("other", default=1)))

    assert outlives(start) == [False, False]


def test_a_thread_takes_the_arguments_of_threading_thread() -> None:
    seen: list[object] = []
    thread = ContextThread(
        None, lambda *args, **kwargs: seen.append((args, kwargs)), "name", (1,), {"two": 2}
    )
    assert (thread.name, thread.daemon) == ("name", threading.current_thread().daemon)
    ran(thread)
    assert seen == [((1,), {"two": 2})]
    assert "run" not in vars(thread)


def test_a_thread_starts_once() -> None:
    variable = ctxvars.ContextVar("variable", default="none")
    began, finish = threading.Event(), threading.Event()
    seen: list[str] = []

    def target() -> None:
        began.set()
        finish.wait(30)
        seen.append(variable.get())

    thread = ContextThread(target=target)
    in_new_context(lambda: (variable.set("the starter's"), thread.start()))
    began.wait(30)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
        finish.set()
        thread.join()
    assert seen == ["the starter's"]
    assert "run" not in vars(thread)


def test_a_thread_that_cannot_be_started_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    thread = ContextThread(target=int)

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            thread.start()
    assert "run" not in vars(thread)
    ran(thread)


def test_a_run_method_set_on_the_object_is_called() -> None:
    """Tools that watch threads replace `run` on the object, as this class does temporarily."""
    variable = ctxvars.ContextVar("variable", default="none")
    seen: list[str] = []
    thread: Any = ContextThread(target=int)
    thread.run = watched = lambda: seen.append(variable.get())
    in_new_context(lambda: (variable.set("the starter's"), ran(thread)))
    assert seen == ["the starter's"]
    assert thread.run is watched


def test_a_constructor_that_does_not_call_ours() -> None:
    class Forgetful(ContextThread):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r"[Tt]hread.__init__\(\) not called"):
        Forgetful().start()


def test_an_object_that_is_not_a_context_is_refused() -> None:
    message = r"^ContextThread\(\) argument 'context' must be a Context or None, got \{\}$"
    with pytest.raises(TypeError, match=message):
        ContextThread(context={})  # type: ignore[arg-type]
