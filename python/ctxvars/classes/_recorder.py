"""Records the steps in which classes are created.

`_core.build_class_observed` calls the recorder, its observer, at each of its steps. To record the
names that the body stores, the body runs over a mapping that forwards to the namespace. A profile
function records the calls that the metaclass makes.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from inspect import getargvalues
from types import FrameType, FunctionType
from typing import Any

from ctxvars import _core
from ctxvars._locks import lasting_lock
from ctxvars.classes._trace import ClassTrace, Step, Trace
from ctxvars.classes._words import name_words

SET_NAME, INIT_SUBCLASS = "__set_name__", "__init_subclass__"


class Recorder:
    """Adds the classes that one thread creates to a trace.

    Args:
        filename: if given, only class statements in this file are recorded.
    """

    def __init__(self, trace: Trace, filename: str | None) -> None:
        self.trace = trace
        self.filename = filename
        # The classes that are being created, innermost last.
        self.open: list[Creation | None] = []

    def observe(self, step: str, value: Any) -> Any:
        """The observer: called with each step."""
        if step == "statement":
            self.open.append(self.begin(*value))
            return None
        ends = step in ("class", "error")
        creation = self.open.pop() if ends else self.open[-1]
        return creation.observe(step, value) if creation else None

    def begin(
        self, body: FunctionType, name: str, bases: tuple[Any, ...], keywords: dict[str, Any]
    ) -> Creation | None:
        if self.filename not in (None, body.__code__.co_filename):
            return None
        created = ClassTrace(name, body, bases, keywords)
        outer = next((each for each in reversed(self.open) if each), None)
        if outer:
            outer.created.steps.append(created)
        else:
            self.trace.classes.append(created)
        return Creation(created)


class Creation:
    """A class that is being created."""

    def __init__(self, created: ClassTrace) -> None:
        self.created = created
        self.runs_body = False
        # While the metaclass is being called: the previous profile function, the index of its first
        # step, and whether a call of `type.__new__` was seen.
        self.calls = False
        self.profile: Any = None
        self.first_call = 0
        self.is_made_by_type = False

    def observe(self, step: str, value: Any) -> Any:
        if step in ("body", "error"):
            self.runs_body = False
        if step in ("class", "error") and self.calls:
            self.end_calls()
        if step == "class" and self.is_made_by_type and is_class(value):
            self.insert_derived(value)
        if step == "namespace":
            if isinstance(value, dict):
                self.created.given = tuple(dict.items(value))
            self.add(step, value, ", ".join(name_words(name) for name, _ in self.created.given))
            self.runs_body = True
            return Watched(value, self)
        self.add(step, value)
        if step == "call":
            self.begin_calls()
        return None

    def add(self, kind: str, value: Any, name: str = "", **more: Any) -> None:
        self.created.steps.append(Step(kind, value, name, **more))

    def changed(self, kind: str, name: Any, value: Any) -> None:
        """Record a change of the namespace."""
        name = name_words(name)
        frame: FrameType | None = sys._getframe(1) if self.runs_body else None
        while frame and frame.f_code is not self.created.body.__code__:
            frame = frame.f_back
        if frame:
            self.add(kind, value, name, line=frame.f_lineno, offset=frame.f_lasti)
        else:
            self.add(kind, value, name)

    def begin_calls(self) -> None:
        metaclass = next(self.created.own("metaclass")).value
        mro = metaclass.__mro__ if is_class(metaclass) else ()
        self.is_made_by_type = found_in_class(mro, "__new__") is type.__new__
        self.first_call = len(self.created.steps)
        self.calls = True
        self.profile = sys.getprofile()
        sys.setprofile(self.called)

    def end_calls(self) -> None:
        sys.setprofile(self.profile)
        self.calls = False

    def called(self, frame: FrameType, event: str, argument: Any) -> None:
        """The profile function."""
        if event == "c_call" and argument is type.__new__:
            self.is_made_by_type = True
        elif event == "call" and frame.f_code.co_name in (SET_NAME, INIT_SUBCLASS):
            self.created.steps.append(call_in(frame))

    def insert_derived(self, made: type) -> None:
        """Add the calls of functions in C, at the places where `type.__new__` makes them."""
        seen = self.created.steps[self.first_call :]
        del self.created.steps[self.first_call :]
        for step in calls_by_rule(made):
            if step.derived:
                self.created.steps.append(step)
                continue
            place = next((place for place, it in enumerate(seen) if is_same_call(it, step)), -1)
            self.created.steps += seen[: place + 1]
            del seen[: place + 1]
        self.created.steps += seen


def call_in(frame: FrameType) -> Step:
    """Return the step for a frame that begins to run."""
    code = frame.f_code
    names, rest, keywords, values = getargvalues(frame)
    if code.co_name == INIT_SUBCLASS:
        given = {name: values.get(name) for name in names[1:]} | values.get(keywords or "", {})
        return Step("init_subclass", given, code.co_qualname, code=code)
    arguments = [values.get(name) for name in names] + list(values.get(rest or "", ()))
    attribute, _, name = [*arguments, None, None, None][:3]
    return Step("set_name", attribute, str(name), code=code)


def calls_by_rule(made: type) -> Iterator[Step]:
    """Return the calls that `type.__new__` makes; those of functions in C are `derived`."""
    for name, value in list(vars(made).items()):
        function = found_in_class(type(value).__mro__, SET_NAME)
        if function is not None:
            yield Step("set_name", value, name, derived=not is_seen(function, SET_NAME))
    function = found_in_class(made.__mro__[1:], INIT_SUBCLASS)
    function = getattr(function, "__func__", function)
    name = getattr(function, "__qualname__", INIT_SUBCLASS)
    yield Step("init_subclass", {}, name, derived=not is_seen(function, INIT_SUBCLASS))


def is_class(thing: object) -> bool:
    """Whether a thing is a class, as `type.__new__` checks it: `__class__` is ignored."""
    return issubclass(type(thing), type)


def found_in_class(mro: tuple[type, ...], name: str) -> Any:
    return next((vars(each)[name] for each in mro if name in vars(each)), None)


def is_seen(function: Any, name: str) -> bool:
    return isinstance(function, FunctionType) and function.__code__.co_name == name


def is_same_call(seen: Step | ClassTrace, step: Step) -> bool:
    if isinstance(seen, ClassTrace) or seen.kind != step.kind:
        return False
    return step.kind == "init_subclass" or (seen.value is step.value and seen.name == step.name)


class Watched(MutableMapping[str, Any]):
    """Forwards to a namespace, and reports its changes to a creation."""

    def __init__(self, namespace: Any, creation: Creation) -> None:
        self._namespace = namespace
        self._creation = creation

    def __getitem__(self, name: str) -> Any:
        return self._namespace[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._namespace[name] = value
        self._creation.changed("store", name, value)

    def __delitem__(self, name: str) -> None:
        del self._namespace[name]
        self._creation.changed("delete", name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._namespace

    def __iter__(self) -> Iterator[str]:
        return iter(self._namespace)

    def __len__(self) -> int:
        return len(self._namespace)

    def __repr__(self) -> str:
        return repr(self._namespace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._namespace, name)


# The recorder of each thread, and the `__build_class__` to restore when there are no recorders.
_recorders: dict[int, Recorder] = {}
_lock = lasting_lock()
_replaced: Callable[..., Any] = builtins.__build_class__


def _observe(step: str, value: Any) -> Any:
    recorder = _recorders.get(threading.get_ident())
    return recorder.observe(step, value) if recorder else None


_build_observed = partial(_core.build_class_observed, _observe)


def _settle() -> None:
    """Replace `__build_class__` as long as there is a recorder.

    The caller holds the lock. A signal handler that records may interrupt this function anywhere.
    """
    global _replaced
    current = builtins.__build_class__
    if not _recorders:
        builtins.__build_class__ = _replaced
    elif current is not _build_observed:
        _replaced = current
        builtins.__build_class__ = _build_observed


def _forget_other_threads() -> None:
    """Drop recorders in the child of a fork: only the thread that has forked exists there."""
    thread = threading.get_ident()
    for other in [it for it in _recorders if it != thread]:
        del _recorders[other]
    if builtins.__build_class__ is _build_observed:
        _settle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Record the classes that the current thread creates, not those of other threads."""
    thread = threading.get_ident()
    with _lock:
        outer = _recorders.get(thread)
        _recorders[thread] = recorder
        _settle()
    try:
        yield
    finally:
        with _lock:
            if outer:
                _recorders[thread] = outer
            else:
                del _recorders[thread]
            _settle()
