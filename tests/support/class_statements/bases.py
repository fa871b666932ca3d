"""Programs about bases, metaclasses and namespaces of classes."""

CASES = {
    # The bases.
    "bases": "class C(Base, int, a=1): pass\nlog(C.__mro__, C.__bases__)",
    "base that is not a class": "class C(1): pass",
    "bases twice": "class C(Base, Base): pass",
    "order of bases": "class C(object, Base): pass",
    "base that cannot be subclassed": "class C(bool): pass",
    "layouts that clash": "class C(int, str): pass",
    "entries": """
        class C(Entries(int)): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "no entries": """
        class C(Entries()): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "entries among classes": """
        class C(Base, Entries(), OtherMeta, Entries(int, dict)[0] if 0 else Entries(Meta)): pass
        log(C.__bases__, C.__orig_bases__, C.__mro__)
    """,
    "entries in order": """
        class A: pass
        class B: pass
        class C(A, Entries(B, Base), Entries(), Entries(dict)): pass
        log(C.__bases__, C.__orig_bases__)
    """,
    "entries that are not a tuple": """
        class Wrong:
            def __mro_entries__(self, bases): return [int]
        class C(Wrong()): pass
    """,
    "entries of a subclass of tuple": """
        import collections
        Pair = collections.namedtuple("Pair", "a b")
        class C(Entries(), Entries(*Pair(Base, int))): pass
        log(C.__bases__)
        class Right:
            def __mro_entries__(self, bases): return Pair(Base, int)
        class C(Right()): pass
        log(C.__bases__)
    """,
    "entries that raise": """
        class Wrong:
            __mro_entries__ = fail
        class C(Entries(int), Wrong()): pass
    """,
    "entries whose attribute raises": """
        class Wrong:
            @property
            def __mro_entries__(self): raise Boom
        class C(Wrong()): pass
    """,
    "entries whose attribute is missing": """
        class Wrong:
            @property
            def __mro_entries__(self): raise AttributeError("hidden")
            def __repr__(self): return "Wrong"
        class C(Wrong()): pass
    """,
    "entries of a class are not asked for": """
        class Wrong:
            def __mro_entries__(cls, bases): fail()
        class C(Wrong): pass
        log(C.__bases__)
    """,
    "entries that are not classes": "class C(Entries(1)): pass",
    "entries that run out before the metaclass": """
        class C(Entries(Base), metaclass=fail): pass
    """,
    "orig_bases in a mapping that refuses": """
        class Refusing(dict):
            def __setitem__(self, name, value):
                if name == "__orig_bases__": fail()
                super().__setitem__(name, value)
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Refusing()
        class C(Entries(int), metaclass=Preparing): pass
    """,
    "generic": """
        import typing
        T = typing.TypeVar("T")
        class C(typing.Generic[T], list[T]): pass
        log(C.__bases__, C.__orig_bases__, C.__parameters__, C[int])
    """,
    # The metaclass.
    "metaclass": "class C(metaclass=Meta, a=1): x = 1\nlog(type(C))",
    "metaclass of a base": """
        class A(metaclass=Meta): pass
        class B(A, b=1): pass
        class C(B, metaclass=type): pass
        log(type(B), type(C))
    """,
    "metaclass more derived": """
        class More(Meta): pass
        class A(metaclass=Meta): pass
        class B(metaclass=More): pass
        class C(A, B, metaclass=type): pass
        class D(B, A): pass
        log(type(C), type(D))
    """,
    "metaclass conflict": """
        class A(metaclass=Meta): pass
        class B(metaclass=OtherMeta): pass
        class C(A, B): pass
    """,
    "metaclass conflict with a given one": """
        class A(metaclass=Meta): pass
        class C(A, metaclass=OtherMeta): pass
    """,
    "metaclass is None": "class C(metaclass=None): log('runs')",
    "metaclass is a function": """
        def make(*args, **kwds):
            log(args[:2], sorted(args[2]), kwds)
            return "made"
        class C(Base, metaclass=make, a=1):
            def method(self): return __class__
        log(C)
    """,
    "metaclass is an instance with prepare": """
        class Maker:
            def __prepare__(self, *args, **kwds):
                log("prepare", args, kwds)
                return {"a": 1}
            def __call__(self, *args, **kwds): return args
        class C(1, "b", metaclass=Maker(), c=2): pass
        log(C[:2], sorted(C[2]))
    """,
    "metaclass whose prepare raises": """
        class Wrong(type):
            __prepare__ = fail
        class C(metaclass=Wrong): log("runs")
    """,
    "metaclass whose prepare is missing": """
        class Maker:
            @property
            def __prepare__(self): raise AttributeError
            def __call__(self, *args): return sorted(args[2])
        class C(metaclass=Maker()): pass
        log(C)
    """,
    "metaclass whose prepare is hidden": """
        class Maker:
            @property
            def __prepare__(self): fail()
        class C(metaclass=Maker()): pass
    """,
    "metaclass whose prepare is not a method": """
        class Wrong(type):
            def __prepare__(): log("called"); return {}
        class C(metaclass=Wrong): pass
    """,
    "namespace that is not a mapping": """
        class Wrong(type):
            @classmethod
            def __prepare__(mcs, *args): return 1
        class C(metaclass=Wrong): log("runs")
    """,
    "namespace of an instance that is not a mapping": """
        class Wrong:
            def __prepare__(self, *args): return {1}
        class C(metaclass=Wrong()): pass
    """,
    "namespace with keywords that prepare does not take": """
        class Strict(type):
            @classmethod
            def __prepare__(mcs, name, bases): return {}
        class C(metaclass=Strict, a=1): pass
    """,
    "namespace of another type": """
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Mapping(given=1)
            def __new__(mcs, name, bases, namespace):
                log(type(namespace), list(namespace.keys()))
                return super().__new__(mcs, name, bases, dict(namespace.items))
        class C(Entries(Base), metaclass=Preparing):
            x = given
            y = len
            del x
        log(C.__orig_bases__)
    """,
    "namespace that type does not take": """
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Mapping()
        class C(metaclass=Preparing): pass
    """,
    "namespace that raises": """
        class Raising(dict):
            def __setitem__(self, name, value):
                log(name)
                if name == "x": fail()
        class Preparing(type):
            @classmethod
            def __prepare__(mcs, *args): return Raising(__name__="m")
        class C(metaclass=Preparing):
            x = 1
    """,
    "metaclass that raises in new": """
        class Wrong(type):
            def __new__(mcs, *args): fail()
        class C(metaclass=Wrong): pass
    """,
    "metaclass that raises in init": """
        class Wrong(type):
            def __init__(cls, *args): fail()
        class C(metaclass=Wrong): pass
    """,
    "metaclass that makes no class": """
        class Odd(type):
            def __new__(mcs, name, bases, namespace): return name
        class C(metaclass=Odd):
            def method(self): return __class__
        log(C)
    """,
    "keywords that are not taken": "class C(a=1): pass",
    "keywords that the metaclass does not take": """
        class Strict(type):
            def __new__(mcs, name, bases, namespace): return super().__new__(mcs, name, bases, {})
        class C(metaclass=Strict, a=1): pass
    """,
}
