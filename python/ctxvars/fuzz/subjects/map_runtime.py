"""Functions for programs that use maps. `../runtime.py` has those for all programs."""

# mypy: ignore-errors
# ruff: noqa: F821

import weakref
from functools import partial


def described(thing, within=False):
    if isinstance(thing, module.Map | module.MapMutation):
        return f"{type(thing).__name__} of {multiset(thing.items())}"
    if hasattr(thing, "changed"):
        parts = thing.added, thing.removed, thing.changed
        return f"{type(thing).__name__} of {', '.join(map(described, parts))}"
    if isinstance(thing, set):
        return f"set of {multiset(thing)}"
    if type(thing) is tuple:
        return f"({', '.join(map(described, thing))})"
    return normalised(repr(thing))


def raised(error):
    """Describe an exception without its message, in which a `dict` and a map differ.

    The key of a `KeyError` is shown.
    """
    details = error.args if isinstance(error, KeyError) else ()
    return f"raised {type(error).__name__}{described(details)}"


class Key:
    """A key that equals keys of the same number. Its hash has only this many bits: keys collide."""

    def __init__(self, number, bits):
        self.number = number
        self.hash = number % 2**bits

    def __hash__(self):
        return self.hash

    def __eq__(self, other):
        return isinstance(other, Key) and self.number == other.number

    def __repr__(self):
        return f"Key {self.number}"


class Unhashable:
    """A key whose hashing fails."""

    def __hash__(self):
        return fail()

    def __repr__(self):
        return "Unhashable"


class Incomparable:
    """A key with the hash of a number, whose comparison with the number fails."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return fail()

    def __repr__(self):
        return "Incomparable"


def entries(numbers, bits, value):
    """Return a dict that maps the keys of these numbers to the value."""
    return {Key(number, bits): value for number in numbers}


def mutated(map):
    """Return a mutation of a map, which alone keeps the map alive.

    When an edit of the mutation frees the map, the callback of a weak reference reads the mutation
    in the middle of that edit.
    """
    own = module.Map(dict(map))
    mutation = own.mutate()
    callback = partial(look_at, mutation)
    weak_references.append(weakref.ref(own, callback))
    return mutation


weak_references = []


def look_at(mutation, reference):
    items = list(mutation.items())
    if len(items) != len(mutation) or any(key not in mutation for key, _ in items):
        note("callback", f"a mutation of {len(mutation)} has {len(items)} items")


def every_other(key, value):
    """A predicate that depends only on the description of the key, equal on both sides."""
    return sum(map(ord, described(key))) % 2


def conflicts(call):
    """Return the result of a merge, or a description of its conflicts, which have no order."""
    try:
        return call()
    except Exception as error:
        if not hasattr(error, "conflicts"):
            raise
        return f"{len(error.conflicts)} conflicts: {multiset(map(tuple, error.conflicts))}"


def the_first(key, *values):
    """Resolve a conflict by the descriptions of the values, which are equal on both sides."""
    return min(values, key=described)


def observe():
    """Describe all maps and mutations."""
    things = [thing for name, thing in globals().items() if name != "module"]
    return [described(it) for it in things if isinstance(it, module.Map | module.MapMutation)]
