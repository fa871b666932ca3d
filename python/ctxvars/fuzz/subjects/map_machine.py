"""Generates programs that derive maps from maps."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from ctxvars.fuzz.machine import Operation, ProgramMachine, makers

# Equal keys have the same repr. Other tests check which of two equal keys a map keeps.
KEYS = [
    *["0", "1", "'a'", "None", "(1, 'b')", "-1", "-2", "2**61", "Key(0, {bits})", "Key(3, {bits})"],
    *["Key(7, {bits})", "Key(20, {bits})", "Key(39, {bits})", "Unhashable()", "[]"],
]
VALUES = ["0", "'x'", "None", "[]", "[0]", "float('nan')", "(1,)", "{map}"]
COLLECTIONS = [
    *["{map}", "dict({map})", "list({map}.items())", "iter({map}.items())", "{mutation}"],
    *["entries(range(5), {bits}, {value})", "entries(range(40), {bits}, {value})"],
    *["entries(range(0, 40, 3), {bits}, {value})", "entries([7], {bits}, {value})"],
    *["{}", "{'a': {value}}", "[({key}, {value})]", "[({key}, {value}), ({key}, {value})]"],
    *["[({key},)]", "[0]", "0", "[({key}, {value}), 0]", "[({key}, {value}), ([], 0)]"],
]

MAPS = [
    Operation("set", "{map}.set({key}, {value})", "map"),
    Operation("delete", "{map}.delete({key})", "map"),
    Operation("discard", "{map}.discard({key})", "map"),
    Operation("update", "{map}.update({collection})", "map"),
    Operation("update with two", "{map}.update({collection}, {collection}, a={value})", "map"),
    Operation("make", "module.Map({collection})", "map"),
    Operation("fromkeys", "module.Map.fromkeys({collection}, {value})", "map"),
    Operation("or", "{map} | {map}", "map"),
    Operation("or a dict", "{map} | dict({map})", "map"),
    Operation("dict or", "dict({map}) | {map}", "map"),
    Operation("intersection", "{map}.intersection({map})", "map"),
    Operation("intersection with keys", "{map}.intersection([{key}, {key}])", "map"),
    Operation("difference", "{map}.difference({map})", "map"),
    Operation("difference with keys", "{map}.difference([{key}, {key}])", "map"),
    Operation("filter", "{map}.filter(every_other)", "map"),
    Operation("map values", "{map}.map_values(lambda value: (value, {value}))", "map"),
    Operation("copy", "{map}.copy()", "map"),
    Operation("set in", "{map}.set_in(({key}, {key}), {value})", "map"),
    Operation("set one key in", "{map}.set_in([{key}], {map})", "map"),
    Operation("update in", "{map}.update_in([{key}, {key}], lambda value: (value,))", "map"),
    Operation("update in or default", "{map}.update_in([{key}], lambda it: (it,), {value})", "map"),
    Operation("delete in", "{map}.delete_in(({key}, {key}))", "map"),
    Operation("merge deep", "{map}.merge_deep({map}, dict({map}))", "map"),
    Operation("diff", "{map}.diff({map})", "diff"),
    Operation("diff with a dict", "{map}.diff(dict({map}))", "diff"),
    Operation("apply", "{map}.apply({diff})", "map"),
    Operation("merge", "conflicts(lambda: {map}.merge({map}, {map}))"),
    Operation("merge and resolve", "{map}.merge({map}, {map}, resolve=the_first)", "map"),
]

LOOKS = [
    Operation("look up", "{map}[{key}]"),
    Operation("get", "{map}.get({key})"),
    Operation("get or default", "{map}.get({key}, {value})"),
    Operation("get in", "{map}.get_in([{key}, {key}], {value})"),
    Operation("contains", "{key} in {map}"),
    Operation("look up what raises", "{map}[Incomparable({key})]"),
    Operation("contains what raises", "Incomparable({key}) in {map}"),
    Operation("delete what raises", "{map}.delete(Incomparable({key}))"),
    Operation("set what raises", "len({map}.set(Incomparable({key}), 0))"),
    Operation("length", "len({map})"),
    Operation("equality", "{map} == {map}"),
    Operation("equality with a dict", "{map} == dict({map})"),
    Operation("hash", "hash({map}) == hash({map})"),
    Operation("keys", "multiset({map}.keys())"),
    Operation("values", "multiset({map}.values())"),
    Operation("and of keys", "{map}.keys() & {map}.keys()"),
    Operation("or of keys", "{map}.keys() | {collection}"),
    Operation("difference of keys", "{map}.keys() - {map}.keys()"),
    Operation("symmetric difference of keys", "{map}.keys() ^ {map}.keys()"),
    Operation("subset of keys", "{map}.keys() <= {map}.keys()"),
    Operation("subset of items", "{map}.items() <= {map}.items()"),
    Operation("equality of items", "{map}.items() == {map}.items()"),
    Operation("disjoint keys", "{map}.keys().isdisjoint({map}.keys())"),
    Operation("iterate", "Iteration(iter({map}))", "iteration"),
    Operation("iterate over items", "Iteration(iter({map}.items()))", "iteration"),
    Operation("advance", "{iteration}.advance(1)"),
    Operation("advance far", "{iteration}.advance(30)"),
    Operation("observe", "observe()"),
]

MUTATIONS = [
    Operation("mutate", "{map}.mutate()", "mutation"),
    Operation("mutate what is referenced weakly", "mutated({map})", "mutation"),
    Operation("finish", "{mutation}.finish()", "map"),
    Operation("set in place", "{mutation}.__setitem__({key}, {value})"),
    Operation("delete in place", "{mutation}.__delitem__({key})"),
    Operation("discard in place", "{mutation}.discard({key})"),
    Operation("update in place", "{mutation}.update({collection})"),
    Operation("pop", "{mutation}.pop({key})"),
    Operation("pop or default", "{mutation}.pop({key}, {value})"),
    Operation("set default", "{mutation}.setdefault({key}, {value})"),
    Operation("clear", "{mutation}.clear()"),
    Operation("copy a mutation", "{mutation}.copy()", "mutation"),
    Operation("or of a mutation", "{mutation} | {map}", "mutation"),
    Operation("or in place", "{mutation}.__ior__({collection}) is None"),
    Operation("look up in a mutation", "{mutation}[{key}]"),
    Operation("contains in a mutation", "{key} in {mutation}"),
    Operation("length of a mutation", "len({mutation})"),
    Operation("equality of mutations", "{mutation} == {mutation}"),
    Operation("iterate over a mutation", "multiset({mutation}.items())"),
]


class MapMachine(ProgramMachine):
    """Derives new maps from existing ones, so that they share nodes."""

    runtime = ("runtime.py", "subjects/map_runtime.py")
    operations = MAPS + LOOKS + MUTATIONS
    makers = makers(operations)

    @initialize(
        bits=st.sampled_from([60, 4, 2, 0]), sizes=st.lists(st.integers(0, 100), max_size=3)
    )
    def begin(self, bits: int, sizes: list[int]) -> None:
        names = self.program.names
        names["key"], names["value"] = KEYS[::-1], VALUES[::-1]
        names["collection"] = COLLECTIONS[::-1]
        names["bits"] = [str(bits)]
        for size in [2, *sizes]:
            self.program.begin("map", f"module.Map(entries(range({size}), {bits}, 'first'))")
