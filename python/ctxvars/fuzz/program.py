"""A program that is being generated, statement by statement.

A program consists of functions and a main part. All its names are global, so each statement can
use every name that was assigned before it. Programs end, because no statement calls or awaits a
later one.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

# The text of a statement, what it defines, and what it needs.
Definition: TypeAlias = tuple[str, frozenset[str], frozenset[str]]
_PARSED: dict[str, list[Definition]] = {}

TITLE = "Prints the same for both modules. The argument is the name of a module."
# Separates the functions of the runtime from the statements of the program.
BEGINS = "# The program."

# How many statements a program may execute.
MOST_STEPS = 300


@dataclass
class Body:
    """A function that is being generated."""

    kind: str
    lines: list[str] = field(default_factory=list)
    assigned: set[str] = field(default_factory=set)
    # The open blocks, innermost last. For each: the head of the block that follows it, if any.
    blocks: list[str | None] = field(default_factory=list)
    # How many steps it takes to run it.
    cost: int = 1


class Program:
    """Adds statements to the innermost open function.

    A template names what it needs by kind, as in `{variable}.get()`: `fill` chooses among the
    names of that kind.
    """

    def __init__(self, runtime: tuple[str, ...]) -> None:
        self.runtime = runtime
        self.names: defaultdict[str, list[str]] = defaultdict(list)
        # How many names of a kind have been made, dropped ones included.
        self.made: Counter[str] = Counter()
        self.costs: dict[str, int] = {}
        # The lines that define each function, and each thing that exists from the start.
        self.things: dict[str, str] = {}
        self.functions: dict[str, list[str]] = {}
        self.bodies = [Body("main")]
        # Statements after each step, and after each step inside functions.
        self.after_all: list[str] = []
        self.after_inner: list[str] = []

    @property
    def body(self) -> Body:
        return self.bodies[-1]

    def new_name(self, kind: str) -> str:
        self.made[kind] += 1
        self.names[kind].append(f"{kind}_{self.made[kind] - 1}")
        return self.names[kind][-1]

    def begin(self, kind: str, definition: str) -> str:
        """Define a thing at the start of the program, if anything uses it."""
        name = self.new_name(kind)
        self.things[name] = definition
        return name

    def fill(self, template: str, picks: Iterator[int]) -> str | None:
        """Return the template with a name in each place; `None` if there is no name of a kind."""
        while place := re.search(r"\{(\w+)\}", template):
            choice = self.names[place[1]]
            if not choice:
                return None
            # Counted from the latest, so that a choice does not depend on earlier names.
            name = choice[-1 - next(picks) % len(choice)]
            template = template[: place.start()] + name + template[place.end() :]
        return template

    def line(self, text: str) -> None:
        self.body.lines.append("    " * len(self.body.blocks) + text)

    def step(self, kind: str, call: str, makes: str | None = None, awaits: bool = False) -> None:
        """Add a call, whose result gets a new name of the kind `makes`."""
        cost = 1 + sum(self.costs.get(name, 0) for name in re.findall(r"\w+", call))
        if sum(body.cost for body in self.bodies) + cost > MOST_STEPS:
            return
        self.body.cost += cost
        text = f'{"await async_" if awaits else ""}step("{kind}", lambda: {call})'
        if makes:
            name = self.new_name(makes)
            self.body.assigned.add(name)
            text = f"{name} = {text}"
        self.line(text)
        for statement in self.after_all + (self.after_inner if len(self.bodies) > 1 else []):
            self.line(statement)

    def forget(self, kind: str, name: str) -> None:
        """Drop the reference of a name, which is not chosen any more."""
        self.names[kind].remove(name)
        self.body.assigned.add(name)
        self.line(f"{name} = None")

    def begin_block(self, head: str, followed_by: str | None = None) -> None:
        self.line(head)
        self.body.blocks.append(followed_by)

    def begin_function(self, kind: str) -> None:
        self.bodies.append(Body(kind))

    def end_block(self) -> None:
        """End the innermost block, or its first part."""
        if self.body.lines[-1].endswith(":"):
            self.line("pass")
        head = self.body.blocks.pop()
        if head:
            self.begin_block(head)

    def end_function(self) -> str:
        """End the innermost function; return its name."""
        body = self.bodies.pop()
        name = self.new_name(body.kind)
        self.costs[name] = body.cost
        is_async = body.kind in ("coroutine", "async_generator_function")
        lines = [f"{'async def' if is_async else 'def'} {name}():"]
        if body.assigned:
            lines.append(f"    global {', '.join(sorted(body.assigned))}")
        lines += [f"    {line}" for line in body.lines or ["pass"]]
        if "generator" in body.kind:
            lines.append("    yield")
        self.functions[name] = lines
        self.bodies[0].assigned |= body.assigned
        return name

    def __str__(self) -> str:
        """The whole script, once all functions have ended."""
        main = "\n".join(self.body.lines)
        if self.names["actor"]:
            main += "\nfinish()"
        # Unused functions are left out: functions use only earlier ones.
        functions: list[str] = []
        for name, lines in reversed(self.functions.items()):
            if is_used(name, main, *functions):
                functions.insert(0, "\n".join(lines))
        # Functions may use names that the main part has not assigned yet.
        assigned = self.body.assigned - self.things.keys()
        early = sorted(name for name in assigned if is_used(name, *functions))
        things = [f"{name} = None" for name in early]
        for name, definition in reversed(self.things.items()):
            if is_used(name, main, *functions, *things):
                things.insert(0, f"{name} = {definition}")
        return script(self.runtime, "\n\n\n".join(["\n".join(things), *functions, main]))


def script(runtime: tuple[str, ...], statements: str) -> str:
    """Return a script: the statements, after the functions of the runtime that they call."""
    return f'"""{TITLE}"""\n\n{needed(runtime, statements)}\n\n\n{BEGINS}\n{statements}\n'


def statements_of(script: str) -> str:
    """Return the statements of a script, without the functions of the runtime."""
    return script.rpartition(BEGINS)[2].strip("\n")


def is_used(name: str, *texts: str) -> bool:
    return any(re.search(rf"\b{name}\b", text) for text in texts)


def definitions(file: str) -> list[Definition]:
    """Return the statements of a file: their text, the names they define, and those they use."""
    source = files("ctxvars.fuzz").joinpath(file).read_text()
    found = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.Expr):
            continue
        text = ast.get_source_segment(source, node) or ""
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                defined = {each.name for each in names}
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                defined = {name}
            case ast.Assign(targets=[ast.Name(name)]):
                defined = {name}
            case _:
                raise TypeError(f"a statement of a kind unknown here: {text}")
        found.append((text, frozenset(defined), frozenset(used)))
    return found


def needed(files: tuple[str, ...], program: str) -> str:
    """Return the definitions of these files that a program uses."""
    for file in files:
        if file not in _PARSED:
            _PARSED[file] = definitions(file)
    statements = [statement for file in files for statement in _PARSED[file]]
    # Some of these words are not names, which is harmless; parsing the program would take long.
    names = set(re.findall(r"\w+", program))
    before = -1
    while before < len(names):
        before = len(names)
        for _, defined, used in statements:
            if defined & names:
                names |= used
    kept = [text for text, defined, _ in statements if defined & names]
    imports = sorted({text for text in kept if text.startswith(("import ", "from "))}, reverse=True)
    rest = [text for text in kept if text not in imports]
    return "\n\n\n".join(["\n".join(imports), *rest])
