"""Generates programs of class statements, which derive classes from classes."""

from __future__ import annotations

import sys

from hypothesis.stateful import initialize

from ctxvars.fuzz.machine import Operation, ProgramMachine, each, makers, weighted

# Choices that succeed come first, and more than once; choices that raise come last, and once. So
# about half of all statements create a class.
VALUES = [
    *["0", "Named()", "'text'", "None", "property(len)", "{cls}", "lambda self: 0", "Named()"],
    *["[]", "Base()", "Named", "classmethod(fail)", "fail", "FailsToBeNamed()"],
]
BASES = [
    *["Base", "{cls}", "Entries()", "Entries(Base)", "Entries(Named, {cls})", "Named", "{cls}"] * 2,
    *["Entries({cls}, dict)", "object", "type", "Meta", "dict", "int", "list[int]"],
    *["bool", "FailsToBeDerived", "EntriesInAList(Base)", "FailsToNameEntries()", "{value}"],
]
METACLASSES = [
    *["Meta", "type", "More", "PreparesPrinting", "Maker()", "make", "DropsCell"] * 2,
    *["type({cls})", "Other", "Strict", "GivesCellAway", "PreparesNoMapping", "PreparesAList"],
    *["FailsToPrepare", "FailsToMake", "None", "fail", "{cls}"],
]
BODIES = ["body", "body_with_parameters", "body_with_defaults", "body_that_yields"]
BODIES += ["body_that_fails", "{value}", "Base.method"]

STATEMENTS = [
    Operation("statement", head)
    for head in [
        "class C:",
        "class C({base}):",
        "class C({base}, {base}):",
        "class C({base}, {base}, {base}):",
        "class C(metaclass={metaclass}):",
        "class C({base}, metaclass={metaclass}):",
        "class C({base}, {base}, metaclass={metaclass}):",
        "class C({base}, a={value}):",
        "class C({base}, metaclass={metaclass}, a={value}, b={value}):",
        "class C(*({base}, {base}), **dict(a={value})):",
        "class C(metaclass={metaclass}, a={value}):",
    ]
]
if sys.version_info >= (3, 12):
    STATEMENTS += [
        Operation("statement", "class C[T]({base}):"),
        Operation("statement", "class C[T: int, *Ts, **P]({base}, metaclass={metaclass}):"),
    ]

GOOD = [
    Operation("member", line)
    for line in [
        "x = {value}",
        "y = {value}",
        "x = free",
        "free = {value}",
        "prepared = {value}",
        "annotated: int = {value}",
        "x = y = {value}; del x",
        "'A string that is not a docstring.'",
        "__slots__ = ('slot',)",
        "__qualname__ = 'Renamed'",
        *["def method(self): return __class__"] * 3,
        "def method(self): return super().method()",
        "def method(self): return free",
        "def __init_subclass__(cls, **rest): note('init', described((__class__, cls, rest)))",
        "def __set_name__(self, owner, name): note('set', described((__class__, owner, name)))",
        "def __mro_entries__(self, bases): return {base}, {base}",
        "def __prepare__(*arguments, **keywords): return PrintingDict(prepared={value})",
        "def __new__(cls, *arguments, **keywords): return super().__new__(cls, *arguments)",
        "def __call__(self, *arguments, **keywords): return described(arguments)",
        "note('locals', described([*locals()]))",
        "for x in {value}, {value}: note('x', described(x))",
    ]
]
BAD = [
    Operation("member", line)
    for line in [
        "also_annotated: missing",
        "refused = {value}",
        "del x",
        "missing",
        "fail()",
        "__qualname__ = {value}",
        "__classcell__ = {value}",
        "__init_subclass__ = {value}",
        "__set_name__ = {value}",
        "__prepare__ = {value}",
        "def __init_subclass__(cls, a=0): super().__init_subclass__(a=a)",
    ]
]
END = [Operation("end", "")]

USES = [
    Operation("look", "look({cls})"),
    Operation("instance", "{cls}()"),
    Operation("method", "{cls}().method()"),
    Operation("call", "{cls}('Called', (), {'x': {value}})", "cls"),
    Operation("item", "{cls}[int]"),
    Operation("subclass", "issubclass({cls}, {cls})"),
    Operation("again", "create({statement})", "cls"),
    Operation("build", "build({body}, 'Built', {base})", "cls"),
    Operation("build by a metaclass", "build({body}, 'B', {base}, metaclass={metaclass})", "cls"),
    Operation("build with keywords", "build({body}, 'B', {base}, {base}, a={value})", "cls"),
    Operation("build of any name", "build({body}, {value})"),
    Operation("build of nothing", "build({body})"),
    Operation("build without arguments", "build(metaclass={metaclass})"),
]

# A statement has a few members before it ends.
OPERATIONS = weighted(STATEMENTS, GOOD, GOOD, GOOD, BAD, END, END, USES)
DEEPEST = 3


class ClassesMachine(ProgramMachine):
    """Puts each class statement into a function, which returns the class."""

    runtime = ("runtime.py", "subjects/classes_runtime.py")
    makers = makers([])
    operations = OPERATIONS

    @initialize()
    def begin(self) -> None:
        names = self.program.names
        names["value"], names["base"] = VALUES[::-1], BASES[::-1]
        names["metaclass"], names["body"] = METACLASSES[::-1], BODIES[::-1]
        self.program.begin("cls", "Base")

    def write(self, operation: Operation, picks: int) -> None:
        """Add an operation: a member inside a class, a use anywhere."""
        program = self.program
        is_inside = len(program.bodies) > 1
        text = program.fill(operation.call, each(picks))
        if text is None:
            return
        match operation.kind:
            case "statement" if len(program.body.blocks) < DEEPEST:
                if not is_inside:
                    program.begin_function("statement")
                    program.line(program.fill("free = {value}", each(picks)) or "")
                program.begin_block(text)
            case "member" if is_inside:
                program.line(text)
            case "end" if is_inside:
                self.end()
            case "statement" | "member" | "end":
                pass
            case kind:
                # A name that is made inside a class would be one of its attributes.
                program.step(kind, text, None if is_inside else operation.makes)

    def end(self) -> None:
        """End the innermost class; run the statement after the outermost one."""
        program = self.program
        program.end_block()
        if not program.body.blocks:
            program.line("return C")
            program.step("create", f"create({program.end_function()})", "cls")

    def teardown(self) -> None:
        while len(self.program.bodies) > 1:
            self.end()
        super().teardown()
