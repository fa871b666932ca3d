"""Sources that edit their target while they are read, and finalisers that edit a mutation."""

from __future__ import annotations

import contextlib
import email.message
import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctxvars import Map, MapMutation
from tests.support.gc.values import Value
from tests.support.map.traps import TRAP, Key

Edit = Callable[[Any], object]


def scenario_keys_edit(target: Any) -> None:
    class Source:
        def keys(self) -> list[int]:
            target[100] = "from keys"
            return [1, 2, 3]

        def __getitem__(self, key: int) -> int:
            target[key + 200] = "from getitem"
            return -key

    target.update(Source())


def scenario_getitem_raises(target: Any) -> None:
    class Source:
        def keys(self) -> list[int]:
            return [1, 2, 3]

        def __getitem__(self, key: int) -> int:
            if key == 3:
                raise ZeroDivisionError("midway")
            return -key

    target.update(Source())


def scenario_keys_raise(target: Any) -> None:
    class Source:
        def keys(self) -> Iterator[int]:
            yield 1
            raise ZeroDivisionError("midway")

        def __getitem__(self, key: int) -> int:
            return -key

    target.update(Source())


def scenario_no_keys_after_all(target: Any) -> None:
    class Source:
        @property
        def keys(self) -> Any:
            raise ZeroDivisionError("at keys")

    target.update(Source())


def scenario_an_iterator_edits(target: Any) -> None:
    def pairs() -> Iterator[tuple[int, object]]:
        yield 1, "one"
        target[50] = "inner"
        target.pop(0)
        yield 51, "two"
        target.clear()
        yield 52, "three"

    target.update(pairs())


def scenario_an_iterator_raises(target: Any) -> None:
    def pairs() -> Iterator[tuple[int, object]]:
        yield 1, "one"
        yield 51, "two"
        raise ZeroDivisionError("midway")

    target.update(pairs())


def scenario_a_wrong_pair_midway(target: Any) -> None:
    target.update([(1, "one"), (2, "two", 2), (3, "three")])


def scenario_an_unhashable_key_midway(target: Any) -> None:
    target.update([(1, "one"), ([], "two"), (3, "three")])


def scenario_self(target: Any) -> None:
    target.update(target)


def scenario_own_items(target: Any) -> None:
    target.update(target.items())


def scenario_own_content_doubled(target: Any) -> None:
    target.update([(key + 300, value) for key, value in target.items()])


def scenario_pairs_that_edit(target: Any) -> None:
    class Pair:
        def __len__(self) -> int:
            target["len"] = 1
            return 2

        def __iter__(self) -> Iterator[object]:
            target["iter"] = 1
            yield 70
            target["between"] = 1
            yield "value"

    target.update([Pair()])
    target.pop("len", None)


SCENARIOS = [found for name, found in list(globals().items()) if name.startswith("scenario_")]


class AllOrNothing(dict[Any, Any]):
    """A dict that reads a source to its end before it changes."""

    def update(self, source: Any) -> None:  # type: ignore[override]
        super().update(dict(source))


def ends_with(call: Callable[[Any], None], target: Any) -> tuple[str, str, dict[Any, Any]]:
    try:
        call(target)
        end = ("done", "")
    except Exception as error:
        text = str(error).replace("dictionary", "map").replace("as a dict key", "as a Map key")
        end = (type(error).__name__, text)
    return (*end, dict(target))


@pytest.mark.parametrize("size", [3, 17, 40])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_an_update_is_done_wholly_or_not_at_all(scenario: Callable[[Any], None], size: int) -> None:
    content = {number: number for number in range(size)}
    source = Map(content)
    expected = ends_with(scenario, AllOrNothing(content))
    mutation = source.mutate()
    assert ends_with(scenario, mutation) == expected
    assert len(mutation) == len(expected[2])
    assert mutation.finish() == expected[2]
    assert source == content


class Repeated:
    """A mapping such as HTTP headers, whose items repeat keys."""

    def keys(self) -> list[str]:
        return ["a", "b"]

    def __getitem__(self, key: str) -> str:
        return f"first {key}"

    def items(self) -> list[tuple[str, str]]:
        return [("a", "first a"), ("b", "first b"), ("a", "second a")]


class Computed(dict[Any, Any]):
    """A dict whose methods return other items than it stores."""

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def keys(self) -> Any:
        return ["a"]

    def __getitem__(self, key: str) -> str:
        return "computed"


class OnlyItems:
    """A mapping with `items` but without `keys`, which immutables accepts."""

    def items(self) -> list[tuple[int, int]]:
        return [(1, 2), (3, 4)]


def test_a_source_without_keys_is_read_by_its_items() -> None:
    assert Map(OnlyItems()) == Map().update(OnlyItems()) == {1: 2, 3: 4}


def message() -> email.message.Message:
    result = email.message.Message()
    result["A"], result["B"] = "1", "2"
    result["A"] = "3"
    return result


@pytest.mark.parametrize("make", [Repeated, lambda: Computed(a=1), message])
def test_a_source_is_read_as_dict_reads_it(make: Callable[[], Any]) -> None:
    expected = dict(make())
    mutation = Map().mutate()
    mutation.update(make())
    assert Map(make()) == Map().update(make()) == mutation.finish() == expected


def test_a_source_that_edits_another_source() -> None:
    """A key changes the source dict while it is read: this raises or succeeds, without a crash."""
    for build in (Map, lambda d: Map({0: 0}).update(d), lambda d: Map({0: 0}) | d):
        for calls in range(1, 12):
            origin: dict[Any, Any] = {Key(number, number): Value() for number in range(6)}
            TRAP.set(calls, origin.clear)
            try:
                result = build(origin)
            except RuntimeError:
                continue
            finally:
                TRAP.has_sprung()
            assert_items_in_range(result)
    for calls in range(1, 12):
        names: list[Any] = [Key(number, number) for number in range(6)]
        map_ = Map.fromkeys(list(names))
        TRAP.set(calls, names.clear)
        kept, left = map_.intersection(names), map_.difference(names)
        TRAP.has_sprung()
        assert len(kept) <= 6
        assert len(left) <= 6


def assert_items_in_range(map_: Map[Any, Any]) -> None:
    assert len(map_) == len(list(map_)) <= 7
    assert all(map_[key] is value for key, value in map_.items())


# Finalisers.


class Finalised:
    """A value whose finaliser edits a mutation."""

    def __init__(self, mutation: MapMutation[Any, Any], edit: Edit, done: list[str]) -> None:
        self.mutation, self.edit, self.done = mutation, edit, done

    def __del__(self) -> None:
        self.done.append("finalised")
        # The mutation is finished when the remaining values are freed.
        with contextlib.suppress(ValueError):
            self.edit(self.mutation)


def pop_all(mutation: MapMutation[Any, Any]) -> None:
    for _ in range(len(mutation)):
        if mutation:
            mutation.popitem()


REPLACE: dict[str, Edit] = {
    "replace": lambda m: operator.setitem(m, 0, "outer"),
    "delete": lambda m: operator.delitem(m, 0),
    "discard": lambda m: m.discard(0),
    "pop": lambda m: m.pop(0) and None,
    "update": lambda m: m.update({0: "outer", 1: "outer", "new": "outer"}),
    "clear": lambda m: m.clear(),
    "popitem": pop_all,
}
FINALISE: dict[str, Edit] = {
    "add": lambda m: operator.setitem(m, "from del", 1),
    "add many": lambda m: m.update(dict.fromkeys(range(500, 540), 1)),
    "replace": lambda m: operator.setitem(m, 2, "from del"),
    "set again": lambda m: operator.setitem(m, 0, "from del"),
    "clear": lambda m: m.clear(),
}


@pytest.mark.parametrize("size", [3, 16, 17, 100])
@pytest.mark.parametrize("inner", FINALISE)
@pytest.mark.parametrize("outer", REPLACE)
def test_a_finaliser_edits_the_mutation(outer: str, inner: str, size: int) -> None:
    mutation: MapMutation[Any, Any] = Map(dict.fromkeys(range(size))).mutate()
    done: list[str] = []
    mutation[0] = Finalised(mutation, FINALISE[inner], done)
    mutation[1] = Finalised(mutation, FINALISE[inner], done)
    REPLACE[outer](mutation)
    assert done
    items = list(mutation.items())
    assert len(mutation) == len(items)
    assert all(mutation[key] is value for key, value in items)
    present = dict(items)
    # The edit of the finaliser comes last or between several steps, and is never undone.
    if inner == "add":
        assert present.get("from del") == 1 or outer in ("popitem", "clear")
    if inner == "replace" and outer in ("replace", "delete", "discard", "pop", "update"):
        assert present[2] == "from del"
    if inner == "add many" and outer not in ("popitem", "clear"):
        assert all(key in present for key in range(500, 540))
    if inner == "clear" and outer in ("replace", "delete", "discard", "pop"):
        assert present == {}
    mutation.clear()
    mutation.clear()
    assert len(mutation.finish()) < 50
