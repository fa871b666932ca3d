"""The recorder: which events there are, and how they are related."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import os
import sys
import threading
import time
import weakref
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, _core
from tests.observation.recorded import DROP, EMPTY, events, kinds, rows
from tests.support.builds import IN_PLACE
from tests.support.new_context import in_a_new_context, in_new_context

pytestmark = pytest.mark.usefixtures("recording")


@in_a_new_context
def test_each_change_is_an_event_with_the_version_before_it(variable: ContextVar[Any]) -> None:
    token = variable.set(1)
    variable.reset(token)
    with variable.set(2):
        pass
    variable.set(3)
    variable.delete()
    found = events()
    assert [event.kind for event in found] == ["set", "reset", "set", "reset", "set", "delete"]
    assert found[0].parent == EMPTY
    for before, after in itertools.pairwise(found):
        assert after.parent == before.version
    assert {event.variable for event in found} == {variable}
    assert len({event.context for event in found}) == 1
    assert [event.number for event in found] == [*range(6)]
    assert {event.thread for event in found} == {threading.get_ident()}


@in_a_new_context
def test_a_scope_is_an_event_for_each_variable(variable: ContextVar[Any]) -> None:
    other = ContextVar[int]("other")
    with ctxvars.scope({variable: 1, other: 2}), variable.scope(3):
        pass
    found = [(event.kind, event.variable) for event in events()]
    assert found == [
        ("scope_enter", variable),
        ("scope_enter", other),
        ("scope_enter", variable),
        ("scope_exit", variable),
        ("scope_exit", variable),
        ("scope_exit", other),
    ]


@in_a_new_context
def test_the_block_of_a_group_is_an_event_for_each_field() -> None:
    class Settings(ctxvars.Group):
        level: int = 0
        name: str = ""

    with Settings(level=1, name="a"):
        pass
    assert kinds() == ["scope_enter"] * 2 + ["scope_exit"] * 2


@in_a_new_context
def test_a_change_that_fails_is_no_event(variable: ContextVar[Any]) -> None:
    token = variable.set(1)
    variable.reset(token)
    with pytest.raises(RuntimeError):
        variable.reset(token)
    with pytest.raises(LookupError):
        variable.delete()
    with pytest.raises(ValueError, match="different Context"):
        variable.reset(contextvars.Context().run(variable.set, 1))
    assert kinds() == ["set", "reset", "set"]


@in_a_new_context
def test_applied_changes_are_an_event_for_each_variable(variable: ContextVar[Any]) -> None:
    other, kept = ContextVar[int]("other"), ContextVar[int]("kept")
    kept.set(0)
    other.set(0)
    before = ctxvars.copy_context()

    def change() -> ctxvars.Changes:
        variable.set(1)
        other.delete()
        return ctxvars.changes_since(before)

    changes = ctxvars.copy_context().run(change)
    changes.apply()
    applied = [event for event in events() if event.kind == "apply"]
    assert {event.variable for event in applied} == {variable, other}
    assert len({event.version for event in applied}) == 1


@in_a_new_context
def test_running_in_a_context_is_two_events_there(variable: ContextVar[Any]) -> None:
    variable.set(0)
    context = ctxvars.copy_context()
    context.run(variable.set, 1)
    del context
    assert kinds()[5:] == DROP
    found = events()
    assert [event.kind for event in found[:5]] == ["set", "copy", "run_enter", "set", "run_exit"]
    # The copy begins where the original was.
    assert found[2].version == found[0].version
    if IN_PLACE:
        outer, inner = found[0].context, found[2].context
        assert outer != inner
        assert [event.context for event in found] == [outer, outer, inner, inner, inner, inner]
        assert rows()[-1].parent == outer


def test_the_end_of_a_body_that_raised_is_an_event(variable: ContextVar[Any]) -> None:
    with pytest.raises(ZeroDivisionError):
        ctxvars.Context().run(lambda: 1 / 0)
    assert kinds() == ["run_enter", "run_exit", *DROP]


def test_a_context_that_native_code_keeps_is_not_dropped() -> None:
    context = ctxvars.Context()
    context.run(int)
    native = context.native
    del context
    assert kinds() == ["run_enter", "run_exit"]
    assert list(native) == []


def test_wrapping_and_copying_are_events() -> None:
    ctxvars.Context.wrap(contextvars.copy_context()).copy()
    assert kinds() == ["wrap", "copy"]


@in_a_new_context
def test_a_get_without_a_value_is_an_event(variable: ContextVar[Any]) -> None:
    with_default = ContextVar("with default", default=0)
    with_factory = ContextVar("with factory", default_factory=list)
    variable.get(None)
    with pytest.raises(LookupError):
        variable.get()
    with_default.get()
    with_factory.get()
    variable.set(1)
    variable.get()
    variable.get(None)
    found = [(event.kind, event.variable) for event in events()]
    assert found == [
        ("missing", variable),
        ("missing", variable),
        ("missing", with_default),
        ("missing", with_factory),
        ("set", variable),
    ]


def test_an_unset_field_of_a_group_is_an_event() -> None:
    class Settings(ctxvars.Group):
        level: int

    with pytest.raises(ctxvars.UnsetFieldError):
        _ = Settings.level
    assert kinds() == ["missing"]


def test_get_is_an_event_during_a_recording_only(variable: ContextVar[Any]) -> None:
    get = variable.get
    _core.stop_recording()
    get(None)
    assert kinds() == []
    _core.start_recording(10, False)
    get(None)
    assert kinds() == ["missing"]


def test_an_event_has_the_place_of_the_call(variable: ContextVar[Any]) -> None:
    def place() -> None:
        variable.set(1)

    in_new_context(place)
    (event,) = events()
    assert event.code is place.__code__
    lines = [line for start, end, line in event.code.co_lines() if start <= event.instruction < end]
    assert lines == [place.__code__.co_firstlineno + 1]


def test_an_event_has_the_time_of_the_monotonic_clock(variable: ContextVar[Any]) -> None:
    before = time.monotonic_ns()
    in_new_context(variable.set, 1)
    after = time.monotonic_ns()
    (event,) = events()
    # The two clocks are read one after the other when the recording starts.
    tolerance = 50_000_000
    assert before - tolerance <= event.nanoseconds <= after + tolerance


def test_the_newest_events_are_kept(variable: ContextVar[Any]) -> None:
    _core.stop_recording()
    _core.start_recording(7, False)
    for number in range(100):
        in_new_context(variable.set, number)
    found = events()
    assert [event.number for event in found] == [*range(93, 100)]
    assert [event.nanoseconds for event in found] == sorted(event.nanoseconds for event in found)


def test_old_contexts_are_forgotten(variable: ContextVar[Any]) -> None:
    _core.stop_recording()
    _core.start_recording(64, False)
    for number in range(100):
        in_new_context(variable.set, number)
    numbers = [row.context for row in rows()]
    assert numbers == [*range(84, 100)]
    assert [event.context for event in events()][-16:] == numbers


def test_events_stay_until_the_next_recording(variable: ContextVar[Any]) -> None:
    in_new_context(variable.set, 1)
    _core.stop_recording()
    in_new_context(variable.set, 2)
    assert kinds() == ["set"]
    _core.start_recording(10, False)
    assert kinds() == []


def test_a_second_recording_is_refused_and_the_first_goes_on(variable: ContextVar[Any]) -> None:
    with pytest.raises(RuntimeError, match="a recording is on"):
        _core.start_recording(10, False)
    in_new_context(variable.set, 1)
    assert kinds() == ["set"]


def test_bad_arguments_start_no_recording() -> None:
    _core.stop_recording()
    for capacity in (0, -1):
        with pytest.raises(ValueError, match=r"'capacity' must be positive, got"):
            _core.start_recording(capacity, False)
    with pytest.raises(TypeError):
        _core.start_recording("1", False)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.start_recording(1, 1)  # type: ignore[arg-type]
    with pytest.raises(MemoryError):
        _core.start_recording(sys.maxsize // 64, False)
    with pytest.raises(OverflowError):
        _core.start_recording(2**70, False)
    assert not _core.is_recording()
    _core.start_recording(1, False)
    assert _core.is_recording()


# Values


class Hostile:
    def __repr__(self) -> str:
        return "no code of a value runs"

    __str__ = __repr__


class Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "no code of a value runs"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (1j, "1j"),
        ("a", "'a'"),
        (b"a", "b'a'"),
        ("a" * 81, "'" + "a" * 80 + "'..."),
        (b"a" * 81, "b'" + "a" * 80 + "'..."),
        (10**100, "1" + "0" * 79 + "..."),
        pytest.param(10**10000, None, id="huge"),
        ([1], "<list>"),
        (Hostile(), "<Hostile>"),
        (Text("a"), "<Text>"),
    ],
)
@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_short_text_of_the_value_is_kept(
    variable: ContextVar[Any], value: object, text: str | None, all_of_them: bool
) -> None:
    _core.stop_recording()
    other = ContextVar[int]("other")
    _core.start_recording(10, True if all_of_them else [variable])
    in_new_context(variable.set, value)
    in_new_context(other.set, 1)
    assert [event.text for event in events()] == [text, "1" if all_of_them else None]


def test_no_value_is_kept(variable: ContextVar[Any]) -> None:
    class Value:
        pass

    value = Value()
    reference = weakref.ref(value)
    in_new_context(variable.set, value)
    del value
    gc.collect()
    assert reference() is None
    assert events()[0].text is None


# Contexts


def test_tasks_are_told_apart_and_have_the_context_that_they_copied(
    variable: ContextVar[Any],
) -> None:
    async def child(number: int) -> None:
        variable.set(number)
        await asyncio.sleep(0)
        variable.set(-number)

    async def main() -> None:
        variable.set(0)
        await asyncio.gather(*[asyncio.create_task(child(it), name=f"child {it}") for it in (1, 2)])

    in_new_context(asyncio.run, main())
    names = {row.context: row.task_name for row in rows()}
    found = [(names[event.context or 0], event.kind) for event in events()]
    main_name = found[0][0]
    assert main_name is not None
    assert found[1:] == [("child 1", "set"), ("child 2", "set")] * 2
    main_row, first, second = rows()
    assert [first.parent, second.parent] == [main_row.context] * 2
    assert first.parent_version == second.parent_version == events()[0].version
    assert first.stack[0][0] is child.__code__
    assert first.thread_name == threading.current_thread().name


def test_a_task_of_a_subclass_has_no_name(variable: ContextVar[Any]) -> None:
    calls = []

    class Task(asyncio.Task[None]):
        def get_name(self) -> str:
            calls.append("no code of a task runs")
            return "name"

    async def main() -> None:
        async def body() -> None:
            variable.set(1)

        await Task(body(), loop=asyncio.get_running_loop())

    in_new_context(asyncio.run, main())
    (row,) = rows()
    assert row.task_name is None
    assert calls == []


def test_a_thread_has_one_context_whether_it_has_set_something_or_not(
    variable: ContextVar[Any],
) -> None:
    def body() -> None:
        variable.get(None)
        variable.set(1)
        variable.delete()
        variable.get(None)

    for number in range(3):
        thread = threading.Thread(target=body, name=f"thread {number}")
        thread.start()
        thread.join()
    names = {row.context: row.thread_name for row in rows()}
    found = [(names[event.context or 0], event.kind) for event in events()]
    steps = ["missing", "set", "delete", "missing"]
    assert found == [(f"thread {number}", step) for number in range(3) for step in steps]
    assert len(names) == 3 or not IN_PLACE


@pytest.mark.skipif(not IN_PLACE, reason="contexts are told apart by versions only")
def test_an_empty_copy_is_not_the_context_of_its_thread(variable: ContextVar[Any]) -> None:
    def body() -> None:
        variable.get(None)
        ctxvars.copy_context().run(variable.set, 1)
        variable.get(None)
        variable.set(2)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    found = [event for event in events() if event.variable is not None]
    assert [event.kind for event in found] == ["missing", "set", "missing", "set"]
    first, copied, *others = [event.context for event in found]
    assert others == [first, first]
    assert copied != first


@pytest.mark.skipif(not IN_PLACE, reason="contexts are told apart by versions only")
def test_contexts_at_one_address_are_told_apart(variable: ContextVar[Any]) -> None:
    def body() -> None:
        variable.set(0)
        for _ in range(50):
            # Each copy is freed before the next one is made.
            contextvars.copy_context().run(variable.set, 1)

    in_new_context(body)
    numbers = [event.context for event in events()]
    assert numbers == [*range(51)]
    assert [row.parent for row in rows()] == [None] + [0] * 50


@in_a_new_context
def test_the_position_is_that_of_the_current_context(variable: ContextVar[Any]) -> None:
    assert _core.recording_position() == (EMPTY, None)
    variable.set(1)
    (event,) = events()
    assert _core.recording_position() == (event.version, event.context)
    assert ctxvars.copy_context().run(_core.recording_position)[0] == event.version


@in_a_new_context
def test_a_context_that_starts_empty_is_no_copy_of_one_that_became_empty(
    variable: ContextVar[Any],
) -> None:
    variable.set(1)
    variable.delete()
    thread = threading.Thread(target=variable.set, args=(2,))
    thread.start()
    thread.join()
    assert [(row.parent, row.parent_version) for row in rows()] == [(None, EMPTY)] * 2


def test_a_thread_may_start_and_stop_the_recording_of_another(variable: ContextVar[Any]) -> None:
    thread = threading.Thread(target=_core.stop_recording)
    thread.start()
    thread.join()
    in_new_context(variable.set, 1)
    assert kinds() == []


def test_events_of_many_threads_are_complete(variable: ContextVar[Any]) -> None:
    _core.stop_recording()
    _core.start_recording(10_000, True)
    barrier = threading.Barrier(4)

    def body() -> None:
        barrier.wait()
        for number in range(1000):
            variable.set(number)

    threads = [threading.Thread(target=body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = events()
    assert len(found) == 4000
    assert {event.number for event in found} == {*range(4000)}
    for context in {event.context for event in found}:
        own = [event for event in found if event.context == context]
        assert [event.text for event in own] == [str(number) for number in range(1000)]
        assert all(after.parent == before.version for before, after in itertools.pairwise(own))


def test_finalisers_that_set_come_after_the_change_that_frees_them(
    variable: ContextVar[Any],
) -> None:
    other = ContextVar[int]("other")

    class Sets:
        def __del__(self) -> None:
            other.set(1)

    def body() -> None:
        variable.set(0)
        variable.reset(variable.set(Sets()))

    in_new_context(body)
    found = events()
    assert [(event.kind, event.variable) for event in found] == [
        ("set", variable),
        ("set", variable),
        ("reset", variable),
        ("set", other),
    ]
    assert [event.parent for event in found[1:]] == [event.version for event in found[:-1]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_goes_on_recording(variable: ContextVar[Any]) -> None:
    in_new_context(variable.set, 1)
    child = os.fork()
    if child == 0:
        in_new_context(variable.set, 2)
        os._exit(kinds() != ["set", "set"])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert kinds() == ["set"]
