"""The laws of `diff`, `apply`, `merge` and the operations on whole maps, against naive loops.

Each law is checked for maps that share nodes and for maps built apart, and for every way of cutting
the hashes of keys. The results must not depend on this.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctxvars import MISSING, Change, Conflict, Map, MapDiff, MergeConflict
from tests.support.map.keys import (
    CUTS,
    FEW,
    assert_is,
    content,
    cut_key,
    dicts,
    keys,
    same,
    unequal,
    values,
)

Dict = dict[Any, Any]
LIMITS = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


class Trio(NamedTuple):
    """Two changed versions of a base, as maps and as the dicts that they must equal."""

    base: Map[Any, Any]
    ours: Map[Any, Any]
    theirs: Map[Any, Any]
    models: tuple[Dict, Dict, Dict]


def edited(model: Dict, edits: Dict) -> Dict:
    """Return the model after the edits; the value `MISSING` deletes a key."""
    result = {**model, **edits}
    return {key: value for key, value in result.items() if value is not MISSING}


def derived(map_: Map[Any, Any], edits: Dict) -> Map[Any, Any]:
    for key, value in edits.items():
        map_ = map_.discard(key) if value is MISSING else map_.set(key, value)
    return map_


def trios(cut: str) -> st.SearchStrategy[Trio]:
    edits = st.dictionaries(keys(cut), values | st.just(MISSING), max_size=8)

    def make(model: Dict, ours: Dict, theirs: Dict, apart: bool) -> Trio:
        base = Map(model)
        models = model, edited(model, ours), edited(model, theirs)
        if apart:
            return Trio(base, Map(models[1]), Map(models[2]), models)
        return Trio(base, derived(base, ours), derived(base, theirs), models)

    return st.builds(make, dicts(cut), edits, edits, st.booleans())


Law = Callable[[Trio], None]
LAWS: list[Law] = []


def law(check: Law) -> Law:
    LAWS.append(check)
    return check


def naive_diff(old: Dict, new: Dict) -> tuple[Dict, Dict, Dict]:
    return (
        {key: value for key, value in new.items() if key not in old},
        {key: value for key, value in old.items() if key not in new},
        {
            key: (value, new[key])
            for key, value in old.items()
            if key in new and not same(value, new[key])
        },
    )


@law
def diff_tells_what_a_naive_loop_does(trio: Trio) -> None:
    for other in (trio.ours, trio.models[1]):
        found = trio.base.diff(other)
        added, removed, changed = naive_diff(*trio.models[:2])
        assert_is(found.added, added)
        assert_is(found.removed, removed)
        assert content(found.changed).keys() == {id(key) for key in changed}
        for key, (old, new) in changed.items():
            assert type(found.changed[key]) is tuple
            assert found.changed[key][0] is old
            assert found.changed[key][1] is new
        assert len(found) == len(added) + len(removed) + len(changed)
        assert bool(found) == bool(added or removed or changed)


@law
def a_diff_lists_its_changes(trio: Trio) -> None:
    found = trio.base.diff(trio.ours)
    changes = list(found)
    assert all(type(change) is Change for change in changes)
    assert len({change.key for change in changes}) == len(changes) == len(found)
    for key, old, new in changes:
        assert old is trio.models[0].get(key, MISSING)
        assert new is trio.models[1].get(key, MISSING)
        assert not same(old, new)


@law
def applying_a_diff_gives_the_other_map(trio: Trio) -> None:
    forth, back = trio.base.diff(trio.ours), trio.ours.diff(trio.base)
    assert trio.base.apply(forth) == trio.ours
    assert trio.ours.apply(back) == trio.base
    assert trio.base.apply(forth).apply(back) == trio.base
    # A diff can also be applied to a map that has the changes already.
    assert trio.ours.apply(forth) == trio.ours


@law
def a_diff_applies_to_any_map(trio: Trio) -> None:
    expected = dict(trio.models[2])
    for key, _, new in trio.base.diff(trio.ours):
        if new is MISSING:
            expected.pop(key, None)
        else:
            expected[key] = new
    assert trio.theirs.apply(trio.base.diff(trio.ours)) == expected


@law
def equal_maps_have_no_diff(trio: Trio) -> None:
    again = Map(trio.models[0])
    for other in (trio.base, again, trio.models[0], trio.base.mutate().finish()):
        found = trio.base.diff(other)
        assert not found
        assert len(found) == 0
        assert list(found) == []
        assert trio.base.apply(found) is trio.base
    assert bool(trio.base.diff(trio.ours)) == (trio.base != trio.ours)


@law
def diffs_compare_by_content(trio: Trio) -> None:
    found, again = trio.base.diff(trio.ours), Map(trio.models[0]).diff(Map(trio.models[1]))
    assert found == again
    assert not unequal(found, again)
    other = trio.base.diff(trio.theirs)
    assert (found == other) == (naive_diff(*trio.models[:2]) == naive_diff(*trio.models[::2]))
    assert unequal(found, other) != (found == other)


@law
def a_diff_backwards_is_the_diff_turned_round(trio: Trio) -> None:
    forth, back = trio.base.diff(trio.ours), trio.ours.diff(trio.base)
    assert forth.added == back.removed
    assert forth.removed == back.added
    # Old and new are compared by identity.
    assert {(id(old), id(new)) for old, new in forth.changed.values()} == {
        (id(old), id(new)) for new, old in back.changed.values()
    }


class Naive(NamedTuple):
    merged: Dict
    conflicts: Dict


def naive_merge(base: Dict, ours: Dict, theirs: Dict) -> Naive:
    merged: Dict = {}
    conflicts: Dict = {}
    for key in {**base, **ours, **theirs}:
        three = tuple(model.get(key, MISSING) for model in (base, ours, theirs))
        if same(three[0], three[1]):
            merged[key] = three[2]
        elif same(three[0], three[2]) or same(three[1], three[2]):
            merged[key] = three[1]
        else:
            conflicts[key] = three
    return Naive({k: v for k, v in merged.items() if v is not MISSING}, conflicts)


def assert_same_conflicts(found: Any, expected: Dict) -> None:
    """Check that there are these conflicts, once each, with the objects of the three maps."""
    found = list(found)
    assert {key for key, *_ in found} == expected.keys()
    assert len(found) == len(expected)
    for key, *three in found:
        assert list(map(id, three)) == list(map(id, expected[key]))


@law
def merging_one_change_gives_it(trio: Trio) -> None:
    base, ours, theirs, _ = trio
    assert base.merge(ours, base) == ours
    assert base.merge(base, theirs) == theirs
    assert base.merge(ours, ours) == ours
    assert base.merge(base, base) == base


@law
def merge_tells_what_a_naive_loop_does(trio: Trio) -> None:
    base, ours, theirs, models = trio
    expected = naive_merge(*models)
    if not expected.conflicts:
        assert base.merge(ours, theirs) == base.merge(theirs, ours) == expected.merged
        return
    with pytest.raises(MergeConflict) as raised:
        base.merge(ours, theirs)
    conflicts = raised.value.conflicts
    assert type(conflicts) is tuple
    assert all(type(conflict) is Conflict for conflict in conflicts)
    assert_same_conflicts(conflicts, expected.conflicts)
    with pytest.raises(MergeConflict) as raised:
        base.merge(theirs, ours)
    swapped = [(key, base, theirs, ours) for key, base, ours, theirs in raised.value.conflicts]
    assert_same_conflicts(swapped, expected.conflicts)


@law
def the_resolver_is_asked_about_conflicts_only(trio: Trio) -> None:
    base, ours, theirs, models = trio
    expected = naive_merge(*models)
    # Each result of the resolver in turn: one of the three, another value, or no value.
    for choose in range(5):
        asked: list[Any] = []

        def resolve(*conflict: Any, asked: Any = asked, choose: int = choose) -> Any:
            asked.append(conflict)
            return [*conflict[1:], "resolved", MISSING][choose]

        result = base.merge(ours, theirs, resolve=resolve)
        assert_same_conflicts(asked, expected.conflicts)
        answers = {
            key: [*three, "resolved", MISSING][choose] for key, three in expected.conflicts.items()
        }
        assert result == edited(expected.merged, answers)


@law
def a_merge_is_the_diff_applied_to_the_other(trio: Trio) -> None:
    base, ours, theirs, models = trio
    if not naive_merge(*models).conflicts:
        assert base.merge(ours, theirs) == theirs.apply(base.diff(ours))
        assert base.merge(ours, theirs) == ours.apply(base.diff(theirs))


@law
def update_is_union(trio: Trio) -> None:
    base, ours, theirs, (model, our_model, their_model) = trio
    union = {**our_model, **their_model}
    for other in (theirs, their_model, theirs.mutate()):
        assert_is(ours | other, union)
        assert_is(ours.update(other), union)
    assert_is(our_model | theirs, union)
    assert_is(ours.update(list(their_model.items())), union)
    assert_is(ours.update(base, theirs, model), our_model | model | their_model | model)
    assert (ours | theirs).keys() == our_model.keys() | their_model.keys()
    assert ((base | ours) | theirs) == (base | (ours | theirs))
    assert (ours | ours) is ours.update(ours) is ours


@law
def intersection_and_difference_part_a_map(trio: Trio) -> None:
    base, ours, _, (model, our_model, _) = trio
    kept = {key: value for key, value in model.items() if key in our_model}
    left = {key: value for key, value in model.items() if key not in our_model}
    for picked in (ours, our_model, ours.keys(), set(our_model), [*our_model, *our_model]):
        assert_is(base.intersection(picked), kept)
        assert_is(base.difference(picked), left)
    assert base.intersection(iter(ours)) | base.difference(iter(ours)) == base
    assert base.intersection(model) is base
    assert base.difference(()) is base
    assert base.difference(base) == base.intersection(()) == {}


@law
def filter_keeps_what_the_predicate_says(trio: Trio) -> None:
    base, _, theirs, (model, _, their_model) = trio
    found = base.filter(lambda key, value: key in their_model)
    assert_is(found, {key: value for key, value in model.items() if key in their_model})
    assert found == base.intersection(theirs)
    assert base.filter(lambda key, value: True) is base
    assert base.filter(lambda key, value: 0) == {}


@law
def map_values_keeps_the_keys(trio: Trio) -> None:
    model = trio.models[0]
    mapped = trio.base.map_values(lambda value: [value])
    assert {id(key) for key in mapped} == {id(key) for key in model}
    assert all(mapped[key][0] is value for key, value in model.items())
    assert trio.base.map_values(lambda value: value) is trio.base
    # The order depends on the keys only, so it stays.
    assert list(map(id, mapped)) == list(map(id, trio.base))


@law
def equality_and_hash_go_by_content(trio: Trio) -> None:
    for (one, model), (other, other_model) in itertools.product(
        zip(trio[:3], trio.models, strict=True), repeat=2
    ):
        equal = model == other_model
        assert (one == other) == (Map(model) == other) == (one == other_model) == equal
        assert (one != other) == (not equal)
        try:
            expected = hash(frozenset(model.items()))
        except TypeError:
            with pytest.raises(TypeError, match="unhashable"):
                hash(one)
        else:
            assert hash(one) == hash(Map(model)) == expected


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("check", LAWS, ids=lambda check: check.__name__)
def test_laws_hold_for_all_hashes(check: Law, cut: str) -> None:
    LIMITS(given(trios(cut))(check))()


@pytest.mark.parametrize("check", LAWS, ids=lambda check: check.__name__)
def test_laws_hold_for_larger_maps(check: Law) -> None:
    """With enough keys for three levels of branches, and changes everywhere or in one place."""
    model: Dict = {number: [number % 7] for number in range(1500)}
    base = Map(model)
    ours: Dict = {number: "ours" if number % 3 else MISSING for number in range(0, 2000, 25)}
    theirs: Dict = dict.fromkeys(range(1499, 1650), "theirs") | {5: MISSING, 2: "theirs"}
    for our_edits, their_edits in [(ours, theirs), (theirs, ours), ({}, theirs), ({1: 1}, {})]:
        models = model, edited(model, our_edits), edited(model, their_edits)
        check(Trio(base, derived(base, our_edits), derived(base, their_edits), models))
        check(Trio(base, Map(models[1]), Map(models[2]), models))


@pytest.mark.parametrize("cut", [cut for cut in CUTS if "bit" in cut])
def test_results_do_not_depend_on_hashes(cut: str) -> None:
    """A history with other hashes has equal results, except for the order."""

    def history(cut: str) -> list[set[Any]]:
        payloads = [payload for payload in FEW if payload == payload]
        key = {payload: cut_key(payload, cut) for payload in payloads}
        base = Map((key[payload], number) for number, payload in enumerate(payloads))
        ours = base.difference([key[payload] for payload in payloads[::3]]).set(key["a"], "ours")
        theirs = base.map_values(lambda value: value // 9 * 9).discard(key["b"])
        maps = [base, ours, theirs, ours | theirs, theirs | ours, ours.filter(lambda _, v: v == 4)]
        maps += [base.merge(ours, theirs, resolve=lambda _, base, ours, theirs: (ours, theirs))]
        maps += [base.diff(ours).removed, ours.diff(theirs).added, ours.diff(theirs).changed]
        return [
            {(getattr(key, "payload", key), value) for key, value in map_.items()} for map_ in maps
        ]

    assert history(cut) == history("full")


def test_merge_conflict_says_what_conflicts() -> None:
    base = Map({"host": "a", "port": 1, "gone": 0})
    ours = base.update(host="b", port=2).delete("gone")
    theirs = base.update(host="c", port=2, gone=1)
    with pytest.raises(MergeConflict) as raised:
        base.merge(ours, theirs)
    assert isinstance(raised.value, Exception)
    assert sorted(raised.value.conflicts) == [
        Conflict(key="gone", base=0, ours=MISSING, theirs=1),
        Conflict("host", "a", "b", "c"),
    ]
    assert "host" in str(raised.value)
    assert sorted(conflict.key for conflict in raised.value.conflicts) == ["gone", "host"]


def test_merge_takes_mappings_only() -> None:
    base: Map[int, int] = Map()
    for wrong in (None, 1, [], [(1, 2)], "ab", {1}, object()):
        for arguments in [(wrong, base), (base, wrong)]:
            with pytest.raises(TypeError, match="must be a mapping"):
                base.merge(*arguments)  # type: ignore[arg-type]
    assert Map({1: 1}).merge({1: 2}, {1: 1, 3: 3}) == {1: 2, 3: 3}
    assert type(Map().merge({}, {})) is Map
    with pytest.raises(TypeError):
        base.merge(base)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        base.merge(base, base, lambda *_: 1)  # type: ignore[misc]


def test_a_resolver_that_raises_ends_the_merge() -> None:
    error = KeyError("from the resolver")

    def resolve(*_: object) -> object:
        raise error

    with pytest.raises(KeyError) as raised:
        Map(a=1).merge(Map(a=2), Map(a=3), resolve=resolve)
    assert raised.value is error


def test_diff_is_of_a_mapping() -> None:
    for wrong in (1, None, [(1, 2)], "ab", {1, 2}):
        with pytest.raises(TypeError):
            Map(a=1).diff(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            Map(a=1).apply(wrong)  # type: ignore[arg-type]
    assert isinstance(Map(a=1).diff({}), MapDiff)
