"""Faults that the fuzzer must find. Each breaks one rule of a correct implementation."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import ctxvars
from ctxvars.fuzz.subjects import SUBJECTS

# Correct implementations, into which the faults are put.
SOUND = {
    "contextvars": "tests.support.fuzz.wrapped_contextvars",
    "map": "ctxvars.fuzz.subjects.reference_map",
}


class Fault(NamedTuple):
    subject: str
    # The name of what is broken, such as "ContextVar.get". `broken` gets the original and the
    # module, and returns the replacement.
    place: str
    broken: Callable[[Any, Any], Any]

    def module(self) -> ModuleType:
        """Return a new instance of the correct module, with this fault."""
        spec = importlib.util.find_spec(SOUND[self.subject])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        holder, _, name = self.place.rpartition(".")
        owner = getattr(module, holder) if holder else module
        setattr(owner, name, self.broken(getattr(owner, name), module))
        return module


FAULTS: dict[str, Fault] = {}


def modules_of(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Return the names of the modules to compare. The one with the fault is called "faulty"."""
    monkeypatch.setitem(sys.modules, "faulty", fault.module())
    return SUBJECTS[fault.subject].against, "faulty"


def fault(subject: str, place: str) -> Callable[[Callable[[Any, Any], Any]], None]:
    """Decorate a function that returns the broken replacement."""

    def add(broken: Callable[[Any, Any], Any]) -> None:
        FAULTS[broken.__name__.replace("_", " ")] = Fault(subject, place, broken)

    return add


@fault("contextvars", "ContextVar.get")
def get_answers_from_a_stale_cache(get: Any, module: Any) -> Any:
    def get_cached(self: Any, *default: Any) -> Any:
        context = module.copy_context()
        if self not in context:
            return get(self, *default)
        # The cache takes all contexts with equally many variables for one context.
        return cache.setdefault((self._inner, len(context)), context[self])

    cache: dict[Any, Any] = {}
    return get_cached


@fault("contextvars", "ContextVar.get")
def the_default_of_a_variable_comes_first(get: Any, module: Any) -> Any:
    def get_default(self: Any, *default: Any) -> Any:
        if default and self not in module.copy_context():
            try:
                return get(self)
            except LookupError:
                pass
        return get(self, *default)

    return get_default


@fault("contextvars", "ContextVar.get")
def none_is_taken_for_no_value(get: Any, module: Any) -> Any:
    def get_something(self: Any, *default: Any) -> Any:
        value = get(self, *default)
        return default[0] if value is None and default else value

    return get_something


@fault("contextvars", "ContextVar.reset")
def a_token_is_accepted_twice(reset: Any, module: Any) -> Any:
    def reset_again(self: Any, token: Any) -> None:
        if "used" in repr(token) and isinstance(token, module.Token) and token.var == self:
            return
        reset(self, token)

    return reset_again


@fault("contextvars", "ContextVar.reset")
def a_token_is_accepted_in_another_context(reset: Any, module: Any) -> Any:
    def reset_anywhere(self: Any, token: Any) -> None:
        try:
            reset(self, token)
        except ValueError as error:
            if not str(error).endswith("different Context"):
                raise

    return reset_anywhere


@fault("contextvars", "ContextVar.reset")
def a_used_token_is_refused_last(reset: Any, module: Any) -> Any:
    def reset_after_checking_the_variable(self: Any, token: Any) -> None:
        if isinstance(token, module.Token) and token.var != self:
            raise ValueError(f"{token!r} was created by a different ContextVar")
        reset(self, token)

    return reset_after_checking_the_variable


@fault("contextvars", "ContextVar.reset")
def what_was_reset_keeps_an_entry(reset: Any, module: Any) -> Any:
    def reset_to_none(self: Any, token: Any) -> None:
        reset(self, token)
        if token.old_value is ctxvars.Token.MISSING:
            self.set(None)

    return reset_to_none


@fault("contextvars", "Token.old_value")
def the_old_value_is_the_present_one(old_value: Any, module: Any) -> Any:
    def present(self: Any) -> Any:
        old = old_value.__get__(self)
        return old if old is ctxvars.Token.MISSING else self.var.get(old)

    return property(present)


@fault("contextvars", "Context.run")
def a_context_is_entered_twice(run: Any, module: Any) -> Any:
    def run_again(self: Any, *arguments: Any) -> Any:
        try:
            self._inner.run(int)
        except RuntimeError:
            return self.copy()._inner.run(*arguments)
        return self._inner.run(*arguments)

    return run_again


@fault("contextvars", "Context.run")
def what_a_call_sets_is_lost_if_it_raises(run: Any, module: Any) -> Any:
    def run_or_undo(self: Any, *arguments: Any) -> Any:
        before = self.copy()
        try:
            return self._inner.run(*arguments)
        except Exception:
            object.__setattr__(self, "_inner", before._inner)
            raise

    return run_or_undo


@fault("contextvars", "Context.copy")
def a_copy_shares_what_is_set_later(copy: Any, module: Any) -> Any:
    return lambda self: module.wrapped(module.Context, self._inner)


@fault("contextvars", "Context.__eq__")
def equality_looks_at_no_values(equal: Any, module: Any) -> Any:
    def keys_equal(self: Any, other: Any) -> Any:
        if isinstance(other, module.Context):
            return {*self._inner} == {*other._inner}
        return equal(self, other)

    return keys_equal


@fault("contextvars", "Context.__eq__")
def equality_swallows_what_values_raise(equal: Any, module: Any) -> Any:
    def equal_or_not(self: Any, other: Any) -> Any:
        try:
            return equal(self, other)
        except Exception:
            return False

    return equal_or_not


@fault("contextvars", "copy_context")
def contexts_are_never_freed(copy_context: Any, module: Any) -> Any:
    def keep() -> Any:
        kept.append(copy_context())
        return kept[-1]

    kept: list[Any] = []
    return keep


@fault("contextvars", "Context.native")
def tasks_run_in_a_copy(native: Any, module: Any) -> Any:
    return property(lambda self: self._inner.copy().native)


@fault("map", "Map.set")
def an_update_is_lost_on_collision(set_: Any, module: Any) -> Any:
    def set_unless_taken(self: Any, key: Any, value: Any) -> Any:
        if key not in self and hash(key) in map(hash, self):
            return self
        return set_(self, key, value)

    return set_unless_taken


@fault("map", "Map.delete")
def what_is_absent_can_be_deleted(delete: Any, module: Any) -> Any:
    return lambda self, key: self.discard(key)


@fault("map", "MapMutation.finish")
def a_mutation_goes_on_changing_its_map(finish: Any, module: Any) -> Any:
    def finish_and_go_on(self: Any) -> Any:
        finished = finish(self)
        finished.dict, self.finished = self.dict, False
        return finished

    return finish_and_go_on


@fault("map", "Map.diff")
def a_diff_misses_what_was_replaced(diff: Any, module: Any) -> Any:
    return lambda self, other: diff(self, other)._replace(changed=module.Map())


@fault("map", "Map.merge")
def a_merge_prefers_the_wrong_side(merge: Any, module: Any) -> Any:
    def merge_swapped(self: Any, ours: Any, theirs: Any, **resolve: Any) -> Any:
        return merge(self, theirs, ours, **resolve)

    return merge_swapped


@fault("map", "MapMutation.update")
def an_update_that_fails_is_half_done(update: Any, module: Any) -> Any:
    def update_one_by_one(self: Any, *collections: Any, **entries: Any) -> None:
        self.change()
        for collection in collections:
            items = collection.items() if hasattr(collection, "items") else collection
            for key, value in items:
                self[key] = value
        update(self, **entries)

    return update_one_by_one


@fault("map", "Map.__eq__")
def equal_hashes_are_taken_for_equal_keys(equal: Any, module: Any) -> Any:
    def hashes_equal(self: Any, other: Any) -> Any:
        if not isinstance(other, module.Map) or len(self) != len(other):
            return equal(self, other)
        key_of = {hash(key): key for key in other}
        return all(
            hash(key) in key_of and module.same(value, other[key_of[hash(key)]])
            for key, value in self.items()
        )

    return hashes_equal


@fault("map", "Map.get")
def get_ignores_its_default(get: Any, module: Any) -> Any:
    return lambda self, key, default=None: get(self, key)


@fault("map", "Map.discard")
def discard_does_nothing(discard: Any, module: Any) -> Any:
    def keep(self: Any, key: Any) -> Any:
        hash(key)
        return self

    return keep


@fault("map", "Map.mutate")
def a_callback_sees_half_an_edit(mutate: Any, module: Any) -> Any:
    class Half(dict[Any, Any]):
        def __len__(self) -> int:
            return super().__len__() + 1

    class MapMutation(module.MapMutation):  # type: ignore[misc]
        def __init__(self, map_: Any) -> None:
            super().__init__(map_.dict)
            self.original = map_

        def __setitem__(self, key: Any, value: Any) -> None:
            whole = self.change()
            self.dict = Half(whole)
            self.original = None
            self.dict = whole
            super().__setitem__(key, value)

    return MapMutation
