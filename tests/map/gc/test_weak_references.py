"""Callbacks of weak references to maps, which run when an edit drops the last reference to one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from ctxvars import Map, MapMutation

Mutation = MapMutation[Any, Any]

# A flat root, the largest one, the smallest tree, deeper trees.
SIZES = [1, 2, 5, 16, 17, 40, 400]


def replace(mutation: Mutation) -> None:
    mutation[0] = object()


def add(mutation: Mutation) -> None:
    mutation["new"] = object()


def set_default(mutation: Mutation) -> None:
    mutation.setdefault("new", object())


def delete(mutation: Mutation) -> None:
    del mutation[0]


def discard(mutation: Mutation) -> None:
    mutation.discard(0)


def pop(mutation: Mutation) -> None:
    mutation.pop(0)


def pop_item(mutation: Mutation) -> None:
    mutation.popitem()


def update(mutation: Mutation) -> None:
    mutation.update({0: object(), "new": object()})


def clear(mutation: Mutation) -> None:
    mutation.clear()


EDITS = [replace, add, set_default, delete, discard, pop, pop_item, update, clear]


def is_sound(mutation: Mutation) -> bool:
    """Whether the length, the items and the look-ups of a map agree."""
    items = list(mutation.items())
    found = all(mutation[key] is value for key, value in items)
    return found and len(items) == len(mutation) == len(dict(items))


def finish(mutation: Mutation) -> None:
    assert isinstance(mutation.finish(), Map)


def edit_more(mutation: Mutation) -> None:
    for number in range(20):
        mutation["more", number] = number
    mutation.pop(("more", 3))


def empty(mutation: Mutation) -> None:
    mutation.clear()


USES: list[Callable[[Mutation], None]] = [finish, edit_more, empty]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("size", SIZES)
def test_a_callback_uses_the_mutation_that_is_edited(
    size: int, edit: Callable[[Mutation], None], use: Callable[[Mutation], None]
) -> None:
    map_ = Map({number: object() for number in range(size)})
    mutation = map_.mutate()
    expected = map_.mutate()
    expected_items = dict(map_)
    seen = []

    def callback(_: object) -> None:
        seen.append(is_sound(mutation))
        # The edit has been completed.
        seen.append(len(mutation) == len(expected))
        use(mutation)

    edit(expected)
    watched = weakref.ref(map_, callback)
    del map_
    edit(mutation)
    assert watched() is None
    assert seen == [True, True]
    assert is_sound(mutation)
    if use is edit_more:
        assert ("more", 19) in mutation
        assert ("more", 3) not in mutation
    kept = [key for key in expected_items if key in mutation]
    assert all(mutation[key] is expected_items[key] for key in kept if key != 0)


def test_maps_in_a_weak_dictionary_are_read_while_another_thread_edits() -> None:
    """The callback is that of the standard library, not hostile code."""
    cache: weakref.WeakValueDictionary[int, Map[int, object]] = weakref.WeakValueDictionary()
    unsound = []
    mutations: list[Mutation] = []
    is_done = threading.Event()

    def read() -> None:
        while not is_done.is_set():
            for mutation in mutations[-1:]:
                items = mutation.finish().items()
                if len(list(items)) != len(items):
                    unsound.append(mutation)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(300):
            map_ = Map({number: object() for number in range(40)})
            cache[turn] = map_
            mutation = map_.mutate()
            mutations.append(mutation)
            del map_
            for number in range(0, 39, 3):
                try:
                    mutation[number] = object()
                    del mutation[number + 1]
                except ValueError:
                    break  # The other thread has finished it.
    finally:
        is_done.set()
        reader.join()
    assert not unsound


def test_maps_that_are_derived_see_no_edit_in_a_callback() -> None:
    versions = []
    map_ = Map({number: object() for number in range(40)})
    mutation = map_.mutate()

    def callback(_: object) -> None:
        versions.append((mutation.finish(), dict(mutation)))

    watched = weakref.ref(map_, callback)
    del map_
    mutation["new"] = 1
    assert watched() is None
    [(finished, content)] = versions
    assert dict(finished) == content
    with pytest.raises(ValueError, match="has been finished"):
        mutation[0] = None
    assert dict(finished) == content
