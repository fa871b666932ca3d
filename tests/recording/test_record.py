"""`record`: the timeline has each event, with its place, context, thread and task."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import sys
import threading
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, Event, Timeline, record

user: ContextVar[Any] = ContextVar("user")
tenant: ContextVar[Any] = ContextVar("tenant")


def kinds(timeline: Timeline) -> list[tuple[str, str | None]]:
    return [(event.kind, event.name) for event in timeline.events()]


def line() -> int:
    """The line of the caller."""
    frame = inspect.currentframe()
    assert frame
    assert frame.f_back
    return frame.f_back.f_lineno


def test_each_change_is_an_event() -> None:
    with record() as timeline:
        token = user.set("Ada")
        user.reset(token)
        user.set("Grace")
        user.delete()
        with ctxvars.scope({user: "Alan", tenant: "north"}):
            pass
    assert kinds(timeline) == [
        ("set", "user"),
        ("reset", "user"),
        ("set", "user"),
        ("delete", "user"),
        ("scope_enter", "user"),
        ("scope_enter", "tenant"),
        ("scope_exit", "user"),
        ("scope_exit", "tenant"),
    ]
    assert [event.number for event in timeline.events()] == list(range(8))
    assert {event.variable for event in timeline.events()} == {user, tenant}
    assert {event.thread for event in timeline.events()} == {threading.get_ident()}


def test_the_place_of_an_event_is_its_line() -> None:
    with record() as timeline:
        user.set("Ada")
        here = line() - 1
        (lambda: user.set("Grace"))()
    first, second = (event.place for event in timeline.events())
    assert first
    assert second
    assert (first.file, first.line) == (__file__, here)
    assert first.function == "test_the_place_of_an_event_is_its_line"
    assert second.function.endswith("<locals>.<lambda>")
    assert str(first) == f"{__file__}:{here} in {first.function}"


def test_values_are_kept_on_request_only() -> None:
    texts = {}
    for values in (False, True, [user]):
        with record(values=values) as timeline:
            user.set("Ada")
            tenant.set("north")
        texts[repr(values)] = [event.text for event in timeline.events()]
    assert list(texts.values()) == [[None, None], ["'Ada'", "'north'"], ["'Ada'", None]]


def test_the_timeline_can_be_used_during_the_recording() -> None:
    with record() as timeline:
        assert timeline.events() == ()
        user.set("Ada")
        assert kinds(timeline) == [("set", "user")]
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(len(timeline.events())))
        thread.start()
        thread.join()
        assert seen == [1]
        assert len(timeline) == 1
        assert repr(timeline) == "<ctxvars.Timeline events: 1, contexts: 1>"


def test_the_timeline_does_not_change_after_the_block() -> None:
    with record() as first:
        user.set("Ada")
    user.set("Grace")
    with record() as second:
        tenant.set("north")
    assert kinds(first) == [("set", "user")]
    assert kinds(second) == [("set", "tenant")]
    assert first.events() is first.events()


def test_only_one_recording_is_on() -> None:
    with record() as timeline:
        with pytest.raises(RuntimeError, match="use its timeline, or end it"), record():
            pass
        user.set("Ada")
    assert len(timeline) == 1
    with record():
        pass


def test_the_recording_ends_with_an_exception() -> None:
    with contextlib.suppress(ZeroDivisionError), record() as timeline:
        user.set("Ada")
        raise ZeroDivisionError
    user.set("Grace")
    assert kinds(timeline) == [("set", "user")]


def test_the_oldest_events_are_lost() -> None:
    with record(capacity=4) as timeline:
        for number in range(10):
            user.set(number)
    assert timeline.lost == 6
    assert [event.number for event in timeline.events()] == [6, 7, 8, 9]
    assert "lost: 6" in repr(timeline)


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_capacity_is_positive(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"), record(capacity=capacity):
        pass
    with record():
        pass


def test_the_history_of_a_variable() -> None:
    other: ContextVar[Any] = ContextVar("user")
    with record() as timeline:
        user.set(1)
        tenant.set(2)
        other.set(3)
        user.set(4)

    def numbers(events: tuple[Event, ...]) -> list[int]:
        return [event.number for event in events]

    assert numbers(timeline.history(user)) == [0, 3]
    assert numbers(timeline.history(other)) == [2]
    assert numbers(timeline.history("user")) == [0, 2, 3]
    assert timeline.history("nothing") == ()
    with pytest.raises(TypeError, match=r"history\(\) argument must be a ContextVar or a string"):
        timeline.history(1)  # type: ignore[arg-type]


def test_tasks_are_contexts_below_the_context_that_creates_them() -> None:
    async def child() -> None:
        user.set("Grace")

    async def main() -> None:
        user.set("Ada")
        await asyncio.create_task(child(), name="the child")

    with record() as timeline:
        asyncio.run(main())
    (root,) = timeline.contexts()
    (below,) = root.children
    assert below.branch.task_name == "the child"
    assert below.branch.thread_name == "MainThread"
    assert below.branch.parent == root.branch.number
    assert [event.name for event in below.events] == ["user"]
    assert below.branch.stack[0].function.endswith("child")
    assert timeline.branch(below.branch.number) == below.branch
    with pytest.raises(LookupError, match="no context 99"):
        timeline.branch(99)


def test_threads_are_recorded_with_their_names() -> None:
    def work() -> None:
        user.set("Ada")
        with pytest.raises(LookupError):
            tenant.get()

    with record() as timeline:
        thread = threading.Thread(target=work, name="the worker")
        thread.start()
        thread.join()
    (node,) = timeline.contexts()
    assert node.branch.thread_name == node.branch.label == "the worker"
    assert kinds(timeline) == [("set", "user"), ("missing", "tenant")]


def test_importing_the_package_does_not_import_recordings() -> None:
    code = "import sys, ctxvars; print([name for name in sys.modules if '_recording' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


class TestSecrets:
    """Values of variables with the names of secrets."""

    api_key: ctxvars.ContextVar[str] = ctxvars.ContextVar("api_key")

    def texts(self, values: Any) -> list[str | None]:
        with ctxvars.record(values=values) as timeline:
            self.api_key.reset(self.api_key.set("s3cr3t"))
            during = [event.text for event in timeline.events()]
        assert during == [event.text for event in timeline.events()]
        return during[:1]

    def test_they_are_left_out(self) -> None:
        assert self.texts(True) == ["<redacted>"]

    def test_they_are_shown_if_the_variable_is_named(self) -> None:
        assert self.texts([self.api_key]) == ["'s3cr3t'"]
