"""Where a value was found last is remembered for as long as it is right."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

import ctxvars
from ctxvars import Context, ContextVar, copy_context
from tests.support.in_place import NOISE, OTHERS, Pair, check_all, fresh, named, pairs
from tests.support.new_context import in_a_new_context

SIZES = [1, 2, 15, 16, 17, 40, 300]


def read_all(made: list[Pair]) -> None:
    """Let each variable remember its place."""
    for pair in made:
        pair.check()


def insert(made: list[Pair], random: Random) -> None:
    added = Pair(f"added {random.random()}")
    added.set([added.name])
    made.insert(random.randrange(len(made)), added)


def delete_one(made: list[Pair], random: Random) -> None:
    made[random.randrange(len(made))].delete()


def delete_and_put_back(made: list[Pair], random: Random) -> None:
    pair = made[random.randrange(len(made))]
    if (tokens := pair.delete()) is not None:
        read_all(made[:3])
        pair.reset(tokens)


def replace(made: list[Pair], random: Random) -> None:
    made[random.randrange(len(made))].set([random.random()])


def set_and_reset(made: list[Pair], random: Random) -> None:
    pair = made[random.randrange(len(made))]
    pair.reset(pair.set([random.random()]))


def replace_beside_a_copy(made: list[Pair], random: Random) -> None:
    copy = copy_context()
    replace(made, random)
    read_all(made[:3])
    for pair in made:
        pair.check_in(copy.native)


def replace_in_a_copy(made: list[Pair], random: Random) -> None:
    copy_context().run(replace, made, random)


def scope(made: list[Pair], random: Random) -> None:
    with ctxvars.scope({ContextVar("one"): 1, ContextVar("two"): 2}):
        read_all(made)
        replace(made, random)


def set_natively(made: list[Pair], random: Random) -> None:
    OTHERS[random.randrange(900)].set([random.random()])


def collect(made: list[Pair], random: Random) -> None:
    gc.collect()


CHANGES = [
    insert,
    delete_one,
    delete_and_put_back,
    replace,
    set_and_reset,
    replace_beside_a_copy,
    replace_in_a_copy,
    scope,
    set_natively,
    collect,
]


@pytest.mark.parametrize("size", SIZES)
def test_places_are_right_after_each_change(size: int) -> None:
    random = Random(size)
    context, made = fresh(5, size)

    def inside() -> None:
        for _ in range(200 if size < 100 else 40):
            random.choice(CHANGES)(made, random)
            read_all(made)

    context.run(inside)
    check_all(context, made)


@pytest.mark.parametrize("change", CHANGES, ids=lambda it: it.__name__)
def test_places_of_others_are_right_after_a_change(
    change: Callable[[list[Pair], Random], None],
) -> None:
    for size in SIZES[:-1]:
        for noise in NOISE[:3]:
            context, made = fresh(noise, size)
            random = Random(size)

            def inside() -> None:
                for _ in range(20):
                    read_all(made)  # noqa: B023
                    change(made, random)  # noqa: B023
                read_all(made)  # noqa: B023

            context.run(inside)


@pytest.mark.parametrize("number", range(8))
def test_each_variable_is_set_in_a_copy_after_one_was_deleted(number: int) -> None:
    """The others have another index in their leaf, which has unused room now."""
    context, made = fresh(0, 8)

    def set_in_a_copy(pair: Pair) -> None:
        copy = copy_context()
        copy.run(pair.set, [pair.name])
        # Equality compares the hashes of variables in the leaf.
        assert ctxvars.Map(dict(copy.bindings)) == copy.bindings
        for each in made:
            each.check()
            copy.run(each.check)
            each.check_in(copy.native)

    def inside() -> None:
        for pair in made:
            pair.set([pair.name])  # Remembers the index.
        made[number].delete()
        for pair in made:
            set_in_a_copy(pair)
            pair.set([pair.name])

    context.run(inside)
    check_all(context, made)


def test_a_variable_that_is_read_in_many_contexts_in_turn() -> None:
    made = pairs(20)
    contexts = [Context() for _ in range(10)]
    random = Random(1)
    for _ in range(2000):
        context, pair = random.choice(contexts), random.choice(made)
        if random.random() < 0.3:
            context.run(pair.set, [random.random()])
        elif random.random() < 0.1:
            context.run(pair.delete)
        context.run(pair.check)
        pair.check_in(context.native)
        if random.random() < 0.05:
            contexts[random.randrange(10)] = context.copy()
        if random.random() < 0.05:
            contexts[random.randrange(10)] = Context()


def test_a_context_that_dies_leaves_no_value_to_others() -> None:
    variable, other = ContextVar[Any]("v", default=None), ContextVar[Any]("other")

    def inside(number: int) -> None:
        assert variable.get() is None
        other.set([number])
        assert variable.get() is None
        variable.set([number])
        assert variable.get() == [number]

    for number in range(100):
        Context().run(inside, number)
        contextvars.Context().run(inside, number)
        copy_context().run(inside, number)
        assert variable.get() is None


def step_by_step(threads: list[Iterator[None]]) -> None:
    """Advance generators in threads, one step of one thread at a time."""
    turns = [threading.Semaphore(0) for _ in threads]
    done, errors = threading.Semaphore(0), []

    def work(thread: Iterator[None], turn: threading.Semaphore) -> None:
        for _ in range(40):
            turn.acquire()
            try:
                next(thread)
            except BaseException as error:
                errors.append(error)
            done.release()

    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(threads, turns, strict=True)
    ]
    for worker in workers:
        worker.start()
    for _ in range(40):
        for turn in turns:
            turn.release()
            done.acquire()
    for worker in workers:
        worker.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("enters", [0, 1, 3])
def test_threads_whose_contexts_have_equal_numbers(enters: int) -> None:
    """Each thread counts its changes of context from the same number."""
    made = pairs(3)

    def work(number: int) -> Iterator[None]:
        for _ in range(enters):
            contextvars.Context().run(int)
        made[0].set([number])
        while True:
            for pair in made:
                value = pair.check()
                assert value is None or value[0] == number
            yield
            made[1].set([number])
            yield
            copy_context().run(made[2].set, [number, "copy"])
            made[1].delete()
            yield

    step_by_step([work(number) for number in range(4)])


@in_a_new_context
def test_a_scope_keeps_what_was_replaced_in_it() -> None:
    """The version shows a scope whether anything has been set since it was entered."""
    variables = [ContextVar[Any](f"v{number}") for number in range(40)]
    for variable in variables:
        variable.set([variable.name])
    for variable in variables:
        with ctxvars.scope({ContextVar("one"): 1, ContextVar("two"): 2}):
            variable.set(["first"])
            variable.set(["second"])
        assert variable.get() == ["second"]
    with ctxvars.scope({variables[0]: 1, variables[1]: 2}):
        variables[0].set(3)
        variables[2].set(["third"])
    assert [variable.get() for variable in variables[:3]] == [["second"], ["second"], ["third"]]


@in_a_new_context
def test_changes_have_what_was_replaced() -> None:
    variables = [ContextVar[Any](f"v{number}") for number in range(40)]
    for variable in variables:
        variable.set([variable.name])
    before = ctxvars.snapshot()
    for _ in range(3):
        variables[3].set(["in place"])
        variables[5].set(["in place"])
    changes = ctxvars.changes_since(before)
    assert named(changes.to_diff().changed).keys() == {"v3", "v5"}
    after = ctxvars.snapshot()
    variables[3].set(["again"])
    assert named(ctxvars.changes_since(after).to_diff().changed).keys() == {"v3"}
    assert named(before.bindings)["v3"] == ["v3"]
    assert named(after.bindings)["v3"] == ["in place"]


@pytest.mark.parametrize("size", SIZES)
def test_a_token_of_another_context_is_refused(size: int) -> None:
    context, made = fresh(5, size)
    other = Context()
    for pair in made:
        other.run(pair.set, ["other"])
    # Afterwards both contexts are the only owners of their bindings.
    copy = context.copy()
    for pair in (made[0], made[-1]):
        copy.run(pair.set, ["copy"])
        token = context.run(pair.set, ["new"])
        for elsewhere in (other, copy, Context()):
            error = elsewhere.run(pair.reset, token)
            assert error is not None
            assert error.endswith("different Context")
            pair.check_in(elsewhere.native)
        assert context.run(pair.reset, token) is None
        assert context.run(pair.check) == [pair.name]
