"""The operations of programs that use context variables, grouped by the place they can stand at."""

from __future__ import annotations

import importlib.util
import sys

from ctxvars.fuzz.machine import Operation

VALUES = [
    *["None", "0", "1", "'text'", "float('nan')", "[]", "Value()", "Equal()"],
    *["False", "0.0", "10**30", "([],)"],
    *["Value({variable})", "Value({context})", "{variable}", "{context}", "{token}"],
    *["Hostile(fail)", "Hostile(lambda: {variable}.set(0))"],
]

# The core of PEP 567: values are set, reset and compared, in the current context and in others.
CHANGES = [
    Operation("set", "{variable}.set({value})", "token"),
    Operation("reset", "{token}.var.reset({token})"),
    Operation("reset by any", "{variable}.reset({token})"),
    Operation("run set", "{context}.run({variable}.set, {value})", "token"),
    Operation("run reset", "{context}.run({token}.var.reset, {token})"),
    Operation("copy current", "known(module.copy_context())", "context"),
    Operation("copy", "known({context}.copy())", "context"),
    Operation("old value", "{token}.old_value"),
    Operation("equality", "equal({context}, {context})"),
    Operation("equality if changed", "equal({context}, changed({context}, {variable}, {value}))"),
    Operation("equality of copies", "equal_with({context}, {variable}, {value}, {value})"),
    Operation("observe", "observe()"),
]

VARIABLES = [
    Operation("get", "{variable}.get()"),
    Operation("get or default", "{variable}.get({value})"),
    Operation("set many", "[it.set({value}) for it in {variables}][-1]", "token"),
    Operation("get many", "[described(it.get('unset')) for it in {variables}]"),
    Operation("variable of a token", "{token}.var"),
    Operation("equality of tokens", "{token} == {token}"),
    Operation("reset to no token", "{variable}.reset({value})"),
    Operation("new variable", "module.ContextVar('late')", "variable"),
    Operation("new with default", "module.ContextVar('late', default={value})", "variable"),
    Operation("wrong name", "module.ContextVar(0)"),
    Operation("wrong arguments", "{variable}.set()"),
    Operation("write to an attribute", "setattr({variable}, 'name', 'other')"),
    Operation("new token", "module.Token()"),
    Operation("subclass", "type('Sub', (type({variable}),), {})"),
    Operation("generic", "module.ContextVar[int]"),
    Operation("alive", "alive(module.Token)"),
    Operation("alive without contexts", "alive((module.Token, module.Context))"),
    Operation("collect", "collect()"),
]

CONTEXTS = [
    Operation("run", "{context}.run({function})"),
    Operation("new context", "known(module.Context())", "context"),
    Operation("run get", "{context}.run({variable}.get, 'unset')"),
    Operation("run in a copy", "module.copy_context().run({function})"),
    Operation("run in run", "{context}.run({context}.run, {function})"),
    Operation("run and raise", "{context}.run(fail)"),
    Operation("run no callable", "{context}.run({value})"),
    Operation("run nothing", "{context}.run()"),
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

# The native contexts that carry the values: their copies and parts, and other native variables.
NATIVES = [
    Operation("copy natively", "known(facade(native_of({context}).copy()))", "context"),
    Operation("copy current natively", "known(facade(contextvars.copy_context()))", "context"),
    Operation("run natively", "native_of({context}).run({function})"),
    Operation("run set natively", "native_of({context}).run({variable}.set, {value})", "token"),
    Operation("set among others", "among(30, lambda: {variable}.set({value}))", "token"),
    Operation("set among many", "among(900, lambda: {variable}.set({value}))", "token"),
    Operation("get among others", "among(30, lambda: {variable}.get('unset'))"),
    Operation("reset among others", "among(30, lambda: {token}.var.reset({token}))"),
    Operation("hold", "hold({context})"),
    Operation("hold current", "hold(module.copy_context())"),
    Operation("release", "release()"),
    Operation("copies that die", "copies_that_die({variable}, {value})"),
    Operation("many copies that die", "copies_that_die({variable}, {value}, 20)"),
]

GENERATORS = [
    Operation("new generator", "{generator_function}()", "generator"),
    Operation("next", "next({generator})"),
    Operation("send", "{generator}.send({value})"),
    Operation("throw", "{generator}.throw(Boom())"),
    Operation("close", "{generator}.close()"),
    Operation("run next", "{context}.run(next, {generator})"),
    Operation("run send", "{context}.run({generator}.send, {value})"),
    Operation("run throw", "{context}.run({generator}.throw, Boom())"),
    Operation("run close", "{context}.run({generator}.close)"),
]

# Threads and greenlets, which run step by step, and calls on another thread.
ACTORS = [
    Operation("new thread", "Thread({function})", "actor"),
    Operation("new thread in a context", "Thread(lambda: {context}.run({function}))", "actor"),
    Operation("resume", "{actor}.resume()"),
    Operation("run resume", "{context}.run({actor}.resume)"),
    Operation("call", "{function}()"),
    Operation("call in a thread", "in_thread({function})"),
    Operation("run in a thread", "in_thread(lambda: {context}.run({function}))"),
    Operation("next in a thread", "in_thread(lambda: next({generator}))"),
    Operation("reset in a thread", "in_thread(lambda: {context}.run({token}.var.reset, {token}))"),
]
if importlib.util.find_spec("greenlet"):
    in_a_context = "Greenlet(lambda: {context}.run({function}))"
    ACTORS += [
        Operation("new greenlet", "Greenlet({function})", "actor"),
        Operation("new greenlet in a context", in_a_context, "actor"),
    ]

LOOPS = [
    Operation("run a loop", "run_loop({coroutine})"),
    Operation("run a loop of Python tasks", "run_loop({coroutine}, python_task)"),
    Operation("run run a loop", "{context}.run(run_loop, {coroutine})"),
]
if sys.version_info >= (3, 12):
    LOOPS += [
        Operation("run a loop of eager tasks", "run_loop({coroutine}, asyncio.eager_task_factory)"),
        Operation("run a loop of eager Python tasks", "run_loop({coroutine}, eager_python_task)"),
    ]

# Operations that need a running loop.
TASKS = [
    Operation("new task", "spawn({coroutine}())", "task"),
    Operation("new task in a context", "spawn({coroutine}(), {context})", "task"),
    Operation("cancel", "{task}.cancel()"),
    Operation("cancel oneself", "asyncio.current_task().cancel()"),
    Operation("call soon", "call_soon({function})"),
    Operation("call soon in a context", "call_soon({function}, {context})"),
    Operation("call soon from a thread", "call_soon_from_a_thread({function})"),
    Operation("call later", "call_later({function})"),
    Operation("call later in a context", "call_later({function}, {context})"),
    Operation("call when done", "call_when_done({task}, {function})"),
    Operation("call when done in a context", "call_when_done({task}, {function}, {context})"),
    Operation("new future", "asyncio.get_running_loop().create_future()", "future"),
    Operation("call when set", "call_when_done({future}, {function}, {context})"),
    Operation("set future", "{future}.set_result(None)"),
    Operation("new async generator", "keep({async_generator_function}())", "async_generator"),
]
if sys.version_info >= (3, 12):
    TASKS += [
        Operation("run in a task's", "in_context_of({task}, {function})"),
    ]

# Awaits, possible only in a coroutine or an async generator.
AWAITS = [
    it._replace(awaits=True)
    for it in [
        Operation("await", "{task}"),
        Operation("await a coroutine", "{coroutine}()"),
        Operation("gather", "asyncio.gather({coroutine}(), {coroutine}())"),
        Operation("group", "in_group({coroutine})"),
        Operation("group of two", "in_group({coroutine}, {coroutine})"),
        Operation("group in a context", "in_group({coroutine}, context={context})"),
        Operation("timeout", "in_time({coroutine}, 0)"),
        Operation("timeout never", "in_time({coroutine}, None)"),
        Operation("wait for", "asyncio.wait_for({coroutine}(), 0)"),
        Operation("wait for a future", "asyncio.wait_for({future}, 0)"),
        Operation("shield", "asyncio.shield({task})"),
        Operation("to thread", "asyncio.to_thread({function})"),
        Operation("in executor", "asyncio.get_running_loop().run_in_executor(None, {function})"),
        Operation("anext", "anext({async_generator})"),
        Operation("anext in a task", "spawn(advance({async_generator}), {context})"),
        Operation("asend", "{async_generator}.asend({value})"),
        Operation("athrow", "{async_generator}.athrow(Boom())"),
        Operation("aclose", "{async_generator}.aclose()"),
    ]
]
