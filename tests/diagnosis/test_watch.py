"""`watch` calls back after each change, and tells changes from switches."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import weakref
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, ContextVar, WatchedChange, watch
from tests.support.new_context import in_a_new_context

user: ContextVar[Any] = ContextVar("user")
locale: ContextVar[Any] = ContextVar("locale")

Told = list[tuple[str, Any, Any]]


class Log:
    """A callback that keeps the changes it gets."""

    def __init__(self) -> None:
        self.changes: list[WatchedChange] = []

    def __call__(self, change: WatchedChange) -> None:
        self.changes.append(change)

    @property
    def told(self) -> Told:
        return [(change.kind, change.old, change.new) for change in self.changes]

    @property
    def changed(self) -> Told:
        """The changes that are not switches."""
        return [it for it in self.told if it[0] != "switch"]


@pytest.fixture
def log() -> Log:
    return Log()


@in_a_new_context
def test_set_reset_and_delete(log: Log) -> None:
    with watch(user, log):
        token = user.set("Ada")
        user.set("Grace")
        user.delete()
        user.reset(token)
    assert log.told == [
        ("set", MISSING, "Ada"),
        ("set", "Ada", "Grace"),
        ("delete", "Grace", MISSING),
        ("reset", MISSING, MISSING),
    ]
    assert all(change.variable is user and not change.is_switch for change in log.changes)


@in_a_new_context
def test_scopes(log: Log) -> None:
    with watch(user, log), watch(locale, log), ctxvars.scope({user: "Ada", locale: "en"}):
        pass
    assert sorted(log.told) == [
        ("scope_enter", MISSING, "Ada"),
        ("scope_enter", MISSING, "en"),
        ("scope_exit", "Ada", MISSING),
        ("scope_exit", "en", MISSING),
    ]


@in_a_new_context
def test_applied_changes(log: Log) -> None:
    before = ctxvars.snapshot()
    context = ctxvars.copy_context()
    context.run(user.set, "Ada")
    changes = context.run(ctxvars.changes_since, before)
    with watch(user, log):
        changes.apply()
    assert log.told == [("apply", MISSING, "Ada")]


@in_a_new_context
def test_other_variables_are_not_reported(log: Log) -> None:
    with watch(user, log):
        locale.set("en")
    assert log.told == []


@in_a_new_context
def test_the_end_of_a_watch(log: Log) -> None:
    handle = watch(user, log)
    handle.stop()
    handle.stop()
    user.set("Ada")
    handle.check()
    assert log.told == []


@in_a_new_context
def test_two_watches_of_a_variable(log: Log) -> None:
    other = Log()
    with watch(user, log):
        with watch(user, other):
            user.set("Ada")
        user.set("Grace")
    assert (len(log.told), len(other.told)) == (2, 1)


@in_a_new_context
def test_a_change_that_fails_is_not_reported(log: Log) -> None:
    token = user.set("Ada")
    user.reset(token)
    with watch(user, log):
        with pytest.raises(RuntimeError):
            user.reset(token)
        with pytest.raises(LookupError):
            user.delete()
    assert log.told == []


class TestSwitches:
    def test_run_enters_and_leaves_a_context(self, log: Log) -> None:
        context = ctxvars.Context()
        context.run(user.set, "Ada")

        @in_a_new_context
        def run() -> None:
            user.set("Grace")
            with watch(user, log):
                context.run(int)

        run()
        assert log.told == [("switch", "Grace", "Ada"), ("switch", "Ada", "Grace")]
        assert all(change.is_switch for change in log.changes)

    def test_a_context_with_the_same_value_is_not_a_switch(self, log: Log) -> None:
        @in_a_new_context
        def run() -> None:
            user.set("Grace")
            with watch(user, log):
                ctxvars.copy_context().run(int)

        run()
        assert log.told == []

    def test_a_change_in_another_context(self, log: Log) -> None:
        @in_a_new_context
        def run() -> None:
            with watch(user, log):
                ctxvars.copy_context().run(user.set, "Ada")

        run()
        assert log.told == [("set", MISSING, "Ada"), ("switch", "Ada", MISSING)]

    def test_a_native_context_is_seen_by_a_check(self, log: Log) -> None:
        context = contextvars.Context()
        context.run(user.set, "Ada")

        @in_a_new_context
        def run() -> None:
            with watch(user, log) as handle:
                context.run(handle.check)
                handle.check()
                handle.check()

        run()
        assert log.told == [("switch", MISSING, "Ada"), ("switch", "Ada", MISSING)]

    def test_a_native_context_is_seen_by_the_next_change(self, log: Log) -> None:
        context = contextvars.Context()
        context.run(user.set, "Ada")

        @in_a_new_context
        def run() -> None:
            with watch(user, log):
                context.run(user.set, "Grace")

        run()
        assert log.told[:2] == [("switch", MISSING, "Ada"), ("set", "Ada", "Grace")]

    @pytest.mark.skipif(not ctxvars.Watch.sees_switches, reason="needs Python 3.14")
    def test_each_switch_of_a_loop_is_seen(self, log: Log) -> None:
        async def main() -> None:
            user.set("Ada")
            with watch(user, log):
                await asyncio.sleep(0)

        contextvars.Context().run(asyncio.run, main())
        assert log.told == [("switch", "Ada", MISSING), ("switch", MISSING, "Ada")]

    def test_tasks_take_turns(self, log: Log) -> None:
        async def work(name: str) -> None:
            for _ in range(2):
                user.set(name)
                await asyncio.sleep(0)

        async def main() -> None:
            with watch(user, log):
                await asyncio.gather(work("Ada"), work("Grace"))

        contextvars.Context().run(asyncio.run, main())
        assert log.changed == [
            ("set", MISSING, "Ada"),
            ("set", MISSING, "Grace"),
            ("set", "Ada", "Ada"),
            ("set", "Grace", "Grace"),
        ]
        # Each change follows from the one before it: switches explain the rest.
        values = [value for _, old, new in log.told for value in (old, new)]
        assert values[1:-1:2] == values[2::2]

    def test_threads_are_not_mixed(self, log: Log) -> None:
        @in_a_new_context
        def run() -> None:
            user.set("Ada")
            with watch(user, log):
                thread = threading.Thread(target=user.set, args=("Grace",))
                thread.start()
                thread.join()
                user.set("Ada")

        contextvars.Context().run(run)
        if not getattr(sys.flags, "thread_inherit_context", False):
            assert log.changed == [("set", MISSING, "Grace"), ("set", "Ada", "Ada")]


class TestCallbacks:
    def test_a_callback_may_set_the_variable(self) -> None:
        told: Told = []

        def again(change: WatchedChange) -> None:
            told.append((change.kind, change.old, change.new))
            user.set("again")

        @in_a_new_context
        def run() -> None:
            with watch(user, again):
                user.set("Ada")
                user.set("Grace")
                assert user.get() == "again"

        run()
        assert told == [("set", MISSING, "Ada"), ("set", "again", "Grace")]

    def test_a_callback_may_stop_the_watch(self, log: Log) -> None:
        def stop(change: WatchedChange) -> None:
            log(change)
            handle.stop()

        @in_a_new_context
        def run() -> None:
            nonlocal handle
            handle = watch(user, stop)
            user.set("Ada")
            user.set("Grace")

        handle: Any = None
        run()
        assert len(log.told) == 1

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_what_a_callback_raises_is_reported(
        self, log: Log, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
    ) -> None:
        reported: list[Any] = []
        monkeypatch.setattr("sys.unraisablehook", lambda it: reported.append(it.exc_value))

        def fail(change: WatchedChange) -> None:
            raise error

        @in_a_new_context
        def run() -> None:
            with watch(user, fail), watch(user, log):
                user.set("Ada")
                assert user.get() == "Ada"

        run()
        assert [type(it) for it in reported] == [error]
        assert log.told == [("set", MISSING, "Ada")]

    def test_what_several_callbacks_raise_is_a_group(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reported: list[Any] = []
        monkeypatch.setattr("sys.unraisablehook", lambda it: reported.append(it.exc_value))

        def fail(change: WatchedChange) -> None:
            raise ValueError

        @in_a_new_context
        def run() -> None:
            with watch(user, fail), watch(user, fail):
                user.set("Ada")

        run()
        (group,) = reported
        assert len(group.exceptions) == 2

    def test_an_exception_passes_through_a_switch(self, log: Log) -> None:
        def fail() -> None:
            user.set("Ada")
            raise ZeroDivisionError

        @in_a_new_context
        def run() -> None:
            with watch(user, log), pytest.raises(ZeroDivisionError):
                ctxvars.copy_context().run(fail)

        run()
        assert log.told == [("set", MISSING, "Ada"), ("switch", "Ada", MISSING)]


def test_a_watch_does_not_keep_values() -> None:
    class Value:
        pass

    @in_a_new_context
    def run() -> None:
        value = Value()
        found = weakref.ref(value)
        with watch(user, lambda change: None):
            user.set(value)
            user.delete()
            user.set(value)
            token = user.delete()
            del token, value
            assert found() is None
            user.set([])  # Lists have no weak references.
            user.delete()

    run()


def test_a_recording_and_a_watch_do_not_disturb_each_other(log: Log) -> None:
    @in_a_new_context
    def run() -> None:
        with ctxvars.record() as timeline, watch(user, log):
            user.set("Ada")
        assert [event.kind for event in timeline.history(user)] == ["set"]

    run()
    assert log.told == [("set", MISSING, "Ada")]


def test_arguments() -> None:
    wrong: Any
    for wrong in (1, contextvars.ContextVar("user")):
        with pytest.raises(TypeError, match=r"^watch\(\) argument must be a ctxvars\.ContextVar"):
            watch(wrong, print)
    wrong = 1
    with pytest.raises(TypeError, match=r"^watch\(\) argument 'callback' must be callable, got 1"):
        watch(user, wrong)
