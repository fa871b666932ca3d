"""Threads that share mutations and iterators: no edit is lost, and no item is given twice."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from isolated import isolated
from map_traps import Key, assert_consistent

from ctxvars import Map


def in_threads(*works: Callable[[], object]) -> None:
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


class SlowKey(Key):
    """Lets another thread run in the midst of each comparison."""

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
    assert isolated(edit_in_threads) == 28


def finish_in_threads() -> bool:
    """One thread edits while another finishes: the finished map stays as it is."""
    sys.setswitchinterval(1e-6)
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
    assert isolated(finish_in_threads)


def iterate_in_threads() -> int:
    """One iterator in several threads gives each item once."""
    iterator = iter(Map.fromkeys(range(20_000)))
    taken: list[list[int]] = [[], [], []]
    sys.setswitchinterval(1e-6)
    in_threads(*(lambda part=part: part.extend(iterator) for part in taken))
    assert sorted(key for part in taken for key in part) == list(range(20_000))
    return sum(map(len, taken))


def test_threads_that_share_an_iterator() -> None:
    assert isolated(iterate_in_threads) == 20_000
