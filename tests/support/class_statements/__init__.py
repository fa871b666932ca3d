"""Programs with class statements, by name; `build_class` must run them as the interpreter does."""

from . import bases, bodies, creation

# Names that each program can use, in addition to `log` and `build`.
PRELUDE = """
class Boom(Exception):
    pass

def fail(*args, **kwds):
    raise Boom("on purpose")

class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases, **kwds):
        log("prepare", mcs, name, bases, kwds)
        return {"prepared": True}

    def __new__(mcs, name, bases, namespace, **kwds):
        log("new", mcs, name, bases, list(namespace), kwds)
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name, bases, namespace, **kwds):
        log("init", cls, kwds)

class OtherMeta(type):
    pass

class Entries:
    def __init__(self, *entries):
        self.entries = entries

    def __mro_entries__(self, bases):
        log("entries", bases)
        return self.entries

    def __repr__(self):
        return f"Entries{self.entries}"

class Named:
    def __set_name__(self, owner, name):
        log("set_name", owner, name, sorted(vars(owner)))

class Base:
    def __init_subclass__(cls, **kwds):
        log("init_subclass", cls, kwds)
        super().__init_subclass__()

class Mapping:
    def __init__(self, **items):
        self.items = items

    def __getitem__(self, name):
        log("get", name)
        return self.items[name]

    def __setitem__(self, name, value):
        log("set", name)
        self.items[name] = value

    def __delitem__(self, name):
        log("delete", name)
        del self.items[name]

    def keys(self):
        return self.items.keys()
"""

CASES = {**bodies.CASES, **bases.CASES, **creation.CASES}
