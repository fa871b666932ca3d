"""Cycles through each class are freed. The tests count objects, as not all have weak references."""

from __future__ import annotations

import contextlib
import contextvars
import gc
from collections.abc import Callable, Generator
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar, Map, isolated, scope
from ctxvars._core import VariableDescriptor, isolate_calls


class Witness:
    """An object that is part of each cycle."""

    held: Any


def body(held: object) -> Generator[object]:
    while True:
        yield held


async def async_body(held: object) -> Any:
    while True:
        yield held


def of_witness(make: Callable[[Witness], object]) -> Callable[[], None]:
    """Make a cycle of a witness and an object that refers to it."""

    def cycle() -> None:
        witness = Witness()
        witness.held = make(witness)

    return cycle


def map_node(witness: Witness) -> object:
    return Map(dict.fromkeys(range(200), witness))


def mutation_of_itself() -> None:
    mutation = Map[str, Any](w=Witness()).mutate()
    mutation["itself"] = mutation


def token(witness: Witness) -> object:
    return Context().run(ContextVar[object]("v").set, witness)


def context_of_itself() -> None:
    context = Context()
    context.run(ContextVar[object]("v").set, (context, Witness()))


def default(witness: Witness) -> object:
    return ContextVar("v", default=witness)


def factory(witness: Witness) -> object:
    variable: ContextVar[Any] = ContextVar("v", default_factory=lambda: witness)
    context = Context()
    context.run(variable.get)
    return context


def made_by_its_variable() -> None:
    variable: ContextVar[Any] = ContextVar("v", default_factory=lambda: (variable, Witness()))
    Context().run(variable.get)


def entered_scope() -> None:
    variable: ContextVar[Any] = ContextVar("v")
    entered = scope({variable: Witness()})

    def enter() -> None:
        variable.set(entered)
        entered.__enter__()

    Context().run(enter)


class Settings(ctxvars.Group):
    value: Any


def entered_group() -> None:
    settings = Settings(value=Witness())

    def enter() -> None:
        Settings.value = settings
        settings.__enter__()

    Context().run(enter)


def pair_of_iterator(witness: Witness) -> object:
    items = iter(Map(a=witness, b=witness).items())
    next(items)
    return items


def mutation_iterator() -> None:
    mutation = Map[str, Any](w=Witness()).mutate()
    mutation["iterator"] = iter(mutation)


def isolated_dict() -> None:
    function: Any = isolated(lambda: None)
    function.itself = function
    function.witness = Witness()


def isolated_origin(witness: Witness) -> object:
    context = Context()
    context.run(ContextVar[object]("v").set, witness)
    return isolate_calls(lambda: None, False, context, False)


def followed(inherit: Any, variable: Any) -> Callable[[], None]:
    """Make a body whose first step copies or follows a context that refers to the body."""

    def cycle() -> None:
        proxy = isolated(body(Witness()), inherit=inherit)
        variable.set(proxy)
        next(proxy)
        variable.set(None)

    return cycle


def followed_later() -> None:
    variable: ContextVar[Any] = ContextVar("v")
    proxy = isolated(body(Witness()), inherit="live")
    next(proxy)
    for value in (proxy, (proxy,), None):
        variable.set(value)
        if value is not None:
            next(proxy)


def awaited_operation(witness: Witness) -> object:
    operation = isolated(async_body(witness)).asend(None)
    with contextlib.suppress(StopIteration):
        operation.send(None)
    return operation


OURS = ContextVar[Any]("ours")
NATIVE = contextvars.ContextVar[Any]("native")

CYCLES: dict[str, Callable[[], None]] = {
    "Map": of_witness(lambda witness: Map(w=witness)),
    "a node of a map": of_witness(map_node),
    "MapMutation": of_witness(lambda witness: Map(w=witness).mutate()),
    "a mutation that holds itself": mutation_of_itself,
    "a view": of_witness(lambda witness: Map(w=witness).keys()),
    "an iterator": of_witness(lambda witness: iter(Map(w=witness).values())),
    "the last pair of an iterator": of_witness(pair_of_iterator),
    "an iterator in its mutation": mutation_iterator,
    "ContextVar": of_witness(default),
    "what a factory made": of_witness(factory),
    "what a factory made of its variable": made_by_its_variable,
    "VariableDescriptor": of_witness(
        lambda witness: VariableDescriptor(ContextVar("v", default=witness), LookupError)
    ),
    "Token": of_witness(token),
    "Context": context_of_itself,
    "Scope": of_witness(lambda witness: scope({OURS: witness})),
    "an entered scope": entered_scope,
    "an instance of a group": of_witness(lambda witness: Settings(value=witness)),
    "an entered instance of a group": entered_group,
    "an isolated function": of_witness(lambda witness: isolated(lambda: witness)),
    "the attributes of an isolated function": isolated_dict,
    "the context of an isolated function": of_witness(isolated_origin),
    "a bound function": of_witness(lambda witness: ctxvars.bind(lambda: witness)),
    "an isolated generator": of_witness(lambda witness: isolated(body(witness))),
    "an operation of an async generator": of_witness(awaited_operation),
    "a body that has copied its own": followed("once", OURS),
    "a body that follows its own": followed("live", OURS),
    "a body that has copied its own in a native variable": followed("once", NATIVE),
    "a body that follows its own in a native variable": followed("live", NATIVE),
    "a body that follows itself later": followed_later,
}


@pytest.mark.parametrize("cycle", CYCLES.values(), ids=CYCLES)
def test_a_cycle_through_each_class_is_freed(cycle: Callable[[], None]) -> None:
    context = contextvars.copy_context()
    context.run(cycle)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        context.run(cycle)
    gc.collect()
    assert len(gc.get_objects()) < before + 50
