"""`why` and `origin`, on the recorder."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, Explanation, _core
from tests.support.new_context import in_a_new_context, in_new_context

user: ContextVar[Any] = ContextVar("user")
locale: ContextVar[str] = ContextVar("locale", default="C")


def line_of(function: Callable[..., Any]) -> int:
    """Return the line below `def`."""
    return function.__code__.co_firstlineno + 1


def log_in(name: str = "Ada") -> None:
    user.set(name)


def on_a_thread(function: Callable[[], Any]) -> Any:
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    # The thread starts with an empty context, whatever the flags of the interpreter are.
    contextvars.Context().run(thread.start)
    thread.join()
    return results[0]


def ask() -> Explanation:
    return ctxvars.why(user)


@in_a_new_context
def test_origin_is_the_line_that_has_set_the_value() -> None:
    with ctxvars.record():
        log_in()
        origin = ctxvars.origin(user)
    assert origin is not None
    assert origin.place is not None
    assert (origin.kind, origin.place.function) == ("set", "log_in")
    assert (origin.place.file, origin.place.line) == (__file__, line_of(log_in))
    assert (origin.thread_name, origin.task_name) == ("MainThread", None)
    assert str(origin) == f"{__file__}:{line_of(log_in)} in log_in, thread 'MainThread'"
    assert origin.stack[0] == origin.place


@in_a_new_context
def test_origin_names_the_task() -> None:
    async def main() -> ctxvars.Origin | None:
        log_in()
        return ctxvars.origin(user)

    with ctxvars.record(), asyncio.Runner() as runner:
        task: Any = runner.get_loop().create_task(main(), name="request 7")
        origin = runner.get_loop().run_until_complete(task)
    assert origin.task_name == "request 7"
    assert str(origin).endswith("in log_in, task 'request 7'")


@in_a_new_context
def test_origin_of_a_scope() -> None:
    with ctxvars.record(), user.scope("Ada"):
        origin = ctxvars.origin(user)
    assert origin is not None
    assert origin.kind == "scope_enter"


@in_a_new_context
def test_after_a_scope_the_origin_is_the_one_before_it() -> None:
    with ctxvars.record():
        log_in()
        for other in (False, True):
            with user.scope("Grace"):
                if other:
                    locale.set("en")
            origin = ctxvars.origin(user)
            assert origin is not None
            assert origin.place is not None
            assert origin.place.function == "log_in"


@in_a_new_context
def test_after_a_reset_the_origin_is_the_one_before_the_set() -> None:
    with ctxvars.record():
        log_in()
        user.reset(user.set("Grace"))
        user.reset(user.delete())
        origin = ctxvars.origin(user)
    assert origin is not None
    assert origin.place is not None
    assert origin.place.function == "log_in"


@in_a_new_context
def test_a_task_inherits_the_origin() -> None:
    async def main() -> ctxvars.Origin | None:
        return await asyncio.create_task(inherited())

    async def inherited() -> ctxvars.Origin | None:
        locale.set("en")
        return ctxvars.origin(user)

    with ctxvars.record():
        log_in()
        origin = asyncio.run(main())
    assert origin is not None
    assert origin.task_name is None


@in_a_new_context
def test_origin_of_applied_changes() -> None:
    origins: list[ctxvars.Origin | None] = []
    with ctxvars.record():
        before = ctxvars.snapshot()
        context = ctxvars.copy_context()
        context.run(log_in)
        changes = context.run(ctxvars.changes_since, before)
        for other in (False, True):
            if other:
                locale.set("en")
                user.delete()
            changes.apply()
            origins.append(ctxvars.origin(user))
    # The context takes over the values of the other one; or it changes its own values.
    assert [origin and origin.kind for origin in origins] == ["set", "apply"]


@in_a_new_context
def test_origin_is_none_without_a_value() -> None:
    with ctxvars.record():
        assert ctxvars.origin(user) is None
        assert ctxvars.origin(locale) is None


@in_a_new_context
def test_origin_is_none_for_a_value_from_before_the_recording() -> None:
    log_in()
    with ctxvars.record():
        assert ctxvars.origin(user) is None


@in_a_new_context
def test_origin_is_none_after_an_overflow() -> None:
    with ctxvars.record(capacity=16):
        log_in()
        for _ in range(100):
            locale.set("en")
        assert ctxvars.origin(user) is None
        assert "were dropped" in str(ask().reason)


def test_origin_needs_a_recording() -> None:
    with pytest.raises(RuntimeError, match=r"^origin\(\) needs a recording: run the code"):
        ctxvars.origin(user)


def test_arguments() -> None:
    wrong: Any
    for wrong in (1, "user", contextvars.ContextVar("user")):
        for function in (ctxvars.origin, ctxvars.why):
            with pytest.raises(TypeError, match=r"must be a ctxvars\.ContextVar, got"):
                function(wrong)
    with pytest.raises(TypeError, match="`python -m ctxvars run` replaces"):
        ctxvars.why(wrong)


@in_a_new_context
def test_why_a_value() -> None:
    with ctxvars.record():
        log_in()
        explanation = ask()
    assert str(explanation).splitlines() == [
        "user = 'Ada'",
        f"  here:     {__file__}:{line_of(ask)} in ask",
        f"  set:      {__file__}:{line_of(log_in)} in log_in, thread 'MainThread'",
    ]


@in_a_new_context
def test_why_a_value_without_a_recording() -> None:
    log_in()
    explanation = ask()
    assert (explanation.is_set, explanation.value) == (True, "'Ada'")
    assert "ctxvars.record()" in str(explanation.reason)


@in_a_new_context
def test_why_a_value_whose_repr_raises() -> None:
    class Failing:
        def __repr__() -> str:
            raise ValueError

    user.set(Failing())
    assert str(ask().value).startswith("<Failing ")


@in_a_new_context
def test_why_does_not_show_secrets() -> None:
    api_key: ContextVar[str] = ContextVar("api_key")
    api_key.set("s3cr3t")
    assert ctxvars.why(api_key).value == "<redacted>"


@in_a_new_context
def test_why_a_default_is_not_a_value() -> None:
    with ctxvars.record():
        explanation = ctxvars.why(locale)
    assert not explanation.is_set
    assert "It was not set while the recording was on" in str(explanation)


@in_a_new_context
def test_why_no_recording_and_no_boundary() -> None:
    explanation = ask()
    assert explanation.boundary is None
    assert "ctxvars.record()" in str(explanation.remedy)


@in_a_new_context
def test_asking_does_not_change_the_recording() -> None:
    with ctxvars.record() as timeline:
        log_in()
        number = len(timeline)
        ask()
        on_a_thread(ask)
        ctxvars.origin(user)
        assert len(timeline) == number


@in_a_new_context
def test_why_a_thread_which_has_other_values() -> None:
    def work() -> Explanation:
        locale.set("en")
        return ask()

    with ctxvars.record():
        log_in()
        explanation = on_a_thread(work)
    assert explanation.boundary in ("thread", "copied_thread")
    assert explanation.origin.place.function == "log_in"


@in_a_new_context
def test_why_a_task_that_was_created_before() -> None:
    async def main() -> tuple[Explanation, Explanation]:
        task = asyncio.create_task(later())
        log_in()
        return await task, await asyncio.create_task(later())

    async def later() -> Explanation:
        return ask()

    for other in (False, True):
        with ctxvars.record():
            if other:
                locale.set("en")
            before, after = asyncio.run(main())
        assert (before.is_set, before.boundary, after.is_set) == (False, "task", True)
        assert "before the task is created" in before.remedy


@in_a_new_context
def test_why_a_task_that_has_set_it_for_itself() -> None:
    async def main() -> Explanation:
        await asyncio.create_task(inner())
        return ask()

    async def inner() -> None:
        log_in()

    for other in (False, True):
        with ctxvars.record():
            if other:
                locale.set("en")
            explanation = asyncio.run(main())
        assert explanation.boundary == "task"
        assert "merge_back" in str(explanation.remedy)


@in_a_new_context
def test_why_a_block_that_was_left() -> None:
    with ctxvars.record():
        with user.scope("Ada"):
            pass
        explanation = ask()
    assert explanation.boundary == "after_block"
    assert explanation.removed is not None
    assert explanation.removed.file == __file__


@in_a_new_context
def test_why_a_generator_that_is_iterated_in_another_context() -> None:
    def rows() -> Any:
        log_in()
        yield
        yield ask()

    body = rows()
    with ctxvars.record():
        ctxvars.copy_context().run(next, body)
        explanation = next(body)
    assert explanation.boundary in ("copy", "other_context")
    assert explanation.origin.place.function == "log_in"


@in_a_new_context
def test_why_a_context_that_is_not_a_copy() -> None:
    with ctxvars.record():
        locale.set("en")
        log_in()
        explanation = ctxvars.Context().run(ask)
    assert explanation.boundary == "other_context"
    assert "snapshot().run" in explanation.remedy


@in_a_new_context
def test_a_lookup_error_carries_the_explanation() -> None:
    def work() -> list[str]:
        with pytest.raises(LookupError) as raised:
            user.get()
        return raised.value.__notes__

    with ctxvars.record():
        log_in()
        (note,) = on_a_thread(work)
    assert note.startswith("user has no value here\n")
    assert "in test_a_lookup_error_carries_the_explanation" in note
    assert "a thread that" in note


@in_a_new_context
def test_a_lookup_error_has_no_note_without_a_recording() -> None:
    with ctxvars.record():
        pass
    with pytest.raises(LookupError) as raised:
        user.get()
    assert not hasattr(raised.value, "__notes__")


@in_a_new_context
def test_a_default_is_not_an_error() -> None:
    with ctxvars.record():
        assert (locale.get(), user.get(None)) == ("C", None)


@pytest.mark.parametrize("error", [ValueError, RecursionError])
def test_a_failing_explanation_does_not_change_the_error(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error

    def look() -> list[str]:
        with pytest.raises(LookupError) as raised:
            user.get()
        return getattr(raised.value, "__notes__", [])

    with ctxvars.record():
        monkeypatch.setattr("ctxvars._diagnosis.why.explain_here", fail)
        assert in_new_context(look) == []


@in_a_new_context
def test_many_errors_are_explained_up_to_a_limit() -> None:
    def look() -> bool:
        try:
            user.get()
        except LookupError as error:
            return hasattr(error, "__notes__")
        return False

    with ctxvars.record():
        found = [look() for _ in range(1000)]
    assert found[0]
    assert sum(found) == 20


def test_the_hook_is_removed_if_the_block_raises() -> None:
    with pytest.raises(KeyError), ctxvars.record():
        raise KeyError
    assert not _core.is_recording()


@in_a_new_context
def test_missing_values_of_a_timeline_have_reasons() -> None:
    with ctxvars.record() as timeline:
        log_in()
        on_a_thread(lambda: user.get(None))
    (missing,) = [event for event in timeline.events() if event.kind == "missing"]
    assert missing.reason is not None
    assert missing.reason.startswith("Lost by a thread that ")
    assert "Instead: " in missing.reason
