"""Programs about the arguments of `__build_class__`, and about bodies of classes."""

CASES = {
    # The function itself, and its arguments.
    "no arguments": "build()",
    "one argument": "build(lambda: None)",
    "only keywords": "build(metaclass=type)",
    "func is not a function": "build(print, 'C')",
    "func is a class": "build(Base, 'C')",
    "func is a method": "build(Base().__init_subclass__, 'C')",
    "func comes before name": "build(1, 2)",
    "name is not a str": "build(lambda: None, 1)",
    "name is bytes": "build(lambda: None, b'C')",
    "name is a str of a subclass": """
        class Str(str): pass
        log(build(lambda: None, Str('C')), type(build(lambda: None, Str('C')).__name__))
    """,
    "name holds a null": "build(lambda: None, 'C\\0')",
    "keywords of a subclass of str": """
        class Str(str):
            def __hash__(self): return hash(str(self))
            def __eq__(self, other): return str(self) == other
        log(type(build(lambda: None, 'C', **{Str('metaclass'): Meta, Str('a'): 1})))
    """,
    # The body.
    "empty body": "log(vars(build(lambda: None, 'C')).keys())",
    "body that raises": """
        class C(metaclass=Meta):
            before = 1
            fail()
    """,
    "body is a generator": """
        def body(): log("runs"); yield 1
        log(build(body, 'C'), build(body, 'C', metaclass=Meta))
    """,
    "body is a coroutine": """
        async def body(): log("runs")
        import warnings
        warnings.simplefilter("ignore")
        log(build(body, 'C'))
    """,
    "body with defaults": """
        def body(a, b=2, *rest, c, d=4, **kwds): log(a, b, c, d, rest, kwds)
        body.__defaults__ = (1, 2)
        body.__kwdefaults__ = {"c": 3, "d": 4}
        log(build(body, 'C'))
    """,
    "body with parameters": """
        class Q:
            def m(self): pass
        build(Q.m, 'C')
    """,
    "body with keyword-only parameters": """
        def outer():
            def body(*, a, b): pass
            return body
        build(outer(), 'C')
    """,
    "body raises a TypeError": """
        class C:
            len(1)
    """,
    "body raises a TypeError without a traceback": """
        def body():
            log("runs")
            raise TypeError("once") from None
        build(body, 'C')
    """,
    "body sees its locals": """
        class C(metaclass=Meta):
            log(sorted(locals()))
            a = 1
            del a
            log(sorted(vars()))
    """,
    "name that is not there": """
        class C:
            missing
    """,
    "deleting what is not there": """
        class C:
            del missing
    """,
    "closure": """
        def outer(x):
            class C:
                y = x
                x = 3
                def method(self): return x, __class__
            return C
        log(outer(1).y, outer(1).x, outer(1)().method())
    """,
    "closure that is unbound": """
        def outer():
            class C:
                y = x
            x = 1
        outer()
    """,
    "nonlocal": """
        def outer():
            x = 1
            class C:
                nonlocal x
                x = 2
            return x, vars(C).keys()
        log(outer())
    """,
    "global": """
        class C:
            global made
            made = 1
        log(made, vars(C).keys())
    """,
    "nested": """
        class Outer(Base, a=1):
            class Inner(Base, b=2):
                named = Named()
        log(Outer.Inner.__qualname__)
    """,
    "docstring": """
        class C:
            "What it is for."
        log(C.__doc__, C.__module__, C.__qualname__)
    """,
    "slots": """
        class C:
            __slots__ = ("a", "b")
            __qualname__ = "D"
        log(C, C.a)
    """,
    "slots that clash": """
        class C:
            __slots__ = ("a",)
            a = 1
    """,
    "qualname that is not a str": """
        class C:
            __qualname__ = 1
    """,
    "annotations": """
        class C:
            x: int = 1
            y: "str"
            def method(self, z: x): return __class__
        log(C.__annotations__, C.method.__annotations__)
    """,
    "annotations that raise": """
        class C:
            x: fail()
        log(C.__annotations__)
    """,
    "annotations under a condition": """
        class C:
            if x := 1:
                y: int
            else:
                z: int
        log(C.__annotations__)
    """,
}
