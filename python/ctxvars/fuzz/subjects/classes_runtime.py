"""Functions for programs that create classes. `../runtime.py` has those for all programs."""

# mypy: ignore-errors
# ruff: noqa: F821

import builtins
import types


def build(*arguments, **keywords):
    """Call the function that class statements call, of the module under test."""
    function = getattr(module, "build_class", None) or module.__build_class__
    return function(*arguments, **keywords)


def create(statement):
    """Run a function that contains a class statement, with the `build_class` of the module."""
    own = getattr(module, "build_class", None) or module.__build_class__
    globals()["__builtins__"] = {**vars(builtins), "__build_class__": own}
    return types.FunctionType(statement.__code__, globals())()


def described(thing, within=False):
    if isinstance(thing, type):
        bases = ", ".join(base.__qualname__ for base in thing.__bases__)
        return f"class {thing.__qualname__}({bases}) of {type(thing).__qualname__}"
    if type(thing) in (tuple, list):
        return f"({', '.join(map(described, thing))})"
    if type(thing) is dict:
        return f"({', '.join(f'{name}: {described(value)}' for name, value in thing.items())})"
    return words(repr(thing))


def words(text):
    """Normalise a text, and remove the module name: a program runs as a module or as a script."""
    text = re.sub(r"'(__main__|program)'", "'program'", normalised(text))
    return re.sub(r"\b(__main__|program)\.", "", text)


def raised(error):
    """Describe an exception, with its notes and its cause."""
    notes = "".join(f", {note}" for note in getattr(error, "__notes__", []))
    cause = f", from {raised(error.__cause__)}" if error.__cause__ else ""
    return f"raised {type(error).__name__}: {words(str(error))}{notes}{cause}"


def contents(cls):
    """Return the namespace of a class, in order, without special names."""
    return {name: value for name, value in vars(cls).items() if not name.startswith("__")}


def look(cls):
    """Return everything about a class that its statement determines."""
    names = "__orig_bases__", "__annotations__", "__type_params__", "__doc__", "__module__"
    return [cls.__mro__, contents(cls), *(getattr(cls, name, "none") for name in names)]


class Base:
    def __init_subclass__(cls, **keywords):
        note("init subclass", described((cls, keywords)))
        super().__init_subclass__()

    def method(self):
        return "method of Base"


class FailsToBeDerived:
    def __init_subclass__(cls, **keywords):
        fail()


class Named:
    def __set_name__(self, owner, name):
        note("set name", described((owner, name, contents(owner))))

    def __repr__(self):
        return "Named"


class FailsToBeNamed:
    def __set_name__(self, owner, name):
        fail()

    def __repr__(self):
        return "FailsToBeNamed"


class Entries:
    def __init__(self, *entries):
        self.entries = entries

    def __mro_entries__(self, bases):
        note("entries", described(bases))
        return self.entries

    def __repr__(self):
        return f"Entries{described(self.entries)}"


class EntriesInAList(Entries):
    def __mro_entries__(self, bases):
        return [*self.entries]


class FailsToNameEntries(Entries):
    def __mro_entries__(self, bases):
        fail()


class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, **keywords):
        note("prepare", described((mcs, name, bases, keywords)))
        return {"prepared": 0}

    def __new__(mcs, name, bases, namespace, **keywords):
        note("new", described((mcs, name, bases, [*namespace], keywords)))
        return super().__new__(mcs, name, bases, namespace, **keywords)

    def __init__(cls, name, bases, namespace, **keywords):
        note("init", described((cls, keywords)))


class More(Meta):
    pass


class Other(type):
    pass


class Strict(type):
    def __new__(mcs, name, bases, namespace):
        return super().__new__(mcs, name, bases, namespace)


class PrintingDict(dict):
    """A namespace that prints the names that are stored in it, and refuses one name."""

    def __setitem__(self, name, value):
        note("set", name)
        if name == "refused":
            fail()
        super().__setitem__(name, value)


class PreparesPrinting(type):
    @classmethod
    def __prepare__(mcs, *arguments, **keywords):
        return PrintingDict(prepared=0)


class PreparesNoMapping(type):
    @classmethod
    def __prepare__(mcs, *arguments, **keywords):
        return 0


class PreparesAList(type):
    @classmethod
    def __prepare__(mcs, *arguments, **keywords):
        return []


class FailsToPrepare(type):
    @classmethod
    def __prepare__(mcs, *arguments, **keywords):
        fail()


class FailsToMake(type):
    def __new__(mcs, *arguments, **keywords):
        fail()


class DropsCell(type):
    def __new__(mcs, name, bases, namespace, **keywords):
        namespace.pop("__classcell__", None)
        return super().__new__(mcs, name, bases, namespace)


class GivesCellAway(type):
    def __new__(mcs, name, bases, namespace, **keywords):
        super().__new__(mcs, "First", bases, dict(namespace))
        namespace.pop("__classcell__", None)
        return super().__new__(mcs, name, bases, namespace)


class Maker:
    """A callable that is used as a metaclass, and makes a class."""

    def __prepare__(self, *arguments, **keywords):
        note("prepare", described((arguments, keywords)))
        return PrintingDict()

    def __call__(self, name, bases, namespace, **keywords):
        note("make", described((name, bases, [*namespace], keywords)))
        return type("Made", tuple(base for base in bases if isinstance(base, type)), namespace)


def make(name, bases, namespace, **keywords):
    """A function that is used as a metaclass, and does not make a class."""
    return name, bases, [*namespace], keywords


def body():
    return None


def body_with_parameters(a, b=0, *, c):
    return None


def body_with_defaults(a=0, *rest, b=1, **keywords):
    note("body", described((a, rest, b, keywords)))


def body_that_yields():
    yield


def body_that_fails():
    fail()
