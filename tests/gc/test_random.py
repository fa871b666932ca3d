"""Random operations on contexts, against a model of what refers to what."""

from __future__ import annotations

import contextvars
import gc
import weakref
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ctxvars
from tests.support.builds import IN_PLACE
from tests.support.gc.contexts import holding
from tests.support.gc.values import Value

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_new_objects")]

VARIABLES = 24


class Machine(RuleBasedStateMachine):
    """Contexts, variables, tokens, iterators and values that refer to one another at random.

    The model is a graph of numbers. The test refers to the objects in `held`. A value must be alive
    exactly if its number can be reached from the numbers of these objects.
    """

    module: ModuleType = ctxvars
    tokens_keep_bindings = not IN_PLACE

    def __init__(self) -> None:
        super().__init__()
        # Objects that hypothesis keeps of earlier runs would slow each collection down.
        gc.collect()
        gc.freeze()
        self.numbers = count()
        self.held: dict[int, Any] = {}
        # The references of each object, except for contexts, whose bindings change.
        self.refers: dict[int, set[int]] = {}
        self.bindings: dict[int, dict[int, int]] = {}
        self.kinds: dict[int, str] = {}
        self.token_of: dict[int, tuple[int, int, int | None]] = {}
        self.used: set[int] = set()
        self.weak: dict[int, weakref.ref[Value]] = {}
        self.atoms = {-1: None, -2: "text", -3: 10**20}

    def add(self, kind: str, held: Any, refers: set[int]) -> int:
        number = next(self.numbers)
        self.kinds[number], self.held[number], self.refers[number] = kind, held, refers
        return number

    def add_value(self) -> tuple[int, Value]:
        number = next(self.numbers)
        value = Value(number)
        self.kinds[number], self.refers[number] = "value", set()
        self.weak[number] = weakref.ref(value)
        return number, value

    def pick(self, data: st.DataObject, kind: str) -> int | None:
        held = [number for number in self.held if self.kinds[number] == kind]
        return data.draw(st.sampled_from(held)) if held else None

    def make(self, data: st.DataObject) -> tuple[int, object]:
        """Return an atom, a new value, or a value of a context."""
        choice = data.draw(st.sampled_from(["atom", "new", "old", "new"]))
        if choice == "atom":
            return data.draw(st.sampled_from(sorted(self.atoms.items(), key=lambda atom: atom[0])))
        context = self.pick(data, "context")
        if choice == "old" and context is not None and self.bindings[context]:
            variable, number = data.draw(st.sampled_from(sorted(self.bindings[context].items())))
            if variable in self.held:
                return number, self.held[context][self.held[variable]]
        return self.add_value()

    @rule(data=st.data())
    def new_variable(self, data: st.DataObject) -> None:
        number, default = self.make(data)
        self.add("variable", self.module.ContextVar("v", default=default), {number})

    @rule(data=st.data(), amount=st.sampled_from([3, 17, 60]))
    def new_context(self, data: st.DataObject, amount: int) -> None:
        context = self.add("context", self.module.Context(), set())
        self.bindings[context] = {}
        for _ in range(amount if data.draw(st.booleans()) else 0):
            variable = self.add("variable", self.module.ContextVar("v"), set())
            atom = -2
            holding(self.held[context], self.held[variable], self.atoms[atom])
            self.bindings[context][variable] = atom
            if amount > 3:
                del self.held[variable]

    @rule(data=st.data(), inside=st.booleans())
    def copy(self, data: st.DataObject, inside: bool) -> None:
        context = self.pick(data, "context")
        if context is not None:
            held = self.held[context]
            copied = held.run(self.module.copy_context) if inside else held.copy()
            self.bindings[self.add("context", copied, set())] = dict(self.bindings[context])

    @rule(data=st.data(), keep=st.booleans())
    def set_variable(self, data: st.DataObject, keep: bool) -> None:
        context, variable = self.pick(data, "context"), self.pick(data, "variable")
        if context is None or variable is None:
            return
        number, value = self.make(data)
        token = self.held[context].run(self.held[variable].set, value)
        del value
        before = self.bindings[context]
        self.bindings[context] = before | {variable: number}
        if keep:
            refers = {context, variable, before.get(variable, -1)}
            if self.tokens_keep_bindings:
                refers.update(before, before.values())
            added = self.add("token", token, refers)
            self.token_of[added] = context, variable, before.get(variable)

    @rule(data=st.data(), here=st.booleans())
    def reset(self, data: st.DataObject, here: bool) -> None:
        number = self.pick(data, "token")
        if number is None:
            return
        context, variable, old = self.token_of[number]
        token, reset = self.held[number], self.held[number].var.reset
        if number in self.used:
            with pytest.raises(RuntimeError):
                reset(token)
        elif not here or context not in self.held:
            with pytest.raises(ValueError, match="different Context"):
                reset(token)
        else:
            self.held[context].run(reset, token)
            self.used.add(number)
            self.bindings[context] = {
                key: value for key, value in self.bindings[context].items() if key != variable
            }
            if old is not None:
                self.bindings[context][variable] = old

    @rule(
        data=st.data(), kind=st.sampled_from(["keys", "values", "items"]), steps=st.integers(0, 3)
    )
    def iterate(self, data: st.DataObject, kind: str, steps: int) -> None:
        context = self.pick(data, "context")
        if context is not None:
            iterator = iter(getattr(self.held[context], kind)())
            for _ in range(steps):
                next(iterator, None)
            bindings = self.bindings[context]
            self.add("iterator", iterator, set(bindings) | set(bindings.values()))

    @rule(data=st.data())
    def refer(self, data: st.DataObject) -> None:
        """Let a value in a context refer to something, which may close a cycle."""
        context = self.pick(data, "context")
        if context is None:
            return
        found = [
            (variable, number)
            for variable, number in sorted(self.bindings[context].items())
            if number >= 0 and variable in self.held
        ]
        if found:
            variable, number = data.draw(st.sampled_from(found))
            other = data.draw(st.sampled_from(sorted(self.held)))
            self.held[context][self.held[variable]].refs.append(self.held[other])
            self.refers[number].add(other)

    @precondition(lambda self: len(self.held) > 1)
    @rule(data=st.data(), kind=st.sampled_from(["context", "variable", "token", "iterator"]))
    def drop(self, data: st.DataObject, kind: str) -> None:
        number = self.pick(data, kind)
        if number is not None:
            del self.held[number]

    def reachable(self) -> set[int]:
        seen: set[int] = set()
        waiting = list(self.held)
        while waiting:
            number = waiting.pop()
            if number >= 0 and number not in seen:
                seen.add(number)
                waiting.extend(self.refers[number])
                bindings = self.bindings.get(number, {})
                waiting.extend(bindings)
                waiting.extend(bindings.values())
        return seen

    @invariant()
    def exactly_what_is_reachable_is_alive(self) -> None:
        gc.collect()
        reachable = self.reachable()
        alive = {number for number, weak in self.weak.items() if weak() is not None}
        assert alive == reachable & self.weak.keys()

    @invariant()
    def contexts_are_as_the_model(self) -> None:
        def identity(value: object) -> int:
            if isinstance(value, Value):
                return value.number
            return next(number for number, atom in self.atoms.items() if atom is value)

        for context, bindings in self.bindings.items():
            if context in self.held:
                held = self.held[context]
                assert len(held) == len(bindings)
                found = sorted(identity(value) for value in held.values())
                assert found == sorted(bindings.values())
                for variable, number in bindings.items():
                    if variable in self.held:
                        assert identity(held[self.held[variable]]) == number

    def teardown(self) -> None:
        self.held.clear()
        gc.collect()
        assert not any(weak() for weak in self.weak.values())


class NativeMachine(Machine):
    """Random operations on the standard library, which show that the model is right."""

    module = contextvars
    tokens_keep_bindings = False


SETTINGS = settings(
    max_examples=3 * settings.default.max_examples,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestRandomOperations = Machine.TestCase
TestRandomOperations.settings = SETTINGS
TestRandomOperationsOfTheStandardLibrary = NativeMachine.TestCase
TestRandomOperationsOfTheStandardLibrary.settings = settings(
    SETTINGS, max_examples=SETTINGS.max_examples // 5
)
