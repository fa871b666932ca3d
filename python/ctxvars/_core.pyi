import contextvars
from collections.abc import (
    AsyncGenerator,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from enum import Enum
from types import GenericAlias, TracebackType
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    Never,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    final,
    overload,
)

from _typeshed import SupportsKeysAndGetItem
from typing_extensions import disjoint_base

from ctxvars._core_classes import build_class, build_class_observed, run_body
from ctxvars._core_frames import Frames
from ctxvars._core_observation import (
    is_recording,
    recorded_contexts,
    recorded_events,
    recording_position,
    set_missing_hook,
    set_watch_hook,
    start_recording,
    stop_recording,
    watches_switches,
)
from ctxvars._core_set import Set, SetMutation
from ctxvars._map.core_map import Map, MapItems, MapKeys, MapMutation, MapValues
from ctxvars._map.diff import MapDiff

__all__ = [
    "Context",
    "ContextVar",
    "Frames",
    "GroupBase",
    "GroupMetaBase",
    "Map",
    "MapItems",
    "MapKeys",
    "MapMutation",
    "MapValues",
    "Scope",
    "Set",
    "SetMutation",
    "Token",
    "VariableDescriptor",
    "apply_changes",
    "build_class",
    "build_class_observed",
    "changed_bindings",
    "copy_context",
    "extend_native_contexts",
    "fill_group",
    "is_recording",
    "isolate",
    "isolate_calls",
    "recorded_contexts",
    "recorded_events",
    "recording_position",
    "run_body",
    "scope",
    "set_class_dict",
    "set_missing_hook",
    "set_watch_hook",
    "start_recording",
    "stop_recording",
    "verify_layout",
    "watches_switches",
]

__version__: str
not_in_place: str | None
"""Why variables are not set in place, or None."""

_T = TypeVar("_T")
_D = TypeVar("_D")
_P = ParamSpec("_P")
_K = TypeVar("_K", bound=Hashable)
_K2 = TypeVar("_K2", bound=Hashable)
_K_co = TypeVar("_K_co", bound=Hashable, covariant=True)
_V = TypeVar("_V")
_V2 = TypeVar("_V2")
_V_co = TypeVar("_V_co", covariant=True)
_F = TypeVar("_F", bound=Callable[..., Any])
_B = TypeVar(
    "_B", bound=Generator[Any, Any, Any] | Coroutine[Any, Any, Any] | AsyncGenerator[Any, Any]
)

@final
class ContextVar(Generic[_T]):
    """A variable with a value in each context.

    If it has no value in the current context, get() returns the default. With a default_factory,
    the default is the result of calling it when a context first needs it; each context has its
    own, which copies of the context do not inherit. Raise ValueError if both are given."""

    @overload
    def __new__(cls, name: str, /, *, weak: bool = False) -> Self: ...
    @overload
    def __new__(cls, name: str, /, *, default: _T, weak: bool = False) -> Self: ...
    @overload
    def __new__(cls, name: str, /, *, default_factory: Callable[[], _T]) -> Self: ...
    def __hash__(self) -> int: ...
    @property
    def name(self) -> str:
        """The name of the variable."""
    @overload
    def get(self) -> _T:
        """Return the value of the variable in the current context.

        If it has none, return the argument, if one is given, or else the default of the variable,
        or else raise LookupError. O(1) for the context of the last call, else O(log n) in the
        number of variables. (PEP 567)"""
    @overload
    def get(self, default: _T, /) -> _T: ...
    @overload
    def get(self, default: _D, /) -> _D | _T: ...
    def set(self, value: _T, /) -> Token[_T]:
        """Set the variable to a value in the current context.

        Return a Token that restores the previous value, by reset() or as a context manager.
        O(log n) in the number of variables of the context. (PEP 567)"""
    def reset(self, token: Token[_T], /) -> None:
        """Restore the value that the variable had before the set() or delete() that returned the
        token.

        Raise RuntimeError if the token has been used, ValueError if another variable created
        it, or if it was created in another context. O(log n). (PEP 567)"""
    def is_set(self) -> bool:
        """Return whether the variable has a value in the current context; defaults do not count.

        It is `variable in copy_context()`, in O(1) for the context of the last call, else
        O(log n)."""
    def delete(self) -> Token[_T]:
        """Remove the value of the variable in the current context, as if it had never been set.

        Return a Token that restores the value, as that of set() does. Raise LookupError if
        there is no value. O(log n)."""
    def scope(self, value: _T | _MissingType, /, *, strict: bool = False) -> Scope:
        """Return a Scope in which the variable has this value: scope() for one variable.

        O(log n) to enter; O(1) to leave if nothing else was set."""
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

# The type of `Token.MISSING` has no name. As an enum type checkers narrow it by `is`.
class _MissingType(Enum):
    MISSING = ...

@final
class Token(Generic[_T]):
    """The result of ContextVar.set() and delete(), which can restore the previous value once.

    ContextVar.reset() takes it. It is also a context manager that resets the variable on exit.
    (PEP 567)"""

    MISSING: ClassVar[Literal[_MissingType.MISSING]]
    __hash__: ClassVar[None]  # type: ignore[assignment]
    @property
    def var(self) -> ContextVar[_T]:
        """The variable that created the token."""
    # Either _T or MISSING; `Any`, as in the standard library's stub.
    @property
    def old_value(self) -> Any:
        """The previous value, or Token.MISSING."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        val: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

@final
class Scope:
    """The result of scope() and ContextVar.scope(): a context manager that sets variables.

    It is for one use at a time: it can be entered again only after it has been left."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    @property
    def is_entered(self) -> bool:
        """Whether the scope has been entered and not left."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        val: BaseException | None,
        tb: TracebackType | None,
        /,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...

# That each value is of the type of its variable cannot be said: the types of the pairs differ.
@overload
def scope(
    values: SupportsKeysAndGetItem[ContextVar[Any], Any], /, *, strict: bool = False
) -> Scope:
    """Return a Scope in which several variables have the given values.

    The values are a mapping of context variables, or an iterable of pairs; of several pairs
    for one variable, the last one counts. MISSING takes a value away. The values are read at
    once. They are set, in one step, when a with statement enters the scope. When it leaves
    the scope, whether the body returns or raises, the variables get their previous values
    back; other variables that the body has set keep their values."""

@overload
def scope(values: Iterable[tuple[ContextVar[Any], Any]], /, *, strict: bool = False) -> Scope: ...

# `keys`, `values` and `items` return iterators with a length. A Mapping cannot say so.
@final
class Context(Mapping[ContextVar[Any], Any]):
    """A mapping of context variables to values, in which code can be run.

    copy_context() returns a copy of the current context; Context() is empty. (PEP 567)"""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __new__(cls) -> Self: ...
    @classmethod
    def wrap(cls, native: contextvars.Context, /) -> Self:
        """Return a Context over a contextvars.Context that other code made.

        Both are one context: a value set in one is seen in the other. Raise TypeError for other
        objects. O(1)."""
    @property
    def native(self) -> contextvars.Context:
        """The contextvars.Context of this context, for code that accepts no other type."""
    def run(self, callable: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a callable in this context: run(callable, *args, **kwargs).

        Return its result, or raise its exception. Variables that it sets are set in this
        context only. Raise RuntimeError if the context is entered already. O(1), without a
        Python frame. (PEP 567)"""
    def copy(self) -> Context:
        """Return another context with the same values. O(1)."""
    @property
    def bindings(self) -> Map[ContextVar[Any], Any]:
        """The variables of ctxvars that have a value now, with these values, as a Map. O(1)."""
    def diff(self, other: Context, /) -> MapDiff[ContextVar[Any], Any]:
        """Return the MapDiff that leads from the bindings of this context to those of another.

        O(changes x log n) if one is a copy of the other."""
    @overload
    def get(self, key: ContextVar[_T], default: None = None, /) -> _T | None:
        """Return the value of the variable in this context, or the default. O(log n)."""
    @overload
    def get(self, key: ContextVar[_T], default: _T, /) -> _T: ...
    @overload
    def get(self, key: ContextVar[_T], default: _D, /) -> _T | _D: ...
    def __getitem__(self, key: ContextVar[_T], /) -> _T: ...
    def __iter__(self) -> Iterator[ContextVar[Any]]: ...
    def __len__(self) -> int: ...
    def __eq__(self, value: object, /) -> bool: ...

def copy_context() -> Context:
    """Return a copy of the current context. O(1). (PEP 567)"""

def extend_native_contexts() -> None:
    """Make contextvars.Context show each variable of ctxvars beside native ones.

    It also gets the additional methods and attributes of ctxvars.Context. This affects all
    contexts of the process, and cannot be undone. Another call changes nothing. Call it at the
    start of a program, before other threads use contexts. O(1).
    Raise SystemError, and change nothing, if the interpreter makes contexts in an unknown way."""

@final
class VariableDescriptor(Generic[_T]):
    """A descriptor: in a class, it reads as the current value of the variable.

    It can be read from the class and from its instances. If the variable has neither a value nor a
    default, it raises unset_error(variable). O(1) as ContextVar.get()."""

    def __new__(cls, variable: ContextVar[_T], unset_error: type[BaseException], /) -> Self: ...
    @property
    def variable(self) -> ContextVar[_T]:
        """The variable whose value the attribute shows."""
    def __get__(self, instance: object, owner: type | None = None, /) -> _T: ...

# The bases of `ctxvars.Group` and of its metaclass.
@disjoint_base
class GroupBase:
    def __init__(self, /, *positional: Never, **values: Any) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def __group_values__(self) -> dict[str, Any]: ...
    @property
    def __group_scope__(self) -> Scope | None: ...

class GroupMetaBase(type): ...

def fill_group(instance: GroupBase, values: dict[str, Any], scope: Scope | None, /) -> None: ...
def set_class_dict(metaclass: type[type], function: Callable[[Any], object], /) -> None: ...

# Both maps are `Context.bindings`. `Changes.apply` calls this one.
def apply_changes(
    base: Map[ContextVar[Any], Any],
    new: Map[ContextVar[Any], Any],
    resolve: Callable[[Any, Any, Any, Any], Any] | None,
    /,
) -> None: ...
def changed_bindings(
    base: Map[ContextVar[Any], Any], new: Map[ContextVar[Any], Any], /
) -> MapDiff[ContextVar[Any], Any]: ...

# `ctxvars.isolated` wraps these two. What comes back behaves as what was given, and has its type.
def isolate(body: _B, context: Context | contextvars.Context | None, live: bool, /) -> _B:
    """Return a proxy of a generator, a coroutine or an async generator, which makes each step in
    a context: the given one, ours or native, or for None a copy of the context of the first
    step. If it is live, variables follow those of the caller until the body sets them."""

def isolate_calls(
    function: _F, makes_body: bool, context: Context | contextvars.Context | None, live: bool, /
) -> _F:
    """Return a function each of whose calls runs in a new context: a copy of the given one, ours
    or native, or of the current one. If the calls make bodies, the bodies run in these
    contexts; see isolate."""

def verify_layout(name: str, value: int, /) -> str | None: ...
