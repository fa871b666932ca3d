"""`Map` against `dict`, and `MapMutation` against `dict`: random histories of many objects.

The maps of a history are derived from each other, so they share nodes. Each map is checked again
long after other maps were derived from it.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from ctxvars import MISSING, Map, MapMutation
from tests.support.map.keys import CUTS, FEW, assert_is, content, cut_key, dicts, keys, values

Pair = tuple[Map[Any, Any], dict[Any, Any]]


def outcome(call: Any, *arguments: Any) -> Any:
    """Return the result of a call, or the type and arguments of its exception."""
    try:
        return call(*arguments)
    except (KeyError, ValueError) as error:
        return type(error), *error.args


def naive_apply(base: dict[Any, Any], target: dict[Any, Any]) -> dict[Any, Any]:
    """Return `target` with the objects of `base` where they are equal."""
    result = {key: value for key, value in base.items() if key in target}
    for key, value in target.items():
        if key not in base or not (base[key] is value or base[key] == value):
            result[key] = value
    return result


def map_machine(cut: str) -> type[RuleBasedStateMachine]:
    """Return a state machine on maps whose keys have these hashes."""
    few, all_keys, dict_ = keys(cut), [cut_key(payload, cut) for payload in FEW], dicts(cut)
    no_names = st.just({}) | st.dictionaries(st.sampled_from(["a", "b", "self"]), values)

    class Machine(RuleBasedStateMachine):
        maps: Bundle[Pair] = Bundle("maps")
        iterators: Bundle[tuple[Iterator[Any], list[Any]]] = Bundle("iterators")

        def __init__(self) -> None:
            super().__init__()
            self.made: list[Pair] = []

        def keep(self, map_: Map[Any, Any], model: dict[Any, Any]) -> Pair:
            assert_is(map_, model, all_keys)
            pair = map_, model
            # The latest maps, and fewer of the older ones.
            self.made = [*self.made[::2][:6], *self.made[-6:], pair]
            return pair

        @initialize(target=maps, model=dict_)
        def start(self, model: dict[Any, Any]) -> Any:
            return multiple(self.keep(Map(), {}), self.keep(Map(model), dict(model)))

        @rule(target=maps, model=dict_, how=st.integers(0, 4))
        def make(self, model: dict[Any, Any], how: int) -> Pair:
            made = [
                lambda: Map(model),
                lambda: Map(model.items()),
                lambda: Map(iter([[key, value] for key, value in model.items()])),
                lambda: Map(Map(model)),
                lambda: Map().update(model),
            ][how]()
            return self.keep(made, dict(model))

        @rule(target=maps, model=dict_, value=values)
        def fromkeys(self, model: dict[Any, Any], value: Any) -> Pair:
            return self.keep(Map.fromkeys(iter(model), value), dict.fromkeys(model, value))

        @rule(target=maps, pair=maps, key=few, value=values)
        def set(self, pair: Pair, key: Any, value: Any) -> Pair:
            map_, model = pair
            result = map_.set(key, value)
            unchanged = key in model and model[key] is value
            assert (result is map_) == unchanged
            return self.keep(result, {**model, key: value})

        @rule(target=maps, pair=maps, key=few)
        def delete(self, pair: Pair, key: Any) -> Pair:
            map_, model = pair
            expected = dict(model)
            if key not in model:
                with pytest.raises(KeyError) as raised:
                    map_.delete(key)
                assert raised.value.args[0] is key
                result = map_
            else:
                del expected[key]
                result = map_.delete(key)
            discarded = map_.discard(key)
            assert (discarded is map_) == (key not in model)
            assert discarded == result
            return self.keep(result, expected)

        @rule(target=maps, pair=maps, other=maps, model=dict_, names=no_names)
        def update(self, pair: Pair, other: Pair, model: Any, names: dict[str, Any]) -> Pair:
            expected = {**pair[1], **other[1], **model, **names}
            # Like `dict`, which keeps its keys.
            assert_is(pair[0] | other[0], pair[1] | other[1])
            assert_is(model | pair[0], model | pair[1])
            return self.keep(pair[0].update(other[0], model.items(), **names), expected)

        @rule(target=maps, pair=maps, picked=dict_)
        def intersection(self, pair: Pair, picked: dict[Any, Any]) -> Pair:
            expected = {key: value for key, value in pair[1].items() if key in picked}
            result = pair[0].intersection(iter(picked))
            assert_is(pair[0].intersection(Map(picked)), expected)
            return self.keep(result, expected)

        @rule(target=maps, pair=maps, picked=dict_)
        def difference(self, pair: Pair, picked: dict[Any, Any]) -> Pair:
            expected = {key: value for key, value in pair[1].items() if key not in picked}
            result = pair[0].difference(picked.keys())
            assert_is(pair[0].difference(Map(picked)), expected)
            return self.keep(result, expected)

        @rule(target=maps, pair=maps, picked=dict_)
        def filter(self, pair: Pair, picked: dict[Any, Any]) -> Pair:
            seen = []

            def predicate(key: Any, value: Any) -> object:
                seen.append((id(key), id(value)))
                return [] if key in picked else "kept"

            result = pair[0].filter(predicate)
            assert sorted(seen) == sorted((id(key), id(value)) for key, value in pair[1].items())
            return self.keep(result, {k: v for k, v in pair[1].items() if k not in picked})

        @rule(target=maps, pair=maps, value=values)
        def map_values(self, pair: Pair, value: Any) -> Pair:
            replaced: dict[int, Any] = {id(old): (old, value) for old in pair[1].values()}
            result = pair[0].map_values(lambda old: replaced[id(old)])
            return self.keep(result, {k: replaced[id(old)] for k, old in pair[1].items()})

        @rule(target=maps, pair=maps, other=maps)
        def apply(self, pair: Pair, other: Pair) -> Pair:
            result = pair[0].apply(pair[0].diff(other[0]))
            assert result == other[0]
            return self.keep(result, naive_apply(pair[1], other[1]))

        @rule(target=maps, pair=maps, ours=few, theirs=few, value=values)
        def merge(self, pair: Pair, ours: Any, theirs: Any, value: Any) -> Pair:
            base, model = pair
            merged = base.merge(
                base.set(ours, value), base.discard(theirs), resolve=lambda *_: MISSING
            )
            expected = {**model, ours: value}
            # If both changed a key, the resolver leaves it out, unless our value is unchanged.
            one_key = theirs is ours or theirs == ours
            if not one_key or (ours in model and (model[ours] is value or model[ours] == value)):
                expected.pop(theirs, None)
            elif ours in model:
                del expected[ours]
            return self.keep(*self.of_equal_values(merged, expected))

        @staticmethod
        def of_equal_values(map_: Map[Any, Any], model: dict[Any, Any]) -> Pair:
            """Return the pair with the objects of the map, for a pair that equals it."""
            assert map_ == model
            return map_, {key: map_[key] for key in map_}

        @rule(target=maps, pair=maps, edits=st.lists(st.tuples(few, values | st.just(MISSING))))
        def mutate(self, pair: Pair, edits: list[tuple[Any, Any]]) -> Pair:
            expected = dict(pair[1])
            with pair[0].mutate() as mutation:
                for key, value in edits:
                    if value is MISSING:
                        expected.pop(key, None)
                        mutation.discard(key)
                    else:
                        expected[key] = value
                        mutation[key] = value
            return self.keep(mutation.finish(), expected)

        @rule(target=iterators, pair=maps, which=st.sampled_from(["keys", "values", "items"]))
        def iterate(self, pair: Pair, which: str) -> Any:
            return iter(getattr(pair[0], which)()), list(getattr(pair[0], which)())

        @rule(target=iterators, iterator=consumes(iterators), steps=st.integers(1, 40))
        def advance(self, iterator: tuple[Iterator[Any], list[Any]], steps: int) -> Any:
            # Its map may have been freed after others were derived. The iterator keeps the content.
            going, rest = iterator
            for _, expected in zip(range(steps), rest, strict=False):
                found = next(going)
                assert found is expected or found == expected
            if steps > len(rest):
                assert next(going, MISSING) is MISSING
            return going, rest[steps:]

        @rule(one=maps, other=maps)
        def compare(self, one: Pair, other: Pair) -> None:
            equal = one[1] == other[1]
            assert (one[0] == other[0]) == equal
            assert (one[0] != other[0]) == (not equal)
            assert (one[0] == other[1]) == equal
            assert bool(one[0].diff(other[0])) == (not equal)

        @invariant()
        def older_maps_are_as_they_were(self) -> None:
            for map_, model in self.made:
                assert len(map_) == len(model)
                assert content(map_) == content(model)

    return Machine


def mutation_machine(cut: str) -> type[RuleBasedStateMachine]:
    """Return a state machine on mutations of new maps, and of maps that were finished."""
    few, all_keys, dict_ = keys(cut), [cut_key(payload, cut) for payload in FEW], dicts(cut)

    class Edited:
        def __init__(self, map_: Map[Any, Any], model: dict[Any, Any]) -> None:
            self.source = map_, dict(model)
            self.mutation = map_.mutate()
            self.model = dict(model)
            self.finished: Map[Any, Any] | None = None
            # Each change increments it, so that the model knows whether an iterator must raise.
            self.version = 0

        def edit(self, name: str, *arguments: Any, model: Any) -> Any:
            """Edit both, and return the result of the mutation."""
            edit = getattr(self.mutation, name)
            if self.finished is not None:
                with pytest.raises(ValueError, match="finished"):
                    edit(*arguments)
                return None
            before = content(self.model)
            expected, found = outcome(model), outcome(edit, *arguments)
            self.version += before != content(self.model)
            assert found is expected or found == expected
            return found

    class Machine(RuleBasedStateMachine):
        edited: Bundle[Edited] = Bundle("edited")
        iterators: Bundle[Any] = Bundle("iterators")

        def __init__(self) -> None:
            super().__init__()
            self.all: list[Edited] = []

        def keep(self, map_: Map[Any, Any], model: dict[Any, Any]) -> Edited:
            self.all.append(Edited(map_, model))
            return self.all[-1]

        @initialize(target=edited, model=dict_)
        def start(self, model: dict[Any, Any]) -> Any:
            map_ = Map(model)
            # Two mutations of one map share all its nodes.
            return multiple(self.keep(map_, model), self.keep(map_, model))

        @precondition(lambda self: len(self.all) < 8)
        @rule(target=edited, edited=edited)
        def mutate_again(self, edited: Edited) -> Edited:
            if edited.finished is None:
                return self.keep(*edited.source)
            return self.keep(edited.finished, edited.model)

        @rule(edited=edited, key=few, value=values, name=st.sampled_from(["set", "__setitem__"]))
        def set(self, edited: Edited, key: Any, value: Any, name: str) -> None:
            edited.edit(name, key, value, model=lambda: edited.model.__setitem__(key, value))

        @rule(edited=edited, key=few)
        def delete(self, edited: Edited, key: Any) -> None:
            edited.edit("__delitem__", key, model=lambda: edited.model.__delitem__(key))

        @rule(edited=edited, key=few)
        def discard(self, edited: Edited, key: Any) -> None:
            def discard() -> None:
                edited.model.pop(key, None)

            edited.edit("discard", key, model=discard)

        @rule(edited=edited, key=few, default=st.just(()) | st.tuples(values))
        def pop(self, edited: Edited, key: Any, default: tuple[Any, ...]) -> None:
            edited.edit("pop", key, *default, model=lambda: edited.model.pop(key, *default))

        @rule(edited=edited)
        def popitem(self, edited: Edited) -> None:
            if edited.finished is not None or not edited.model:
                with pytest.raises((KeyError, ValueError)):
                    edited.mutation.popitem()
                return
            key, value = edited.mutation.popitem()
            # `popitem` may return any item.
            assert edited.model.pop(key) is value
            edited.version += 1

        @rule(edited=edited, key=few, value=values)
        def setdefault(self, edited: Edited, key: Any, value: Any) -> None:
            edited.edit("setdefault", key, value, model=lambda: edited.model.setdefault(key, value))

        @rule(edited=edited, model=dict_, how=st.integers(0, 2))
        def update(self, edited: Edited, model: dict[Any, Any], how: int) -> None:
            source = [model, list(model.items()), Map(model)][how]
            edited.edit("update", source, model=lambda: edited.model.update(model))

        @rule(edited=edited, other=edited)
        def update_with_a_mutation(self, edited: Edited, other: Edited) -> None:
            model = other.model
            edited.edit("update", other.mutation, model=lambda: edited.model.update(model))

        @rule(edited=edited)
        def clear(self, edited: Edited) -> None:
            edited.edit("clear", model=edited.model.clear)

        @rule(edited=edited)
        def finish(self, edited: Edited) -> None:
            finished = edited.mutation.finish()
            assert edited.finished is None or finished is edited.finished
            edited.finished = finished
            assert_is(finished, edited.model, all_keys)

        @rule(target=iterators, edited=edited, which=st.sampled_from(["keys", "values", "items"]))
        def iterate(self, edited: Edited, which: str) -> Any:
            if edited.finished is not None:
                return multiple()
            rest = list(getattr(edited.mutation, which)())
            iterator = iter(getattr(edited.mutation, which)())
            # The views are those of `collections.abc`, whose iterators start at the first `next`.
            for first in iterator:
                assert first is rest[0] or first == rest[0]
                del rest[0]
                break
            return edited, iterator, rest, edited.version, {id(key) for key in edited.mutation}

        @rule(target=iterators, iterator=consumes(iterators), steps=st.integers(1, 20))
        def advance(self, iterator: Any, steps: int) -> Any:
            edited, going, rest, version, keys_then = iterator
            if edited.version == version:
                for _, expected in zip(range(steps), rest, strict=False):
                    found = next(going)
                    assert found is expected or found == expected
                return edited, going, rest[steps:], version, keys_then
            if rest and {id(key) for key in edited.model} != keys_then:
                with pytest.raises(RuntimeError, match="changed"):
                    next(going)
            return multiple()

        @invariant()
        def each_holds_what_its_model_does(self) -> None:
            for edited in self.all:
                assert content(edited.mutation) == content(edited.model)
                assert len(edited.mutation) == len(edited.model)

        def teardown(self) -> None:
            for edited in self.all:
                assert_is(edited.mutation.finish(), edited.model, all_keys)
                assert_is(*edited.source, all_keys)

    return Machine


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("machine", [map_machine, mutation_machine])
def test_random_histories_agree_with_dict(machine: Any, cut: str) -> None:
    case = machine(cut).TestCase
    case.settings = settings(
        max_examples=15,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").runTest()


def test_pickles_of_random_maps() -> None:
    for cut in CUTS:
        for size in (0, 1, 16, 17, 100):
            model = {cut_key(number, cut): [number] for number in range(size)}
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                assert pickle.loads(pickle.dumps(Map(model), protocol)) == model


def test_mutations_are_mutable_mappings() -> None:
    assert isinstance(Map().mutate(), MapMutation)
