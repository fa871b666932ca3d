"""Mappings that define `==` decide whether they equal a map, on either side of the operator."""

from __future__ import annotations

import collections
import operator
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import pytest

from ctxvars import Map
from tests.support.map.keys import unequal


class Plain(Mapping[str, Any]):
    """A mapping with the equality of `Mapping`."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.content = dict(*arguments, **keywords)

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.content)

    def __len__(self) -> int:
        return len(self.content)


class CaseInsensitive(Plain):
    """A mapping that compares as the headers of HTTP libraries do."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        lowered = {key.lower(): value for key, value in other.items()}
        return {key.lower(): value for key, value in self.items()} == lowered


class CaseInsensitiveDict(dict[str, Any]):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return CaseInsensitive.__eq__(self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> bool:
        return not self == other


class OwnKindOnly(Plain):
    """A mapping that returns NotImplemented for other classes."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self.content == other.content if isinstance(other, OwnKindOnly) else NotImplemented


class NeverEqual(Plain):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeverEqual)


class OwnKindOnlyDict(dict[str, Any]):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return dict.__eq__(self, other) if isinstance(other, OwnKindOnlyDict) else NotImplemented


class Ordered(dict[str, Any]):
    """A mapping that defines an order, but not equality."""

    def __lt__(self, other: object) -> bool:
        return True


class RegisteredOnly:
    """A registered mapping, with the equality of `object`."""

    def __init__(self, **content: Any) -> None:
        self.content = content

    def keys(self) -> Any:
        return self.content.keys()

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def __len__(self) -> int:
        return len(self.content)


Mapping.register(RegisteredOnly)

OURS: list[Callable[..., Any]] = [Map, lambda **content: Map(content).mutate()]


def answers(ours: Any, theirs: Any) -> set[bool]:
    """Return the results of both operators on both sides, or one result if they agree."""
    found = [ours == theirs, theirs == ours, not unequal(ours, theirs), not unequal(theirs, ours)]
    assert all(type(answer) is bool for answer in found)
    return set(found)


@pytest.mark.parametrize("make", OURS)
@pytest.mark.parametrize("kind", [CaseInsensitive, CaseInsensitiveDict])
def test_a_mapping_that_knows_better_answers(kind: Any, make: Callable[..., Any]) -> None:
    assert answers(make(Accept=1), kind(accept=1)) == {True}
    assert answers(make(Accept=1), kind(accept=2)) == {False}
    assert answers(make(Accept=1), kind(other=1)) == {False}
    assert answers(make(), kind()) == {True}


@pytest.mark.parametrize("make", OURS)
def test_a_mapping_may_refuse_to_equal_others(make: Callable[..., Any]) -> None:
    assert answers(make(a=1), NeverEqual(a=1)) == {False}
    assert answers(make(), NeverEqual()) == {False}


@pytest.mark.parametrize("make", OURS)
@pytest.mark.parametrize(
    "kind",
    [
        *[dict, collections.OrderedDict, collections.Counter, collections.UserDict],
        *[collections.ChainMap, Plain, OwnKindOnly, OwnKindOnlyDict, Ordered, RegisteredOnly],
        lambda **content: types.MappingProxyType(content),
        lambda **content: types.MappingProxyType(Map(content)),
        lambda **content: types.MappingProxyType(CaseInsensitive(content)),
        lambda **content: collections.defaultdict(int, content),
        lambda **content: collections.ChainMap(content),
    ],
)
def test_contents_are_compared_otherwise(kind: Any, make: Callable[..., Any]) -> None:
    if kind is collections.ChainMap:
        kind = lambda **content: collections.ChainMap(content, {})  # noqa: E731
    assert answers(make(a=1, b=2), kind(b=2, a=1)) == {True}
    assert answers(make(a=1, b=2), kind(b=1, a=1)) == {False}
    assert answers(make(a=1, b=2), kind(a=1)) == {False}
    assert answers(make(), kind()) == {True}


def test_the_other_side_is_asked_once() -> None:
    asked: list[object] = []

    class Recording(Plain):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            asked.append(other)
            return "an answer"

        def __ne__(self, other: object) -> Any:
            asked.append(other)
            return "no answer"

    for ours in (Map(a=1), Map(a=1).mutate()):
        asked.clear()
        assert (ours == Recording()) == "an answer"
        assert operator.ne(ours, Recording()) == "no answer"
        assert len(asked) == 2
        assert all(other is ours for other in asked)


def test_an_exception_of_the_other_mapping_is_passed_on() -> None:
    class Failing(Plain):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

    for ours in (Map(a=1), Map(a=1).mutate()):
        for compare in (operator.eq, operator.ne):
            with pytest.raises(ZeroDivisionError):
                compare(ours, Failing(a=1))


def test_a_mapping_that_hands_the_question_back_ends_in_an_error() -> None:
    class Backwards(Plain):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return bool(other == self)

    for ours in (Map(a=1), Map(a=1).mutate()):
        with pytest.raises(RecursionError):
            ours == Backwards(a=1)  # noqa: B015


def test_a_mutable_mapping_without_own_equality_is_not_asked() -> None:
    class Counting(MutableMapping[str, int]):
        """A mapping that counts how often its keys are read."""

        def __init__(self) -> None:
            self.iterated = 0

        def __getitem__(self, key: str) -> int:
            return 1

        def __setitem__(self, key: str, value: int) -> None: ...

        def __delitem__(self, key: str) -> None: ...

        def __iter__(self) -> Iterator[str]:
            self.iterated += 1
            return iter("ab")

        def __len__(self) -> int:
            return 2

    counting = Counting()
    assert Map(a=1, b=1) == counting
    assert counting.iterated == 1
    assert Map(a=1) != counting
    assert counting.iterated == 1


def test_order_is_not_defined() -> None:
    for other in ({}, CaseInsensitive(), Map()):
        with pytest.raises(TypeError):
            Map() < other  # type: ignore[operator]  # noqa: B015
