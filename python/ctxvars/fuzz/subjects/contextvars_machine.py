"""Generates programs that use context variables, in all kinds of functions, threads and tasks."""

from __future__ import annotations

import sys

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from ctxvars.fuzz.machine import Operation, ProgramMachine, each, makers, weighted
from ctxvars.fuzz.subjects.contextvars_operations import (
    ACTORS,
    AWAITS,
    CHANGES,
    CONTEXTS,
    GENERATORS,
    LOOPS,
    NATIVES,
    TASKS,
    VALUES,
    VARIABLES,
)

# The kinds of functions, and the statement that suspends each.
SUSPENSIONS = {
    "function": "pause()",
    "coroutine": "await asyncio.sleep(0)",
    "generator_function": "note('resumed', described((yield {value})))",
    "async_generator_function": "note('resumed', described((yield {value})))",
}
ASYNC = {"coroutine", "async_generator_function"}
DEEPEST = 4

# Operations on the text of a program, not on context variables.
CONTROLS = [
    *(Operation(f"begin {kind}", "") for kind in SUSPENSIONS),
    *[Operation("end", "")] * 5,
    *(Operation(f"forget {kind}", "") for kind in ("context", "token", "generator")),
    *[Operation("suspend", "")] * 3,
    *(Operation(kind, "") for kind in ("fail", "finally", "except", "with")),
]

# A program uses variables, contexts and one of these themes, so that related operations often
# occur together.
THEMES = {
    "variables": [],
    "natives": [NATIVES, NATIVES],
    "generators": [GENERATORS, GENERATORS],
    "actors": [ACTORS, ACTORS, GENERATORS],
    "tasks": [TASKS, AWAITS, AWAITS],
    "all": [NATIVES, GENERATORS, ACTORS, LOOPS, TASKS, AWAITS],
}


class ContextvarsMachine(ProgramMachine):
    """Adds functions to a program as its operations need them."""

    runtime = ("runtime.py", "subjects/contextvars_runtime.py")
    makers = makers(CHANGES + VARIABLES + CONTEXTS + GENERATORS + ACTORS + TASKS)

    @initialize(
        defaults=st.lists(st.booleans(), min_size=1, max_size=4),
        many=st.booleans(),
        theme=st.sampled_from(list(THEMES)),
        collects=st.sampled_from([False, False, False, True]),
        fails_after=st.sampled_from([0, 0, 0, 0, 4, 7, 12, 20]),
        keeps_tokens=st.booleans(),
    )
    def begin(
        self,
        defaults: list[bool],
        many: bool,
        theme: str,
        collects: bool,
        fails_after: int,
        keeps_tokens: bool,
    ) -> None:
        program = self.program
        # A token of ctxvars keeps the values of all variables alive, a token of the standard
        # library one value. So a program that keeps tokens does not print which values are alive.
        self.keeps_tokens = keeps_tokens
        values = [it for it in VALUES if keeps_tokens or it != "{token}"]
        # `Program.fill` counts from the end, so hypothesis shrinks to the last, simplest value.
        program.names["value"] = values[::-1]
        for number, has_default in enumerate(defaults):
            default = ", default='default'" if has_default else ""
            program.begin("variable", f"module.ContextVar('variable_{number}'{default})")
        if many:
            program.begin("many", "[module.ContextVar(f'of many {i}') for i in range(40)]")
            program.names["variables"] = ["many_0[:5]", "many_0", "many_0[20:]"]
            program.names["variable"] += ["many_0[3]", "many_0[30]"]
        program.begin("context", "module.Context()")
        # Most operations need a function: without one from the start they would be rare.
        for kind, suspension in SUSPENSIONS.items():
            program.begin_function(kind)
            program.step("set", "variable_0.set('in a function')")
            program.line(suspension.replace("{value}", "1"))
            program.step("get", "variable_0.get()")
            program.end_function()
        if collects:
            program.after_all = ["collect()"]
        if fails_after:
            program.after_inner = [f"fail_at_times({fails_after})"]
        # Before 3.14, a token of the standard library is not a context manager.
        self.tokens_as_blocks = keeps_tokens and sys.version_info >= (3, 14)
        self.operations = weighted(CHANGES, VARIABLES, CONTEXTS, CONTROLS, *THEMES[theme])

    def write(self, operation: Operation, picks: int) -> None:
        if operation in CONTROLS:
            self.control(operation.kind, picks)
        elif operation.kind.startswith("alive"):
            self.forget(operation)
        else:
            if not self.is_possible(operation):
                self.begin_function("coroutine")
            if self.is_possible(operation):
                self.add(operation, picks)

    def is_possible(self, operation: Operation) -> bool:
        """Whether the operation is possible at this place of the program."""
        if operation in AWAITS:
            return self.can_wait()
        return operation not in TASKS or self.is_in_a_loop()

    def is_in_a_loop(self) -> bool:
        """Whether the open function is a coroutine, or nested in one."""
        return any(body.kind in ASYNC for body in self.program.bodies)

    def can_wait(self) -> bool:
        return self.program.body.kind in ASYNC

    def forget(self, operation: Operation) -> None:
        """Add a step that drops all tokens, or tokens and contexts."""
        if not self.keeps_tokens:
            self.add(operation, 0)
            for kind in ("token", "context"):
                if kind.title() in operation.call:
                    self.program.names[kind].clear()

    def begin_function(self, kind: str) -> None:
        if len(self.program.bodies) < DEEPEST:
            self.program.begin_function(kind)

    def control(self, kind: str, picks: int) -> None:
        """Add an operation on functions, blocks or names, which is not a call."""
        program = self.program
        match kind.split():
            case ["begin", function]:
                self.begin_function(function)
            case ["end"] if program.body.blocks:
                program.end_block()
            case ["end"] if len(program.bodies) > 1:
                self.end_function(picks)
            case ["forget", thing]:
                if name := program.fill(f"{{{thing}}}", each(picks)):
                    program.forget(thing, name)
            case _ if len(program.bodies) == 1 or len(program.body.blocks) == DEEPEST:
                pass
            case ["suspend"]:
                if line := program.fill(SUSPENSIONS[program.body.kind], each(picks)):
                    program.line(line)
            case ["fail"]:
                program.line("fail()")
            case ["finally"]:
                program.begin_block("try:", "finally:")
            case ["except"]:
                program.begin_block("try:", "except Exception:")
            case ["with"] if self.tokens_as_blocks:
                if head := program.fill("with {variable}.set({value}):", each(picks)):
                    program.begin_block(head)

    def end_function(self, picks: int) -> None:
        """End the innermost function, and use it at once: it might not be used later."""
        kind = self.program.body.kind
        made = self.use(kind, self.program.end_function(), picks)
        # A use may only make another object: a new generator has not run anything yet.
        if made:
            self.use(*made, picks // 16)

    def use(self, kind: str, name: str, picks: int) -> tuple[str, str] | None:
        """Add an operation that uses a thing; return the kind and name of its result, if any."""
        if self.can_wait():
            operations = AWAITS + TASKS + GENERATORS
        elif self.is_in_a_loop():
            operations = TASKS + ACTORS + GENERATORS + CONTEXTS
        else:
            operations = LOOPS + ACTORS + GENERATORS + CONTEXTS
        uses = [it for it in operations if kind in it.needs]
        if not uses:
            return None
        use = uses[picks % 16 % len(uses)]
        made = self.program.names[use.makes or ""]
        before = len(made)
        self.add(use._replace(call=use.call.replace(f"{{{kind}}}", name)), picks // 16)
        return (use.makes, made[-1]) if use.makes and len(made) > before else None

    def teardown(self) -> None:
        while len(self.program.bodies) > 1:
            self.control("end", 0)
        super().teardown()
