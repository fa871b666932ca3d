"""Threads that share contexts, tokens, variables, maps, mutations and iterators.

Each test runs in a new interpreter. It switches between threads as often as possible, or runs them
in parallel if it is free-threaded.
"""

from __future__ import annotations

import contextvars as native
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import ctxvars
from ctxvars import Map
from tests.support.builds import FREE_THREADED
from tests.support.concurrency import OFTEN, in_threads
from tests.support.map.traps import Key, assert_consistent
from tests.support.parity import normalised
from tests.support.subprocesses import in_subprocess

THREADS = 3
# Without the GIL, threads meet less often at the critical places.
TIMES = 10 if FREE_THREADED else 1
WRITES = 6000 * TIMES


def while_it_runs(write: Callable[[], object], read: Callable[[], object]) -> None:
    """Let two threads read until another thread has written all, and once more."""
    finished = threading.Event()

    def write_all() -> None:
        try:
            write()
        finally:
            finished.set()

    def read_on() -> None:
        done = False
        while not done:
            done = finished.is_set()
            read()

    in_threads(write_all, read_on, read_on)


class SlowKey(Key):
    """A key that lets another thread run during each comparison."""

    def __eq__(self, other: object) -> bool:
        time.sleep(1e-6)
        return isinstance(other, Key) and self.name == other.name

    __hash__ = Key.__hash__


def edit_in_threads() -> int:
    mutation = Map({SlowKey(number): "old" for number in range(10)}).mutate()

    def work(thread: int) -> Callable[[], None]:
        def edit() -> None:
            for number in range(12):
                mutation[SlowKey((thread, number))] = thread
            for number in range(0, 12, 2):
                del mutation[SlowKey((thread, number))]
            mutation[SlowKey(thread)] = "new"

        return edit

    in_threads(*map(work, range(3)))
    assert_consistent(mutation)
    expected = {(thread, number) for thread in range(3) for number in range(1, 12, 2)}
    assert {key.name for key in mutation} == expected | set(range(10))
    assert all(mutation[SlowKey(thread)] == "new" for thread in range(3))
    return len(mutation.finish())


def test_threads_that_edit_one_mutation_lose_nothing() -> None:
    assert in_subprocess(edit_in_threads) == 28


def finish_in_threads() -> bool:
    """One thread edits while another finishes: the finished map stays as it is."""
    sys.setswitchinterval(OFTEN)
    for _ in range(20):
        mutation = Map({SlowKey(number): "old" for number in range(8)}).mutate()
        began = threading.Event()
        finished: list[Any] = []

        def edit(mutation: Any = mutation, began: Any = began) -> None:
            for number in range(100):
                began.set()
                try:
                    mutation[SlowKey(number)] = "new"
                except ValueError:
                    return

        def finish(mutation: Any = mutation, began: Any = began, box: Any = finished) -> None:
            began.wait()
            map_ = mutation.finish()
            box.append((map_, list(map_.items())))

        in_threads(edit, finish)
        ((map_, items),) = finished
        assert list(map_.items()) == items
        assert_consistent(map_)
        assert len(map_) == len(items)
    return True


def test_a_map_finished_by_another_thread_stays_as_it_is() -> None:
    assert in_subprocess(finish_in_threads)


def iterate_in_threads() -> int:
    """One iterator in several threads gives each item once."""
    iterator = iter(Map.fromkeys(range(20_000 * TIMES)))
    taken: list[list[int]] = [[], [], []]
    sys.setswitchinterval(OFTEN)
    in_threads(*(lambda part=part: part.extend(iterator) for part in taken))
    assert sorted(key for part in taken for key in part) == list(range(20_000 * TIMES))
    return sum(map(len, taken))


def test_threads_that_share_an_iterator() -> None:
    assert in_subprocess(iterate_in_threads) == 20_000 * TIMES


def get_values_of_the_own_context() -> int:
    """Variables cache the value of the last context; other contexts must not get it."""
    sys.setswitchinterval(OFTEN)
    variables = [ctxvars.ContextVar(f"v{number}", default=None) for number in range(20)]

    def work(thread: int) -> Callable[[], None]:
        def set_and_get() -> None:
            for number in range(3000 * TIMES):
                variable = variables[number % len(variables)]
                token = variable.set((thread, number))
                assert variable.get() == (thread, number)
                assert all(other.get()[0] == thread for other in variables if other.get())
                if number % 3 == 0:
                    variable.reset(token)

        return set_and_get

    in_threads(*map(work, range(THREADS)))
    return sum(variable.get() is None for variable in variables)


def test_threads_that_share_variables_get_values_of_their_own() -> None:
    assert in_subprocess(get_values_of_the_own_context) == 20


def catching(
    caught: list[tuple[str, str]],
    expected: type[Exception],
    call: Callable[..., object],
    *args: Any,
) -> Callable[[], None]:
    """Return a function that records the exception of a call."""

    def catch() -> None:
        try:
            call(*args)
        except expected as error:
            caught.append((type(error).__name__, normalised(str(error))))

    return catch


def enter_in_threads(contextvars: Any) -> list[tuple[str, str]]:
    """Return the exception of a thread that enters a context in which another thread runs."""
    context = contextvars.copy_context()
    caught: list[tuple[str, str]] = []
    enter = catching(caught, RuntimeError, context.run, print, "not reached")
    context.run(in_threads, *[enter] * THREADS)
    context.run(int)
    return caught


def take_turns_in_a_context() -> int:
    """Threads that enter one context whenever it is free lose no update."""
    sys.setswitchinterval(OFTEN)
    variable = ctxvars.ContextVar("count", default=0)
    context = ctxvars.Context()
    done = [0] * THREADS

    def work(thread: int) -> Callable[[], None]:
        def count() -> None:
            while done[thread] < 1000:
                try:
                    context.run(lambda: variable.set(variable.get() + 1))
                    done[thread] += 1
                except RuntimeError:
                    time.sleep(0)

        return count

    in_threads(*map(work, range(THREADS)))
    return context[variable]


def test_threads_that_take_turns_in_one_context() -> None:
    assert in_subprocess(take_turns_in_a_context) == 1000 * THREADS


def read_while_another_runs() -> int:
    """Reads of a context in which another thread sets variables are consistent."""
    sys.setswitchinterval(OFTEN)
    variables = [ctxvars.ContextVar(f"v{number}") for number in range(40)]
    context = ctxvars.Context()

    def write() -> None:
        for number in range(WRITES):
            # All variables with a value were set in this order.
            variables[number % len(variables)].set(number)

    def read() -> None:
        values = sorted(context.values())
        assert values == list(range(values[0], values[0] + len(values))) if values else True
        snapshot = context.copy()
        assert list(snapshot.items()) == list(snapshot.bindings.items())
        assert len(list(context)) <= len(variables)
        assert context.get(variables[0], 0) % len(variables) == 0
        assert context == context
        context.diff(snapshot)

    while_it_runs(lambda: context.run(write), read)
    return sum(context.values())


def test_a_context_is_read_while_another_thread_runs_in_it() -> None:
    assert in_subprocess(read_while_another_runs) == sum(range(WRITES - 40, WRITES))


def reset_in_threads() -> int:
    """Several threads reset with one token in its context: one of them succeeds."""
    sys.setswitchinterval(OFTEN)
    variable = ctxvars.ContextVar("variable")
    total = 0
    for _ in range(150):
        context = ctxvars.Context()
        token = context.run(variable.set, "set")
        endings: list[str] = []

        def reset(context: Any = context, token: Any = token, endings: Any = endings) -> None:
            while True:
                try:
                    context.run(variable.reset, token)
                    endings.append("reset")
                except RuntimeError as error:
                    if "entered" in str(error):
                        time.sleep(0)
                        continue
                    endings.append("used")
                return

        in_threads(*[reset] * THREADS)
        assert sorted(endings) == ["reset"] + ["used"] * (THREADS - 1)
        assert variable not in context
        total += 1
    return total


def test_of_the_threads_that_reset_with_one_token_one_succeeds() -> None:
    assert in_subprocess(reset_in_threads) == 150


def reset_in_threads_of_other_contexts(contextvars: Any) -> list[tuple[str, str]]:
    """Return the exceptions of threads that reset with a token of another context."""
    variable = contextvars.ContextVar("variable")
    token = variable.set("set")
    caught: list[tuple[str, str]] = []
    reset = catching(caught, ValueError, variable.reset, token)
    in_threads(*(lambda: contextvars.Context().run(reset) for _ in range(THREADS)))
    variable.reset(token)
    return caught


def on_both(name: str) -> list[list[tuple[str, str]]]:
    """Return the results of a function above for the standard library and for ctxvars."""
    return [globals()[name](contextvars) for contextvars in (native, ctxvars)]


@pytest.mark.parametrize("refused", [enter_in_threads, reset_in_threads_of_other_contexts])
def test_threads_are_refused_as_by_the_standard_library(refused: Any) -> None:
    theirs, ours = in_subprocess(on_both, refused.__name__)
    assert ours == theirs
    assert len(ours) == THREADS


def share_maps() -> int:
    """Maps that share nodes are derived, compared, hashed and dropped by all threads at once."""
    sys.setswitchinterval(OFTEN)
    shared = Map.fromkeys(range(500), "old")
    hashed = hash(Map.fromkeys(range(500), "old"))

    def work(thread: int) -> Callable[[], None]:
        def derive() -> None:
            map_ = shared
            for number in range(400):
                map_ = map_.set(number, thread).delete(499 - number) if number % 2 else map_
                assert shared[number] == "old"
            assert len(shared.diff(map_).removed) + len(map_) >= 500
            assert shared.update(map_).intersection(shared) == shared.update(map_)
            assert hash(shared) == hashed

        return derive

    for _ in range(5):
        in_threads(*map(work, range(THREADS)))
    assert dict(shared) == dict.fromkeys(range(500), "old")
    return len(shared)


def test_threads_that_derive_from_one_map() -> None:
    assert in_subprocess(share_maps) == 500


def collect_in_threads() -> int:
    """Cycles through contexts, variables, tokens and maps, made and collected by all threads."""
    sys.setswitchinterval(OFTEN)
    gc.set_threshold(50)
    shared = ctxvars.ContextVar("shared")

    def make_cycles() -> None:
        for number in range(250):
            context = ctxvars.copy_context()
            variable = ctxvars.ContextVar("variable", default=[context])
            cell: list[object] = []
            token = context.run(variable.set, cell)
            map_ = Map({variable: token, number: cell})
            cell += [context, token, map_, iter(map_), map_.mutate()]
            shared.set(cell)
            if number % 50 == 0:
                gc.collect()
            assert context[variable] is cell

    in_threads(*[make_cycles] * THREADS)
    gc.collect()
    kinds = (ctxvars.Context, ctxvars.ContextVar, ctxvars.Token)
    return sum(isinstance(found, kinds) for found in gc.get_objects())


def test_cycles_made_by_threads_are_collected() -> None:
    assert in_subprocess(collect_in_threads) <= 3


def iterate_over_a_mutation() -> int:
    """An iterator over a mutation that another thread edits gives keys or says that it changed."""
    sys.setswitchinterval(OFTEN)
    mutation = Map.fromkeys(range(300)).mutate()
    messages: set[str] = set()

    def edit() -> None:
        for number in range(300, 3000 * TIMES):
            mutation[number] = None
            del mutation[number - 300]

    def read() -> None:
        try:
            keys = list(mutation)
        except RuntimeError as error:
            messages.add(str(error))
        else:
            assert len(keys) in (300, 301)

    while_it_runs(edit, read)
    assert messages <= {"MapMutation changed during iteration"}
    return len(mutation.finish())


def test_an_iterator_over_a_mutation_that_another_thread_edits() -> None:
    assert in_subprocess(iterate_over_a_mutation) == 300


def step_in_threads() -> int:
    """Threads make the steps of one isolated generator: each in its context, or not at all."""
    sys.setswitchinterval(OFTEN)
    variable = ctxvars.ContextVar("variable", default=0)

    def body() -> Any:
        while True:
            variable.set(variable.get() + 1)
            yield variable.get()

    generator = ctxvars.isolated(body())
    counts: list[list[int]] = [[], [], []]
    messages: set[str] = set()

    def work(mine: list[int]) -> Callable[[], None]:
        def step() -> None:
            while len(mine) < 1000:
                try:
                    mine.append(next(generator))
                except (ValueError, RuntimeError) as error:
                    messages.add(normalised(str(error)))
                    time.sleep(0)
            assert variable.get() == 0

        return step

    in_threads(*map(work, counts))
    assert sorted(count for mine in counts for count in mine) == list(range(1, 3001))
    # The error comes from the generator or, if threads run in parallel, from its context.
    assert messages <= {
        "generator already executing",
        normalised(f"cannot enter context: {native.copy_context()!r} is already entered"),
    }
    return next(generator)


def test_threads_that_make_the_steps_of_one_isolated_generator() -> None:
    assert in_subprocess(step_in_threads) == 3001


def enter_a_scope_in_threads() -> int:
    """A scope is entered by one thread at a time, and each leaves its own context as it was."""
    sys.setswitchinterval(OFTEN)
    variables = [ctxvars.ContextVar(f"v{number}", default="outside") for number in range(5)]
    scope = ctxvars.scope(dict.fromkeys(variables, "inside"))
    entered = [0] * THREADS
    messages: set[str] = set()

    def work(thread: int) -> Callable[[], None]:
        def enter() -> None:
            while entered[thread] < 500:
                try:
                    with scope:
                        assert all(variable.get() == "inside" for variable in variables)
                        entered[thread] += 1
                except RuntimeError as error:
                    messages.add(str(error).partition(" is ")[2].partition(":")[0])
                    time.sleep(0)
                assert all(variable.get() == "outside" for variable in variables)

        return enter

    in_threads(*map(work, range(THREADS)))
    assert messages <= {"entered already"}
    return sum(entered)


def test_threads_that_enter_one_scope() -> None:
    assert in_subprocess(enter_a_scope_in_threads) == 500 * THREADS


def read_a_dict_that_changes() -> int:
    """A map of a dict that another thread changes has the entries of one moment."""
    sys.setswitchinterval(OFTEN)
    keys = [str(number) for number in range(50)]
    source = dict.fromkeys(keys, 0)

    def write() -> None:
        for number in range(1, 300):
            for key in keys:
                source[key] = number

    def read() -> None:
        found = Map(source)
        values = [found[key] for key in keys]
        assert values == sorted(values, reverse=True)
        assert values[0] - values[-1] in (0, 1)

    while_it_runs(write, read)
    return len(Map(source))


def test_a_dict_is_read_while_another_thread_changes_it() -> None:
    assert in_subprocess(read_a_dict_that_changes) == 50


def make_defaults_in_threads() -> int:
    """A factory is called once in the context of each thread."""
    sys.setswitchinterval(OFTEN)
    variables = [ctxvars.ContextVar(f"v{number}", default_factory=object) for number in range(50)]
    made: list[list[object]] = [[], [], []]

    def work(mine: list[object]) -> Callable[[], None]:
        def get() -> None:
            for variable in variables:
                first = variable.get()
                assert variable.get() is first
                mine.append(first)

        return get

    in_threads(*map(work, made))
    return len({id(default) for mine in made for default in mine})


def test_threads_that_get_defaults_of_a_factory() -> None:
    assert in_subprocess(make_defaults_in_threads) == 50 * THREADS


def refer_weakly_to_what_is_edited() -> int:
    """The maps before and after a mutation never change for any thread."""
    sys.setswitchinterval(OFTEN)
    start = Map.fromkeys(range(40), "old")
    shared: list[Any] = [start.mutate(), start]
    messages: set[str] = set()

    def edit() -> None:
        for number in range(20_000):
            mutation, _ = shared
            try:
                mutation[number % 40] = number
            except ValueError as error:
                messages.add(str(error).rpartition(") ")[2])

    def look() -> None:
        for _ in range(300):
            mutation, _ = shared
            map_ = mutation.finish()
            reference = weakref.ref(map_)
            items = list(map_.items())
            shared[:] = [map_.mutate(), map_]
            assert reference() is map_
            assert list(map_.items()) == items

    in_threads(edit, look, look)
    assert messages <= {"has been finished"}
    assert dict(start) == dict.fromkeys(range(40), "old")
    return len(shared[1])


def test_a_map_stays_as_it_is_while_the_mutations_around_it_are_edited() -> None:
    assert in_subprocess(refer_weakly_to_what_is_edited) == 40
