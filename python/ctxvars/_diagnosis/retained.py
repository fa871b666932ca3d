"""`retained`: who keeps a context or a value alive, and how much they keep.

The walk starts at the object and goes to its referrers, level by level, until it finds keepers:
tasks, timers, tokens and others. Contexts that have a value are found by their bindings, because
the garbage collector does not track maps of simple values.
"""

from __future__ import annotations

import gc
import sys
import threading
from _contextvars import Context as NativeContext
from _contextvars import ContextVar as NativeVariable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    ModuleType,
)
from typing import Any

from ctxvars import _core
from ctxvars._core import Context, ContextVar, Map
from ctxvars._diagnosis.keepers import (
    Keeper,
    frame_name,
    frame_of,
    is_a,
    is_root_variable,
    keeper_of,
    module_namespaces,
    mro_of,
    name_in,
    namespace_of,
    type_name,
)
from ctxvars._public import public

MOST_OBJECTS = 20_000
MOST_LEVELS = 24
MOST_KEEPERS = 100
MOST_LINES = 20

_PLUMBING = frozenset({"ctxvars.BindingsCell", "ctxvars.Map", "hamt"})
"""Types between a context and its values, which paths leave out; also the nodes of `hamt`."""


@public
@dataclass(frozen=True, slots=True)
class Retained:
    """Who keeps an object alive. Its text is for people.

    Attributes:
        type_name: the type of the object.
        keepers: the objects that keep it alive, the nearest ones first.
        entries: the number of variables with a value, of a context; else None.
        size: the size in bytes of the object and of what it refers to, as `sys.getsizeof` counts,
            without modules, classes and functions.
        objects: the number of objects in this size.
        is_cut: whether there were more keepers or objects than the limits.
    """

    type_name: str
    keepers: tuple[Keeper, ...]
    entries: int | None
    size: int
    objects: int
    is_cut: bool

    def __str__(self) -> str:
        with_entries = "" if self.entries is None else f" with {_count(self.entries, 'variable')}"
        cut = ", and more" if self.is_cut else ""
        lines = [
            f"{self.type_name}{with_entries}: {_bytes(self.size)} in "
            f"{_count(self.objects, 'object')}{cut}"
        ]
        lines += [f"  {keeper}" for keeper in self.keepers[:MOST_LINES]]
        if len(self.keepers) > MOST_LINES:
            lines.append(f"  and {len(self.keepers) - MOST_LINES} more")
        if not self.keepers:
            lines.append("  kept by running code, or by C code, only")
        return "\n".join(lines)


def retained(thing: Any, /) -> Retained:
    """Find out who keeps a context or a value alive.

    Args:
        thing: a context of ctxvars or of the standard library, a snapshot, or any other object,
            such as the value of a variable.

    Returns:
        The keepers: tasks, timers, callbacks, threads, tokens, snapshots, scopes, coroutines,
        generators, frames, modules, classes and others.

    It reads the heap by the garbage collector. It does not run code of the program, such as a
    `__repr__`. The local variables of the caller are not keepers, and objects that `gc.freeze` has
    hidden are not seen. The walk ends after 20 000 objects or 100 keepers. It is a tool for
    debugging: objects that other threads change meanwhile may be missing. O(objects of the process
    x length of the longest path).

    >>> import ctxvars
    >>> user = ctxvars.ContextVar("user")
    >>> class Session: pass
    >>> def start():
    ...     session = Session()
    ...     with user.scope(session):
    ...         context = ctxvars.snapshot()
    ...     return [keeper.kind for keeper in ctxvars.retained(session).keepers]
    >>> start()
    ['snapshot']
    """
    walk = _Walk(thing, sys._getframe(1))
    walk.run()
    walk.look_at_frames()
    size, count, is_cut = size_of(thing)
    entries = None
    if (context := _native_of(thing)) is not None:
        entries = sum(1 for _ in _variables_of(context))
    return Retained(
        type_name(thing), tuple(walk.keepers), entries, size, count, walk.is_cut or is_cut
    )


public(retained)


class _Walk:
    """The walk over referrers, level by level.

    Lists and dicts of the walk refer to objects of the program, too. They are left out by identity.
    """

    __slots__ = ("_caller", "_frontier", "_kept_alive", "_modules", "_towards", "is_cut", "keepers")

    def __init__(self, thing: Any, caller: FrameType) -> None:
        self.keepers: list[Keeper] = []
        self.is_cut = False
        self._caller = caller
        self._modules = module_namespaces()
        self._frontier: list[Any] = [*_parts_of(thing)]
        # The object that each one on the way refers to; `None` for the first ones.
        self._towards: dict[int, Any] = {id(it): None for it in self._frontier}
        # The objects whose addresses are remembered, so that they are not used again.
        self._kept_alive: list[Any] = []
        if _native_of(thing) is None:
            for holder in holders_of(thing):
                self._towards[id(holder)] = thing
                self._frontier.append(holder)

    def run(self) -> None:
        for _ in range(MOST_LEVELS):
            if not self._frontier or self.is_cut:
                return
            self._frontier = self._step(self._frontier)
        self.is_cut = bool(self._frontier)

    def _step(self, frontier: list[Any]) -> list[Any]:
        """Look at the referrers of all objects of a level; return those to look at next."""
        self._kept_alive += frontier
        ids = {id(it) for it in frontier}
        own = {id(it) for it in (frontier, self._kept_alive, self._towards, self)}
        reached: set[int] = set()
        found: list[Any] = []
        # From Python 3.14 on, the collector takes the arguments for a referrer, too.
        arguments = tuple(frontier)
        own |= {id(found), id(arguments)}
        for each in gc.get_referrers(*arguments):
            if id(each) in own or self._is_of_caller(each):
                continue
            referents = gc.get_referents(each)
            if type(each) is tuple and len(referents) < len(each):
                continue  # Another thread is making it.
            here = [it for it in referents if id(it) in ids]
            reached |= {id(it) for it in here}
            if not here or id(each) in self._towards:
                continue
            if keeper := self._keeper(each, here[0]):
                self._kept_alive.append(each)
                self._towards[id(each)] = None
                self._add(*keeper, here[0])
            else:
                self._towards[id(each)] = here[0]
                found.append(each)
        for each in frontier:
            if id(each) not in reached and self._towards[id(each)] is not None:
                self._add_root(each)
        self.is_cut |= len(self._towards) > MOST_OBJECTS
        return found

    def _keeper(self, thing: Any, kept: Any) -> tuple[str, str] | None:
        if (module := self._modules.get(id(thing))) is not None:
            return "module", f"{module}: {name_in(thing, kept)}"
        return keeper_of(thing)

    def _is_of_caller(self, thing: Any) -> bool:
        """Whether an object is the frame of the caller or its coroutine, or a frame of a walk."""
        if type(thing) is FrameType:
            return thing is self._caller or thing.f_globals is globals()
        return frame_of(thing) is self._caller

    def _add_root(self, thing: Any) -> None:
        """Add an object that no object refers to: a local variable, a thread or C code does."""
        if any(it is thing for it in self._caller.f_locals.values()):
            return
        if type(thing) is NativeContext:
            self._add("context", "of a thread, or of C code", self._towards[id(thing)])
        elif type(thing) is Context:
            self._add("context", "of a running function", self._towards[id(thing)])
        else:
            self._add("object", type_name(thing), self._towards[id(thing)])

    def _add(self, kind: str, description: str, kept: Any) -> None:
        if len(self.keepers) == MOST_KEEPERS:
            self.is_cut = True
        else:
            self.keepers.append(Keeper(kind, description, tuple(self._path(kept))))

    def _path(self, thing: Any) -> Iterator[str]:
        """Yield the types on the way to the object, without plumbing and without the object."""
        while (towards := self._towards.get(id(thing))) is not None:
            name = type_name(thing)
            if name not in _PLUMBING and not name.startswith("hamt_"):
                yield name
            thing = towards

    def look_at_frames(self) -> None:
        """Find running functions whose local variables refer to an object of the walk.

        The collector does not see the local variables of a function that runs.
        """
        on_the_way = {id(it) for it in self._kept_alive if keeper_of(it) is None}
        innermost = sys._current_frames()
        # A frame in a local variable of this function would make a cycle, if it were the own frame.
        del innermost[threading.get_ident()]
        for frame in (self._caller.f_back, *innermost.values()):
            while frame is not None:
                self._look_at(frame, on_the_way)
                frame = frame.f_back

    def _look_at(self, frame: FrameType, on_the_way: set[int]) -> None:
        if frame.f_locals is frame.f_globals:
            return  # The module is the keeper.
        for value in [*frame.f_locals.values()]:
            if id(value) in on_the_way:
                self._add("frame", frame_name(frame), value)
                return


def _native_of(thing: Any) -> NativeContext | None:
    """Return the native context of a context or a snapshot; `None` for other objects."""
    if type(thing) is NativeContext:
        return thing
    if type(thing) is Context:
        return thing.native
    if type_name(thing) == "ctxvars.Snapshot":
        context = next(it for it in gc.get_referents(thing) if type(it) is Context)
        return context.native
    return None


def _parts_of(thing: Any) -> Iterator[Any]:
    """Yield an object, and those that are the same context."""
    yield thing
    native = _native_of(thing)
    if native is not None:
        if native is not thing:
            yield native
        if type(thing) is not Context and type(thing) is not NativeContext:
            yield next(it for it in gc.get_referents(thing) if type(it) is Context)


def holders_of(value: Any) -> list[Any]:
    """Return the objects in contexts in which a variable of ctxvars has this value, the same one.

    They are found by the root variable, not in a list of all objects: an object that another thread
    is making would be in such a list, and a tuple that is referred to elsewhere cannot be finished.
    """
    found = [
        each
        for node in gc.get_referrers(root_variable())
        if type_name(node).startswith("hamt_")
        for each in gc.get_referents(node)
        if (bindings := _bindings_of(each)) is not None and _has_value(bindings, value)
    ]
    # The collector does not track the native context of a copy that has not been used. But it
    # tracks the `Context` of the copy.
    found += [
        each
        for each in gc.get_referrers(Context)
        if type(each) is Context and _has_value(each.bindings, value)
    ]
    return found


@cache
def root_variable() -> NativeVariable[Any]:
    """Return the native variable whose value has the values of all variables of ctxvars."""
    context = Context()
    context.run(ContextVar[None]("ctxvars.retained").set, None)
    # Not by its items: an extended context does not show this variable.
    waiting: list[Any] = [context.native]
    while not is_root_variable(each := waiting.pop()):
        if type(each) is NativeContext or type_name(each).startswith("hamt"):
            waiting += gc.get_referents(each)
    variable: NativeVariable[Any] = each
    return variable


def _has_value(bindings: Map[Any, Any], value: Any) -> bool:
    return any(it is value for it in bindings.values())


def _variables_of(context: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the variables of ctxvars and of the standard library, without a comparison."""
    # An extended context shows the variables of ctxvars beside the others.
    for variable, value in _native_items(context):
        bindings = _bindings_of(value) if is_root_variable(variable) else None
        if bindings is None:
            yield variable, value
        else:
            yield from bindings.items()


_native_items = NativeContext.items


def _bindings_of(value: Any) -> Map[Any, Any] | None:
    """Return the bindings in a value of the root variable; `None` for other objects."""
    if type(value) is Map:
        return value  # Variables are not set in place.
    if type_name(value) != "ctxvars.BindingsCell":
        return None
    return next((it for it in gc.get_referents(value) if type(it) is Map), None)


_SHARED = (ModuleType, type, FunctionType, BuiltinFunctionType, CodeType, FrameType)
"""Types of objects that the program keeps anyway: sizes do not count them."""


def size_of(thing: Any) -> tuple[int, int, bool]:
    """Return the bytes and the number of the objects that a thing refers to, and if it is cut."""
    seen: set[int] = set()
    waiting = [*_parts_of(thing)]
    total = 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or is_a(each, *_SHARED) or is_a(each, _core.ContextVar):
            continue
        if len(seen) == MOST_OBJECTS:
            return total, len(seen), True
        seen.add(id(each))
        total += shallow_size(each)
        waiting += gc.get_referents(each)
    return total, len(seen), False


def shallow_size(thing: Any) -> int:
    """Return what `sys.getsizeof` returns, without a `__sizeof__` of the program."""
    for each in mro_of(type(thing)):
        method = namespace_of(each).get("__sizeof__")
        if type(method) is MethodDescriptorType:  # written in C
            size: int = method(thing)
            return size + (_GC_HEADER if gc.is_tracked(thing) else 0)
    return 0


_GC_HEADER = sys.getsizeof([]) - [].__sizeof__()


def _bytes(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 10_000:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
