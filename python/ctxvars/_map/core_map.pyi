# The maps of the compiled module: `_core.pyi` has the same names.

from collections.abc import (
    Callable,
    Hashable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from types import GenericAlias, TracebackType
from typing import Any, ClassVar, Generic, NoReturn, Self, TypeAlias, TypeVar, final, overload

from _typeshed import SupportsKeysAndGetItem

from ctxvars._core import _MissingType
from ctxvars._map.diff import MapDiff

_D = TypeVar("_D")
_K = TypeVar("_K", bound=Hashable)
_K2 = TypeVar("_K2", bound=Hashable)
_K_co = TypeVar("_K_co", bound=Hashable, covariant=True)
_V = TypeVar("_V")
_V2 = TypeVar("_V2")
_V_co = TypeVar("_V_co", covariant=True)

# Iterables of other pairs than tuples are taken, too, but have no type: their length matters.
_Entries: TypeAlias = SupportsKeysAndGetItem[_K, _V] | Iterable[tuple[_K, _V]]

# The key type is invariant, as that of `Mapping`. An added value may widen the value type, because
# the result is a new map: `Map[str, int]().set("a", "b")` is a `Map[str, int | str]`.
@final
class Map(Mapping[_K, _V_co]):
    """An immutable mapping from which other maps are derived cheaply.

    Like dict, it is made of a mapping, of an iterable of pairs, or of keywords; of another Map in
    O(1). set(), delete() and update() return a new map, which shares all unchanged parts with this
    one. Keys are hashable. The order of iteration is that of the hashes of the keys. A map is
    hashable if its values are."""

    @overload
    def __new__(cls) -> Self: ...
    @overload
    def __new__(cls: type[Map[str, _V]], /, **kwargs: _V) -> Map[str, _V]: ...
    @overload
    def __new__(cls, collection: SupportsKeysAndGetItem[_K, _V_co], /) -> Self: ...
    @overload
    def __new__(
        cls: type[Map[str, _V]], collection: SupportsKeysAndGetItem[str, _V], /, **kwargs: _V
    ) -> Map[str, _V]: ...
    @overload
    def __new__(cls, collection: Iterable[tuple[_K, _V_co]], /) -> Self: ...
    @overload
    def __new__(
        cls: type[Map[str, _V]], collection: Iterable[tuple[str, _V]], /, **kwargs: _V
    ) -> Map[str, _V]: ...
    @overload
    @classmethod
    def fromkeys(cls, keys: Iterable[_K2], value: None = None, /) -> Map[_K2, Any | None]:
        """Return a map that has the same value at each of these keys. O(n)."""
    @overload
    @classmethod
    def fromkeys(cls, keys: Iterable[_K2], value: _V, /) -> Map[_K2, _V]: ...
    @overload
    def get(self, key: _K, default: None = None, /) -> _V_co | None:
        """Return the value of a key, or the default if the map does not have the key. O(log n)."""
    @overload
    def get(self, key: _K, default: _D, /) -> _V_co | _D: ...
    def keys(self) -> MapKeys[_K, _V_co]:
        """Return a set-like view of the keys. O(1)."""
    def values(self) -> MapValues[_K, _V_co]:
        """Return a view of the values. O(1)."""
    def items(self) -> MapItems[_K, _V_co]:
        """Return a set-like view of the pairs of key and value. O(1)."""
    def set(self, key: _K, value: _V, /) -> Map[_K, _V_co | _V]:
        """Return the map with this value at this key.

        This map stays as it is. The result is this map itself if the key has this very object
        as its value already. As in dict, a key that is equal to the new one stays. O(log n)."""
    def delete(self, key: _K, /) -> Map[_K, _V_co]:
        """Return the map without this key. Raise KeyError if the map does not have it. O(log n)."""
    def discard(self, key: _K, /) -> Map[_K, _V_co]:
        """Return the map without this key, or this map itself if it does not have the key.
        O(log n)."""
    @overload
    def update(self, /, *collections: _Entries[_K, _V]) -> Map[_K, _V_co | _V]:
        """Return the map with the entries of other collections.

        The collections are mappings or iterables of pairs. Later values replace earlier ones.
        The result is this map itself if nothing changes. O(k log n) for k entries. With another
        Map that shares parts with this one, O(changes x log n)."""
    @overload
    def update(
        self: Map[str, _V2], /, *collections: _Entries[str, _V], **kwargs: _V
    ) -> Map[str, _V2 | _V]: ...
    def mutate(self) -> MapMutation[_K, _V_co]:
        """Return a MapMutation that starts with the entries of this map: many changes, one new
        map. O(1)."""
    def intersection(self, keys: Iterable[Hashable], /) -> Map[_K, _V_co]:
        """Return the map with only those of its keys that are among the given ones.

        The keys are any iterable. O(n + k) for k keys. With another Map that shares parts with
        this one, O(changes x log n). In a larger set or dict, the keys of this map are looked
        up, in O(n)."""
    def difference(self, keys: Iterable[Hashable], /) -> Map[_K, _V_co]:
        """Return the map without the given keys.

        The keys are any iterable. O(n + k) for k keys. With another Map that shares parts with
        this one, O(changes x log n). In a larger set or dict, the keys of this map are looked
        up, in O(n)."""
    def filter(self, predicate: Callable[[_K, _V_co], object], /) -> Map[_K, _V_co]:
        """Return the map with the entries for which predicate(key, value) is true.

        O(n). Unchanged parts are shared with this map."""
    def map_values(self, function: Callable[[_V_co], _V], /) -> Map[_K, _V]:
        """Return the map with function(value) in place of each value.

        O(n). Unchanged parts are shared with this map."""
    def diff(self, other: Mapping[_K, _V], /) -> MapDiff[_K, _V_co | _V]:
        """Return the MapDiff that leads from this map to another mapping.

        Values are compared by identity, then by ==. O(changes x log n) if the other is a Map
        that shares parts with this one."""
    def merge(
        self,
        ours: Mapping[_K, _V],
        theirs: Mapping[_K, _V],
        /,
        *,
        resolve: Callable[[_K, Any, Any, Any], _V | _MissingType] | None = None,
    ) -> Map[_K, _V_co | _V]:
        """Return this map with the changes that lead to two others.

        Both are mappings made from this map, or from one like it. A key that both have changed
        in different ways is a conflict. For each conflict, resolve(key, base, ours, theirs) is
        called, with MISSING for a missing value. It returns the value to keep, or MISSING to
        leave the key out. Without it, raise MergeConflict, which lists all conflicts."""
    def apply(self, diff: MapDiff[_K, _V], /) -> Map[_K, _V_co | _V]:
        """Return the map with the changes of a MapDiff: a.apply(a.diff(b)) == b.

        Keys that the diff adds or changes get their new values, and keys that it removes are
        discarded, whatever values this map has for them. Raise TypeError if the argument is not
        a MapDiff. O(changes x log n)."""
    # The types of the values on a path are not known to a type checker.
    def get_in(self, path: Iterable[Hashable], default: Any = None, /) -> Any:
        """Return the value at a path of keys, or the default if a key of the path is missing.

        The path is an iterable of keys: the first one is a key of this map, the next one a key
        of its value, and so on. The empty path leads to the map itself. Raise TypeError if a
        value on the way is not a mapping, or if the path is a string. O(log n) for each key."""
    def set_in(self, path: Iterable[Hashable], value: Any, /) -> Map[_K, Any]:
        """Return the map with this value at a path of keys.

        Levels that are missing become Maps. A level that changes and is another mapping becomes
        a Map as well. The result is this map itself if the path leads to this very object
        already. Raise TypeError if a value on the way is not a mapping, or if the path is a
        string, and ValueError if the path is empty. O(log n) for each key; O(n) for a mapping
        that becomes a Map."""
    def update_in(
        self, path: Iterable[Hashable], function: Callable[[Any], Any], default: Any = ..., /
    ) -> Map[_K, Any]:
        """Return the map with function(value) in place of the value at a path of keys.

        If a key of the path is missing, the function gets the default, if one is given, and
        missing levels become Maps; else raise KeyError, which has the path up to the missing
        key. Otherwise it is as set_in()."""
    def delete_in(self, path: Iterable[Hashable], /) -> Map[_K, Any]:
        """Return the map without the key at the end of a path of keys.

        Levels that become empty stay. Raise KeyError, which has the path up to the missing key,
        if there is one. Otherwise it is as set_in()."""
    def merge_deep(
        self,
        /,
        *others: Mapping[Any, Any],
        resolve: Callable[[tuple[Any, ...], Any, Any], Any] | None = None,
    ) -> Map[_K, Any]:
        """Return the map with the entries of other mappings, merging the mappings in both.

        If a key has mappings on both sides, they are merged in the same way. Otherwise the
        later value replaces the earlier one, or resolve(path, old, new) chooses a value, or
        MISSING to leave the key out; the path is a tuple of keys. A mapping that changes becomes
        a Map. The result is this map itself if nothing changes. Raise TypeError if an argument
        is not a mapping. O(k log n) for k entries on all levels of the others."""
    def copy(self) -> Self:
        """Return this map itself, since it is immutable. O(1)."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: Any, /) -> Self: ...
    def __replace__(self: Map[str, _V2], /, **kwargs: _V) -> Map[str, _V2 | _V]: ...
    def __rich_repr__(self) -> tuple[dict[_K, _V_co]]: ...
    def _repr_pretty_(self, printer: Any, cycle: bool, /) -> None: ...
    def __dask_tokenize__(self) -> Any: ...
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any: ...
    def __reduce__(self) -> tuple[type[Map[_K, _V_co]], tuple[dict[_K, _V_co]]]: ...
    def __sizeof__(self) -> int: ...
    def __getitem__(self, key: _K, /) -> _V_co: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __len__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    @overload
    def __or__(self, value: Mapping[_K, _V], /) -> Map[_K, _V_co | _V]: ...
    @overload
    def __or__(self, value: Mapping[_K2, _V], /) -> Map[_K | _K2, _V_co | _V]: ...
    @overload
    def __ror__(self, value: Mapping[_K, _V], /) -> Map[_K, _V_co | _V]: ...
    @overload
    def __ror__(self, value: Mapping[_K2, _V], /) -> Map[_K | _K2, _V_co | _V]: ...
    def __class_getitem__(cls, object: Any, /) -> GenericAlias: ...

@final
class MapMutation(MutableMapping[_K, _V]):
    """Changes to a Map that become one new Map, made by Map.mutate().

    It is a mutable mapping. Maps and iterators made earlier do not see its changes. As a context
    manager, it is finished when the block is left. Iterating over it while it changes raises
    RuntimeError; changing it after finish() raises ValueError."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    @overload
    def get(self, key: _K, default: None = None, /) -> _V | None:
        """Return the value of a key, or the default if the mutation does not have the key.
        O(log n)."""
    @overload
    def get(self, key: _K, default: _V, /) -> _V: ...
    @overload
    def get(self, key: _K, default: _D, /) -> _V | _D: ...
    def set(self, key: _K, value: _V, /) -> None:
        """Set a key to a value, as mutation[key] = value does. O(log n)."""
    def discard(self, key: _K, /) -> None:
        """Remove a key if it is there. O(log n)."""
    @overload
    def update(self, /, *collections: _Entries[_K, _V]) -> None:
        """Add the entries of other collections.

        The collections are mappings or iterables of pairs. Later values replace earlier ones.
        If an exception is raised, nothing is changed. O(k log n) for k entries."""
    @overload
    def update(
        self: MapMutation[str, _V], /, *collections: _Entries[str, _V], **kwargs: _V
    ) -> None: ...
    def copy(self) -> MapMutation[_K, _V]:
        """Return another mutation, which starts with the present entries. O(1).

        The copy of a finished mutation can be changed."""
    def finish(self) -> Map[_K, _V]:
        """Return a Map of the present entries, and end the changes.

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
    def __or__(self, value: Mapping[_K, _V], /) -> MapMutation[_K, _V]: ...
    def __ror__(self, value: Mapping[_K, _V], /) -> MapMutation[_K, _V]: ...
    def __ior__(self, value: _Entries[_K, _V], /) -> Self: ...
    def __getitem__(self, key: _K, /) -> _V: ...
    def __setitem__(self, key: _K, value: _V, /) -> None: ...
    def __delitem__(self, key: _K, /) -> None: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[_K]: ...
    def __len__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...
    def __class_getitem__(cls, object: Any, /) -> GenericAlias: ...

# As the views of `dict`, each has both types of the map, for `mapping`.
@final
class MapKeys(KeysView[_K_co], Generic[_K_co, _V_co]):
    """A set-like view of the keys of a Map.

    It can be compared with and combined with sets and the views of dicts. Looking a key up
    is O(log n)."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, value: object, /) -> bool: ...
    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Return whether the view has none of the items of an iterable."""
    @property
    def mapping(self) -> Map[_K_co, _V_co]:
        """The Map that the view shows."""
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class MapValues(ValuesView[_V_co], Generic[_K_co, _V_co]):
    """A view of the values of a Map."""

    @property
    def mapping(self) -> Map[_K_co, _V_co]:
        """The Map that the view shows."""
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class MapItems(ItemsView[_K_co, _V_co]):
    """A set-like view of the items of a Map, pairs of key and value.

    It can be compared with and combined with sets and the views of dicts. Looking an item
    up is O(log n)."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, value: object, /) -> bool: ...
    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Return whether the view has none of the items of an iterable."""
    @property
    def mapping(self) -> Map[_K_co, _V_co]:
        """The Map that the view shows."""
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...
