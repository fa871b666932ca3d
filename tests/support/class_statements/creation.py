"""Programs about what `type` does with a namespace, and about classes of the standard library."""

import sys

CASES = {
    # The cell of `__class__`.
    "super": """
        class A:
            def method(self): return "A"
        class B(A):
            def method(self): return super().method() + "B", __class__
        log(B().method())
    """,
    "classcell dropped": """
        class Dropping(type):
            def __new__(mcs, name, bases, namespace):
                namespace.pop("__classcell__")
                return super().__new__(mcs, name, bases, namespace)
        class C(metaclass=Dropping):
            def method(self): return __class__
    """,
    "classcell not passed on": """
        class Selecting(type):
            def __new__(mcs, name, bases, namespace):
                return super().__new__(mcs, name, bases, {})
        class C(metaclass=Selecting):
            def method(self): return __class__
    """,
    "classcell of another class": """
        class Doubling(type):
            def __new__(mcs, name, bases, namespace):
                first = super().__new__(mcs, name, bases, dict(namespace))
                namespace.pop("__classcell__", None)
                return super().__new__(mcs, "Other", bases, namespace)
        class C(metaclass=Doubling):
            def method(self): return __class__
    """,
    "classcell that is not a cell": """
        class C:
            __classcell__ = 1
    """,
    "classcell of a class that is there already": """
        class Old: pass
        class Returning(type):
            def __new__(mcs, name, bases, namespace): return Old
        class C(metaclass=Returning):
            def method(self): return __class__
    """,
    "body that returns another cell": """
        import types
        def body(): return types.CellType(int)
        build(body, "C")
    """,
    "body that returns an empty cell": """
        import types
        def body(): return types.CellType()
        build(body, "C")
    """,
    # What the metaclass calls.
    "set_name": "class C: a = Named(); b = Named()",
    "set_name raises": """
        class Wrong:
            __set_name__ = fail
        class C:
            a = Named()
            b = Wrong()
            c = Named()
    """,
    "set_name raises a RuntimeError": """
        class Wrong:
            def __set_name__(self, owner, name): raise RuntimeError("own")
        class C(Base):
            a = Wrong()
    """,
    "init_subclass": """
        class C(Base, a=1, b=2):
            named = Named()
        class D(C): pass
    """,
    "init_subclass raises": """
        class Wrong:
            __init_subclass__ = fail
        class C(Wrong): pass
    """,
    "init_subclass of the class itself": """
        class C:
            def __init_subclass__(cls): log(cls)
            def __class_getitem__(cls, item): return item
        log(C[1])
    """,
    # Of the standard library.
    "enum": """
        import enum
        class Colour(enum.IntFlag):
            RED = enum.auto()
            GREEN = enum.auto()
        log(list(Colour), Colour.RED | Colour.GREEN)
    """,
    "enum with a name twice": """
        import enum
        class Colour(enum.Enum):
            RED = 1
            RED = 2
    """,
    "named tuple": """
        import typing
        class Pair(typing.NamedTuple):
            a: int
            b: int = 2
        log(Pair(1), Pair.__orig_bases__ if hasattr(Pair, "__orig_bases__") else None)
    """,
    "typed dict": """
        import typing
        class Movie(typing.TypedDict, total=False):
            name: str
        log(Movie.__total__, Movie.__optional_keys__)
    """,
    "protocol": """
        import typing
        class Sized(typing.Protocol):
            def size(self) -> int: ...
        class C(Sized): pass
        log(C.__mro__)
        Sized()
    """,
    "dataclass": """
        import dataclasses
        @dataclasses.dataclass(slots=True)
        class C:
            a: int
            def method(self): return 1
        log(C(1))
    """,
    "abstract": """
        import abc
        class C(abc.ABC):
            @abc.abstractmethod
            def method(self): ...
        C()
    """,
}
if sys.version_info >= (3, 12):
    CASES |= {
        "type parameters": """
            class C[T: int, *Ts, **P](Base, a=1):
                def method[U](self, x: T, y: U) -> T: return __class__
            log(C.__type_params__, C.__bases__, C.__orig_bases__, C.method.__type_params__)
        """,
        "type parameters with a metaclass": """
            class A[T]:
                x: T
                type Alias = tuple[T, Inner]
                class Inner(list[T]): pass
            log(A.Alias.__value__, A.Inner.__orig_bases__)
        """,
        "type parameters and a clash": """
            import typing
            class C[T](typing.Generic[T]): pass
        """,
    }
