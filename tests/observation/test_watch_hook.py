"""The hook of `watch`: what it is called with, and that it cannot disturb a change."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, ContextVar, _core
from tests.support.new_context import in_a_new_context, in_new_context

Calls = list[tuple[Any, ...]]
SWITCH = ("switch", None, MISSING, MISSING)


@pytest.fixture
def watched() -> ContextVar[Any]:
    return ContextVar("watched")


@pytest.fixture
def calls(watched: ContextVar[Any]) -> Iterator[Calls]:
    calls: Calls = []
    _core.set_watch_hook(lambda *arguments: calls.append(arguments), [watched])
    yield calls
    _core.set_watch_hook(None, ())


def changes(calls: Calls) -> Calls:
    return [call for call in calls if call != SWITCH]


@in_a_new_context
def test_each_change_has_the_old_and_the_new_value(watched: ContextVar[Any], calls: Calls) -> None:
    token = watched.set(1)
    watched.reset(token)
    with watched.scope(2):
        pass
    watched.set(3)
    watched.delete()
    assert changes(calls) == [
        ("set", watched, MISSING, 1),
        ("reset", watched, 1, MISSING),
        ("scope_enter", watched, MISSING, 2),
        ("scope_exit", watched, 2, MISSING),
        ("set", watched, MISSING, 3),
        ("delete", watched, 3, MISSING),
    ]


@in_a_new_context
def test_only_watched_variables_are_told(watched: ContextVar[Any], calls: Calls) -> None:
    other = ContextVar[int]("other")
    other.set(1)
    with ctxvars.scope({other: 2, watched: 3}):
        pass
    assert changes(calls) == [
        ("scope_enter", watched, MISSING, 3),
        ("scope_exit", watched, 3, MISSING),
    ]


@in_a_new_context
def test_the_hook_sees_the_whole_change(watched: ContextVar[Any]) -> None:
    other = ContextVar[int]("other")
    seen: list[object] = []
    _core.set_watch_hook(lambda *_: seen.append(other.get(None)), [watched])
    try:
        with ctxvars.scope({watched: 1, other: 2}):
            pass
    finally:
        _core.set_watch_hook(None, ())
    assert seen == [2, None]


@in_a_new_context
def test_a_change_that_fails_is_not_told(watched: ContextVar[Any], calls: Calls) -> None:
    token = watched.set(1)
    watched.reset(token)
    del calls[:]
    with pytest.raises(RuntimeError):
        watched.reset(token)
    with pytest.raises(LookupError):
        watched.delete()
    assert changes(calls) == []


@in_a_new_context
def test_the_hook_may_set_the_variable(watched: ContextVar[Any]) -> None:
    def hook(kind: str, variable: ContextVar[Any] | None, old: Any, new: Any) -> None:
        if variable is not None and new < 5:
            variable.set(new + 1)

    _core.set_watch_hook(hook, [watched])
    try:
        token = watched.set(1)
    finally:
        _core.set_watch_hook(None, ())
    assert watched.get() == 5
    watched.reset(token)
    assert watched.get(None) is None


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@in_a_new_context
def test_an_error_of_the_hook_is_reported_and_the_change_stands(
    watched: ContextVar[Any], monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def hook(*_: object) -> None:
        raise error

    reports: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reports.append(report.exc_type))
    _core.set_watch_hook(hook, [watched])
    try:
        token = watched.set(1)
    finally:
        _core.set_watch_hook(None, ())
    assert reports == [error]
    assert watched.get() == 1
    watched.reset(token)


def test_the_hook_is_told_of_switches_by_run(watched: ContextVar[Any], calls: Calls) -> None:
    context = ctxvars.Context()
    context.run(watched.set, 1)
    assert calls == [SWITCH, ("set", watched, MISSING, 1), SWITCH]
    del calls[:]
    with pytest.raises(ZeroDivisionError) as raised:
        context.run(lambda: 1 / 0)
    assert calls == [SWITCH, SWITCH]
    assert raised.value.__context__ is None


@pytest.mark.skipif(not _core.watches_switches, reason="CPython tells of switches from 3.14 on")
def test_the_hook_is_told_of_switches_by_native_code(calls: Calls) -> None:
    contextvars.copy_context().run(int)
    assert calls == [SWITCH, SWITCH]


@pytest.mark.skipif(not _core.watches_switches, reason="CPython tells of switches from 3.14 on")
def test_without_a_hook_no_watcher_is_left(watched: ContextVar[Any]) -> None:
    # CPython has room for eight.
    for _ in range(20):
        _core.set_watch_hook(lambda *_: None, [watched])
        _core.set_watch_hook(None, ())
    contextvars.copy_context().run(int)


def test_the_hook_and_the_recorder_are_independent(watched: ContextVar[Any], calls: Calls) -> None:
    _core.start_recording(10, False)
    in_new_context(watched.set, 1)
    _core.stop_recording()
    in_new_context(watched.set, 2)
    assert [row[1] for row in _core.recorded_events()] == ["set"]
    assert [call[3] for call in changes(calls)] == [1, 2]


def test_another_hook_replaces_the_first(watched: ContextVar[Any], calls: Calls) -> None:
    others: Calls = []
    _core.set_watch_hook(lambda *arguments: others.append(arguments), [watched])
    in_new_context(watched.set, 1)
    assert changes(calls) == []
    assert changes(others) == [("set", watched, MISSING, 1)]
