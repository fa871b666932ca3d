"""Prints the same whichever of the two modules it is given the name of."""

import weakref
import sys
import selectors
import re
import asyncio
from itertools import count
from importlib import import_module
from concurrent.futures import ThreadPoolExecutor


module = import_module(sys.argv[1])


def note(kind, what):
    print(kind, what, sep=": ")


def step(kind, call):
    """Make a call, and tell how it ended; what it returned, or None if it raised."""
    try:
        result = call()
    except Exception as error:
        note(kind, raised(error))
        return None
    note(kind, described(result))
    return result


def normalised(text):
    """Take out of a text what may differ."""
    text = re.sub(r"\b(_contextvars|contextvars|ctxvars)\.", "", text)
    text = re.sub(r"\bTask-\d+\b", "Task", text)
    return re.sub(r"\b0x[0-9a-f]+\b", "0x", text)


def multiset(things):
    """The order in which a map is iterated over is nobody's promise."""
    return sorted(described(it, within=True) for it in things)


def described(thing, within=False):
    if isinstance(thing, module.Context):
        # It may hold itself.
        return f"Context of {len(thing) if within else multiset(thing.items())}"
    if hasattr(thing, "add_done_callback"):
        return f"{type(thing).__name__}, {'done' if thing.done() else 'pending'}"
    if type(thing) is tuple:
        return f"({', '.join(described(it, within) for it in thing)})"
    return normalised(repr(thing))


def raised(error):
    text = f"raised {type(error).__name__}: {normalised(str(error))}"
    if error.__cause__ is not None:
        text += f", caused by {type(error.__cause__).__name__}"
    if error.__context__ is not None:
        text += f", after {type(error.__context__).__name__}"
    return text


class Value:
    """Equals itself only, is counted while it lives, and can refer to something."""

    numbers = count(1)
    living = weakref.WeakValueDictionary()

    def __init__(self, refers_to=None):
        self.number = next(self.numbers)
        self.refers_to = refers_to
        self.living[self.number] = self

    def __repr__(self):
        return f"{type(self).__name__} {self.number}"


class ExecutorThatWaits(ThreadPoolExecutor):
    """Works in a thread, but nothing else goes on meanwhile."""

    def submit(self, *arguments, **keywords):
        future = super().submit(*arguments, **keywords)
        future.exception()
        return future

    def shutdown(self, wait=True):
        super().shutdown(wait=True)


class SelectorThatNeverWaits(selectors.DefaultSelector):
    """Ends a loop in which nothing can happen any more.

    A task whose context is entered already cannot go on, and asyncio leaves it at that.
    """

    def select(self, timeout=None):
        events = super().select(timeout or 0)
        if timeout is None and not events:
            raise RuntimeError("the loop waits for ever")
        return events


class Loop(asyncio.SelectorEventLoop):
    """Knows what is left behind when it ends, to be ended in order."""

    def __init__(self):
        super().__init__(SelectorThatNeverWaits())
        self.tasks = []
        self.async_generators = []


def python_task(loop, coroutine, **keywords):
    return asyncio.tasks._PyTask(coroutine, loop=loop, **keywords)


def run_loop(function, factory=None):
    """Run a coroutine function on a loop of its own, and cancel the tasks that it leaves."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        loop.set_default_executor(ExecutorThatWaits(1))
        loop.set_exception_handler(lambda _, about: note("loop", normalised(about["message"])))
        try:
            return await function()
        finally:
            while loop.tasks:
                task = loop.tasks.pop(0)
                task.cancel()
                await asyncio.wait([task])
            while loop.async_generators:
                await async_step("aclose", loop.async_generators.pop(0).aclose)

    if asyncio._get_running_loop():
        raise RuntimeError("a loop is running")
    loop = Loop()
    try:
        return loop.run_until_complete(main())
    except asyncio.CancelledError:
        return "cancelled"
    finally:
        loop.close()


async def async_step(kind, call):
    """Await what a call returns, and tell how it ended."""
    try:
        result = await call()
    except asyncio.CancelledError:
        note(kind, "cancelled")
        if asyncio.current_task().cancelling():
            raise
        return None
    except Exception as error:
        note(kind, raised(error))
        return None
    note(kind, described(result))
    return result


# The program.
many_0 = [module.ContextVar(f'of many {i}') for i in range(40)]
context_0 = module.Context()
async def coroutine_1():
    step("get", lambda: many_0[3].get())
token_0 = step("set", lambda: many_0[3].set(Value(context_0)))
step("reset by any", lambda: many_0[3].reset(token_0))
step("run a loop of Python tasks", lambda: run_loop(coroutine_1, python_task))
