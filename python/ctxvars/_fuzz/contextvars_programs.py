"""Programs that use context variables wherever control can go."""

from __future__ import annotations

import importlib.util
import sys

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from ctxvars._fuzz.writing import Operation, Writing, adds, each, picks

VALUES = [
    *["None", "0", "1", "'text'", "float('nan')", "[]", "Value()", "Equal()"],
    *["Value({variable})", "Value({context})", "{variable}", "{context}", "{token}"],
    *["Hostile(fail)", "Hostile(lambda: {variable}.set(0))"],
]

VARIABLES = [
    Operation("set", "{variable}.set({value})", "token"),
    Operation("get", "{variable}.get()"),
    Operation("get or default", "{variable}.get({value})"),
    Operation("reset", "{token}.var.reset({token})"),
    Operation("reset by any", "{variable}.reset({token})"),
    Operation("set many", "[it.set({value}) for it in {variables}][-1]", "token"),
    Operation("get many", "[described(it.get('unset')) for it in {variables}]"),
    Operation("reset to no token", "{variable}.reset({value})"),
    Operation("old value", "{token}.old_value"),
    Operation("variable of a token", "{token}.var"),
    Operation("equality of tokens", "{token} == {token}"),
    Operation("new variable", "module.ContextVar('late')", "variable"),
    Operation("new with default", "module.ContextVar('late', default={value})", "variable"),
    Operation("wrong name", "module.ContextVar(0)"),
    Operation("wrong arguments", "{variable}.set()"),
    Operation("write to an attribute", "setattr({variable}, 'name', 'other')"),
    Operation("new token", "module.Token()"),
    Operation("subclass", "type('Sub', (type({variable}),), {})"),
    Operation("generic", "module.ContextVar[int]"),
]

CONTEXTS = [
    Operation("copy current", "module.copy_context()", "context"),
    Operation("run", "{context}.run({function})"),
    Operation("new context", "module.Context()", "context"),
    Operation("run set", "{context}.run({variable}.set, {value})", "token"),
    Operation("run get", "{context}.run({variable}.get, 'unset')"),
    Operation("run reset", "{context}.run({token}.var.reset, {token})"),
    Operation("run in a copy", "module.copy_context().run({function})"),
    Operation("run in run", "{context}.run({context}.run, {function})"),
    Operation("run and raise", "{context}.run(fail)"),
    Operation("run no callable", "{context}.run({value})"),
    Operation("run nothing", "{context}.run()"),
    Operation("copy", "{context}.copy()", "context"),
    Operation("look up", "{context}[{variable}]"),
    Operation("get from", "{context}.get({variable})"),
    Operation("get from or default", "{context}.get({variable}, {value})"),
    Operation("contains", "{variable} in {context}"),
    Operation("look up a value", "{context}[{value}]"),
    Operation("contains a value", "{value} in {context}"),
    Operation("length", "len({context})"),
    Operation("keys", "multiset({context}.keys())"),
    Operation("values", "multiset({context}.values())"),
    Operation("items", "multiset({context}.items())"),
    Operation("equality", "equal({context}, {context})"),
    Operation("equality with a value", "equal({context}, {value})"),
    Operation("hash", "hash({context})"),
    Operation("iterate", "Iteration(iter({context}))", "iteration"),
    Operation("iterate over items", "Iteration({context}.items())", "iteration"),
    Operation("length of an iterator", "len({iteration}.iterator)"),
    Operation("advance", "{iteration}.advance(1)"),
    Operation("advance far", "{iteration}.advance(30)"),
    Operation("context with arguments", "module.Context({value})"),
    Operation("write into", "{context}.__setitem__({variable}, {value})"),
]

LOOKS = [
    Operation("observe", "observe()"),
    Operation("alive", "alive()"),
    Operation("collect", "collect()"),
]

ACTORS = [
    Operation("new generator", "{generator_function}()", "generator"),
    Operation("next", "next({generator})"),
    Operation("send", "{generator}.send({value})"),
    Operation("throw", "{generator}.throw(Boom())"),
    Operation("close", "{generator}.close()"),
    Operation("run next", "{context}.run(next, {generator})"),
    Operation("run send", "{context}.run({generator}.send, {value})"),
    Operation("run throw", "{context}.run({generator}.throw, Boom())"),
    Operation("run close", "{context}.run({generator}.close)"),
    Operation("call", "{function}()"),
    Operation("call in a thread", "in_thread({function})"),
    Operation("run in a thread", "in_thread(lambda: {context}.run({function}))"),
    Operation("reset in a thread", "in_thread(lambda: {context}.run({token}.var.reset, {token}))"),
    Operation("new thread", "Thread({function})", "actor"),
    Operation("new thread in a context", "Thread(lambda: {context}.run({function}))", "actor"),
    Operation("resume", "{actor}.resume()"),
    Operation("run resume", "{context}.run({actor}.resume)"),
    Operation("run a loop", "run_loop({coroutine})"),
    Operation("run a loop of Python tasks", "run_loop({coroutine}, python_task)"),
    Operation("run run a loop", "{context}.run(run_loop, {coroutine})"),
]
if sys.version_info >= (3, 12):
    ACTORS += [
        Operation("run a loop of eager tasks", "run_loop({coroutine}, asyncio.eager_task_factory)"),
    ]
if importlib.util.find_spec("greenlet"):
    ACTORS += [
        Operation("new greenlet", "Greenlet({function})", "actor"),
        Operation(
            "new greenlet in a context", "Greenlet(lambda: {context}.run({function}))", "actor"
        ),
    ]

# What needs a running loop.
TASKS = [
    Operation("new task", "spawn({coroutine}())", "task"),
    Operation("new task in a context", "spawn({coroutine}(), {context})", "task"),
    Operation("cancel", "{task}.cancel()"),
    Operation("call soon", "call_soon({function})"),
    Operation("call soon in a context", "call_soon({function}, {context})"),
    Operation("call later", "call_later({function})"),
    Operation("call later in a context", "call_later({function}, {context})"),
    Operation("call when done", "call_when_done({task}, {function})"),
    Operation("call when done in a context", "call_when_done({task}, {function}, {context})"),
    Operation("new future", "asyncio.get_running_loop().create_future()", "future"),
    Operation("call when set", "call_when_done({future}, {function}, {context})"),
    Operation("set future", "{future}.set_result(None)"),
    Operation("new async generator", "keep({async_generator_function}())", "async_generator"),
]
# What a coroutine can wait for.
AWAITS = [
    Operation("await", "{task}"),
    Operation("await a coroutine", "{coroutine}()"),
    Operation("gather", "asyncio.gather({coroutine}(), {coroutine}())"),
    Operation("group", "in_group({coroutine})"),
    Operation("group in a context", "in_group({coroutine}, {context})"),
    Operation("timeout", "in_time({coroutine})"),
    Operation("wait for", "asyncio.wait_for({coroutine}(), 0)"),
    Operation("shield", "asyncio.shield({task})"),
    Operation("to thread", "asyncio.to_thread({function})"),
    Operation("in executor", "asyncio.get_running_loop().run_in_executor(None, {function})"),
    Operation("anext", "anext({async_generator})"),
    Operation("asend", "{async_generator}.asend({value})"),
    Operation("athrow", "{async_generator}.athrow(Boom())"),
    Operation("aclose", "{async_generator}.aclose()"),
]

# The kinds of functions, and how each lets others go on.
SUSPENSIONS = {
    "function": "pause()",
    "coroutine": "await asyncio.sleep(0)",
    "generator_function": "note('resumed', described((yield {value})))",
    "async_generator_function": "note('resumed', described((yield {value})))",
}
ASYNC = {"coroutine", "async_generator_function"}
DEEPEST = 4


def is_in_a_loop(machine: ContextvarsPrograms) -> bool:
    """Whether a coroutine is being written."""
    return machine.program.body.kind in ASYNC


class ContextvarsPrograms(Writing):
    """The functions in which a program does something are written as they are needed."""

    steps = ("steps.py", "contextvars_steps.py")

    @initialize(
        defaults=st.lists(st.booleans(), min_size=1, max_size=4),
        many=st.booleans(),
        collects=st.booleans(),
        tokens_as_blocks=st.booleans(),
    )
    def begin(
        self, defaults: list[bool], many: bool, collects: bool, tokens_as_blocks: bool
    ) -> None:
        program = self.program
        # The first of them is the simplest.
        program.names["value"] = VALUES[::-1]
        for number, has_default in enumerate(defaults):
            default = ", default='default'" if has_default else ""
            program.begin("variable", f"module.ContextVar('variable_{number}'{default})")
        if many:
            program.begin("many", "[module.ContextVar(f'of many {i}') for i in range(40)]")
            program.names["variables"] = ["many_0[:5]", "many_0", "many_0[20:]"]
            program.names["variable"] += ["many_0[3]", "many_0[30]"]
        program.begin("context", "module.Context()")
        # Without functions, most that can be done would be rare.
        for kind, suspension in SUSPENSIONS.items():
            program.begin_function(kind)
            program.step("set", "variable_0.set('in a function')", "token")
            program.line(suspension.replace("{value}", "1"))
            program.step("get", "variable_0.get()")
            program.end_function()
        program.collects = collects
        # Before 3.14 the tokens of the standard library are no context managers.
        self.tokens_as_blocks = tokens_as_blocks and sys.version_info >= (3, 14)

    use_a_variable = adds(VARIABLES)
    use_a_context = adds(CONTEXTS)
    use_an_actor = adds(ACTORS)
    use_the_loop = precondition(is_in_a_loop)(adds(TASKS))
    wait = precondition(is_in_a_loop)(adds(AWAITS, awaits=True))

    @rule(operation=st.sampled_from(LOOKS), picks=picks)
    def look(self, operation: Operation, picks: int) -> None:
        # A token that a block holds cannot be forgotten (see `alive`).
        if operation.kind != "alive" or not self.tokens_as_blocks:
            self.add(operation, picks)

    @rule(kind=st.sampled_from(["{context}", "{token}", "{generator}"]), picks=picks)
    def forget(self, kind: str, picks: int) -> None:
        name = self.program.fill(kind, each(picks))
        if name:
            self.program.forget(name)

    @precondition(lambda self: len(self.program.bodies) < DEEPEST)
    @rule(kind=st.sampled_from(list(SUSPENSIONS)))
    def begin_a_function(self, kind: str) -> None:
        self.program.begin_function(kind)

    @precondition(lambda self: len(self.program.bodies) > 1)
    @rule(picks=picks)
    def end(self, picks: int) -> None:
        if self.program.body.blocks:
            self.program.end_block()
        else:
            self.end_function(picks)

    def end_function(self, picks: int) -> None:
        """End the innermost function, and use it at once: it might not be used later."""
        kind = self.program.body.kind
        name = self.program.end_function()
        is_async = self.program.body.kind in ASYNC
        uses = [
            it for it in (AWAITS + TASKS if is_async else ACTORS + CONTEXTS) if kind in it.needs
        ]
        if uses:
            use, picks = picks % 32, picks // 32
            operation = uses[use % len(uses)]
            call = operation.call.replace(f"{{{kind}}}", name)
            self.add(operation._replace(call=call), picks, operation in AWAITS)

    @precondition(lambda self: len(self.program.bodies) > 1)
    @rule(kind=st.sampled_from(["suspend", "fail", "finally", "except", "with"]), picks=picks)
    def control(self, kind: str, picks: int) -> None:
        match kind:
            case "suspend":
                line = self.program.fill(SUSPENSIONS[self.program.body.kind], each(picks))
                if line:
                    self.program.line(line)
            case "fail":
                self.program.line("fail()")
            case "finally":
                self.program.begin_block("try:", "finally:")
            case "except":
                self.program.begin_block("try:", "except Exception:")
            case "with" if self.tokens_as_blocks:
                head = self.program.fill("with {variable}.set({value}):", each(picks))
                if head:
                    self.program.begin_block(head)

    def teardown(self) -> None:
        while len(self.program.bodies) > 1:
            self.end(0)
        super().teardown()
