# The sets of the compiled module: `_core.pyi` has the same names.

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, NoReturn, Self, TypeVar, final

_E = TypeVar("_E", bound=Hashable)
_E2 = TypeVar("_E2", bound=Hashable)
_E_co = TypeVar("_E_co", bound=Hashable, covariant=True)

# The type of the elements is covariant, as that of `frozenset`, and an added element may widen it.
# The ignored lines overlap with operators of other sets, whose result has the same elements.
@final
class Set(AbstractSet[_E_co]):
    """An immutable set from which other sets are derived cheaply.

    It has the methods and operators of frozenset. add(), remove(), discard() and the operations on
    whole sets return a new set, which shares all unchanged parts with this one. It is equal to, and
    has the hash of, a frozenset with the same elements. The order of iteration is that of the
    hashes of the elements."""

    def __new__(cls, iterable: Iterable[_E_co] = ..., /) -> Self: ...
    def add(self, element: _E2, /) -> Set[_E_co | _E2]:
        """Return the set with this element, or this set itself if it has the element.

        As in frozenset, an element that is equal to the new one stays. O(log n)."""
    def remove(self, element: object, /) -> Set[_E_co]:
        """Return the set without this element. Raise KeyError if the set does not have it.
        O(log n)."""
    def discard(self, element: object, /) -> Set[_E_co]:
        """Return the set without this element, or this set itself if it does not have the element.
        O(log n)."""
    def filter(self, predicate: Callable[[_E_co], object], /) -> Set[_E_co]:
        """Return the set of the elements for which predicate(element) is true.

        O(n). Unchanged parts are shared with this set."""
    def mutate(self) -> SetMutation[_E_co]:
        """Return a SetMutation that starts with the elements of this set: many changes, one new
        set. O(1)."""
    def union(self, /, *others: Iterable[_E2]) -> Set[_E_co | _E2]:
        """Return the set with the elements of other iterables.

        The result is this set itself if nothing changes. O(k log n) for k elements. With
        another Set that shares parts with this one, O(changes x log n)."""
    def intersection(self, /, *others: Iterable[object]) -> Set[_E_co]:
        """Return the set of the elements that are in all of the iterables, too.

        O(n + k) for k elements. With another Set that shares parts with this one,
        O(changes x log n). In a larger set, frozenset or dict, the elements of this set are
        looked up, in O(n)."""
    def difference(self, /, *others: Iterable[object]) -> Set[_E_co]:
        """Return the set of the elements that are in none of the iterables.

        O(n + k) for k elements. With another Set that shares parts with this one,
        O(changes x log n). In a larger set, frozenset or dict, the elements of this set are
        looked up, in O(n)."""
    def symmetric_difference(self, other: Iterable[_E2], /) -> Set[_E_co | _E2]:
        """Return the set of the elements that are either in this set or in the iterable.

        O(n + k) for k elements. With another Set that shares parts with this one,
        O(changes x log n)."""
    def isdisjoint(self, other: Iterable[object], /) -> bool:
        """Return whether the set has none of the elements of an iterable."""
    def issubset(self, other: Iterable[object], /) -> bool:
        """Return whether all elements of the set are in an iterable."""
    def issuperset(self, other: Iterable[object], /) -> bool:
        """Return whether all elements of an iterable are in the set."""
    def copy(self) -> Self:
        """Return this set itself, since it is immutable. O(1)."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __rich_repr__(self) -> tuple[set[_E_co], ...]: ...
    def _repr_pretty_(self, printer: Any, cycle: bool, /) -> None: ...
    def __dask_tokenize__(self) -> Any: ...
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any: ...
    def __reduce__(self) -> tuple[type[Set[_E_co]], tuple[list[_E_co]]]: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_E_co]: ...
    def __len__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __lt__(self, value: AbstractSet[object], /) -> bool: ...
    def __le__(self, value: AbstractSet[object], /) -> bool: ...
    def __gt__(self, value: AbstractSet[object], /) -> bool: ...
    def __ge__(self, value: AbstractSet[object], /) -> bool: ...
    def __hash__(self) -> int: ...
    def __and__(self, value: AbstractSet[object], /) -> Set[_E_co]: ...
    def __rand__(self, value: AbstractSet[object], /) -> Set[_E_co]: ...
    def __or__(self, value: AbstractSet[_E2], /) -> Set[_E_co | _E2]: ...
    def __ror__(self, value: AbstractSet[_E2], /) -> Set[_E_co | _E2]: ...  # type: ignore[misc]
    def __sub__(self, value: AbstractSet[object], /) -> Set[_E_co]: ...
    def __rsub__(self, value: AbstractSet[_E2], /) -> Set[_E2]: ...
    def __xor__(self, value: AbstractSet[_E2], /) -> Set[_E_co | _E2]: ...
    def __rxor__(self, value: AbstractSet[_E2], /) -> Set[_E_co | _E2]: ...  # type: ignore[misc]
    def __class_getitem__(cls, object: Any, /) -> GenericAlias: ...

@final
class SetMutation(Collection[_E]):
    """Changes to a Set that become one new Set, made by Set.mutate().

    Sets and iterators made earlier do not see its changes. As a context manager, it is finished
    when the block is left. Iterating over it while it changes raises RuntimeError; changing it
    after finish() raises ValueError."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def add(self, element: _E, /) -> None:
        """Add an element. O(log n)."""
    def remove(self, element: object, /) -> None:
        """Remove an element. Raise KeyError if it is not there. O(log n)."""
    def discard(self, element: object, /) -> None:
        """Remove an element if it is there. O(log n)."""
    def pop(self) -> _E:
        """Remove and return an element. Raise KeyError if there is none. O(log n)."""
    def clear(self) -> None:
        """Remove all elements. O(1), and O(n) for nodes that no set shares."""
    def update(self, /, *others: Iterable[_E]) -> None:
        """Add the elements of other iterables.

        If an exception is raised, nothing is changed. O(k log n) for k elements."""
    def intersection_update(self, /, *others: Iterable[object]) -> None:
        """Keep only the elements that are in all of the iterables. O(n + k) for k elements."""
    def difference_update(self, /, *others: Iterable[object]) -> None:
        """Remove the elements that are in one of the iterables. O(n + k) for k elements."""
    def symmetric_difference_update(self, other: Iterable[_E], /) -> None:
        """Remove the elements that are in the iterable, and add its other elements.
        O(n + k) for k elements."""
    def finish(self) -> Set[_E]:
        """Return a Set of the present elements, and end the changes.

        A finished mutation can be read, and finished again, but changing it raises ValueError.
        O(1)."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_E]: ...
    def __len__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __lt__(self, value: AbstractSet[object] | SetMutation[Any], /) -> bool: ...
    def __le__(self, value: AbstractSet[object] | SetMutation[Any], /) -> bool: ...
    def __gt__(self, value: AbstractSet[object] | SetMutation[Any], /) -> bool: ...
    def __ge__(self, value: AbstractSet[object] | SetMutation[Any], /) -> bool: ...
    def __class_getitem__(cls, object: Any, /) -> GenericAlias: ...
