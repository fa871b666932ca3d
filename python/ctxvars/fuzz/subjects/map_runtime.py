"""Functions for programs that use maps; see `../runtime.py` for those of all programs."""

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
    """The messages of a dict are those of a dict, but a key is a key."""
    details = error.args if isinstance(error, KeyError) else ()
    return f"raised {type(error).__name__}{described(details)}"


class Key:
    """Equals keys of the same number, and hashes to few of its bits."""

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
    """Raises when it is hashed."""

    def __hash__(self):
        return fail()

    def __repr__(self):
        return "Unhashable"


class Incomparable:
    """Has the hash of a number, and raises when it is compared with it."""

    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return hash(self.number)

    def __eq__(self, other):
        return fail()

    def __repr__(self):
        return "Incomparable"


def entries(numbers, bits, value):
    """The same value for keys of these numbers."""
    return {Key(number, bits): value for number in numbers}


def mutated(map):
    """A mutation of a map that is then referenced weakly only.

    When the map goes, whichever edit that is in, the mutation can be used.
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
    """A predicate, on what two implementations say alike of a key."""
    return sum(map(ord, described(key))) % 2


def conflicts(call):
    """How a merge ends that may fail: its conflicts have no order."""
    try:
        return call()
    except Exception as error:
        if not hasattr(error, "conflicts"):
            raise
        return f"{len(error.conflicts)} conflicts: {multiset(map(tuple, error.conflicts))}"


def the_first(key, *values):
    """Resolves a conflict, by what two implementations say alike of a value."""
    return min(values, key=described)


def observe():
    """All maps and mutations."""
    things = [thing for name, thing in globals().items() if name != "module"]
    return [described(it) for it in things if isinstance(it, module.Map | module.MapMutation)]
