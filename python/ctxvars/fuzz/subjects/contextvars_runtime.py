"""Functions for programs that use context variables. `../runtime.py` has those for all programs.

Exactly one thread runs at any time, and the program decides which one runs next.
"""

# mypy: ignore-errors
# ruff: noqa: F821, RUF012

import asyncio
import contextvars
import gc
import selectors
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import count


def described(thing, within=False):
    if isinstance(thing, module.Context):
        # A context may contain itself: its items are not described twice.
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
    """A value that equals only itself. Living values are counted; each can refer to an object."""

    numbers = count(1)
    living = weakref.WeakValueDictionary()

    def __init__(self, refers_to=None):
        self.number = next(self.numbers)
        self.refers_to = refers_to
        self.living[self.number] = self

    def __repr__(self):
        return f"{type(self).__name__} {self.number}"


class Equal(Value):
    """A value that equals all others of this class."""

    def __eq__(self, other):
        return isinstance(other, Equal)

    __hash__ = None


class Hostile(Value):
    """A value whose comparison calls `refers_to`, a function."""

    def __eq__(self, other):
        self.refers_to()
        return True

    __hash__ = None


def observe():
    """Describe the variables, contexts and tokens, as seen by the current code."""
    things = [thing for name, thing in globals().items() if name != "module"]
    return (
        [described(it.get("unset")) for it in things if isinstance(it, module.ContextVar)],
        [described(it) for it in things if isinstance(it, module.Context)],
        [described(it) for it in things if isinstance(it, module.Token)],
    )


contexts = []


def known(context):
    """Add a context to those that `alive` checks.

    A task refers to the native context that carries a context of ctxvars, not to the context of
    ctxvars itself. So both are watched.
    """
    contexts.append((weakref.ref(context), weakref.ref(native_of(context))))
    return context


def alive(kinds):
    """Drop the objects of these types; return which values and contexts survive a collection.

    The types always include tokens: how long a token keeps a value alive is not specified.
    """
    forgotten = [name for name, thing in globals().items() if isinstance(thing, kinds)]
    globals().update(dict.fromkeys(forgotten))
    gc.collect()
    living = [any(it() is not None for it in references) for references in contexts]
    return sorted(map(repr, Value.living.values())), living


def changed(context, variable, value):
    """Return a copy of the context in which the variable has this value."""
    copy = context.copy()
    copy.run(variable.set, value)
    return copy


def is_hostile(pair):
    return any(isinstance(value, Hostile) for value in pair)


def equal(one, other):
    """Compare contexts, unless the result depends on the order of their variables.

    A hostile value acts when it is compared. The order of comparisons is not specified: some
    implementations may find a difference, and stop, before they reach the hostile value.
    """
    if isinstance(one, module.Context) and isinstance(other, module.Context):
        pairs = [(one[it], other.get(it, it)) for it in one]
        pairs = [pair for pair in pairs if pair[0] is not pair[1]]
        hostile = sum(map(is_hostile, pairs))
        differ = any(a != b for a, b in pairs if not is_hostile((a, b)))
        if hostile > 1 or (hostile and differ):
            return "depends on the order"
    return one == other


def equal_with(context, variable, value, other):
    """Compare two copies of the context, in which the variable has different values."""
    return equal(changed(context, variable, value), changed(context, variable, other))


def native_of(context):
    return getattr(context, "native", context)


def facade(native):
    """Return the context of the module that a native context carries."""
    return module.Context.wrap(native) if hasattr(module.Context, "wrap") else native


others = [contextvars.ContextVar(f"other {number}") for number in range(900)]


def among(number, function):
    """Call a function while other native variables are set, which lie beside the values."""
    tokens = [other.set(None) for other in others[:number]]
    try:
        return function()
    finally:
        for other, token in zip(others, tokens, strict=False):
            other.reset(token)


held = []


def hold(context):
    """Keep what a context consists of, as the garbage collector shows it, and an iterator."""
    found = [native_of(context)]
    for thing in found:
        for part in gc.get_referents(thing):
            if type(part).__name__.startswith(("hamt", "BindingsCell")):
                found.append(part)
    held.append((found[1:], context.items()))


def release():
    """Drop what has been held; return the items that the iterators yield."""
    items = [multiset(items) for _, items in held]
    held.clear()
    return items


def copies_that_die(variable, value, number=1):
    for _ in range(number):
        module.copy_context().run(variable.set, value)


actors = []
active = []


def pause():
    """Switch back to the code that resumed the current thread or greenlet, if there is any."""
    if active and active[-1].thread is threading.current_thread():
        active[-1].pause()


def finish():
    """Resume all threads and greenlets until they end."""
    for actor in actors:
        while not actor.ended and actor.is_within_reach():
            actor.resume()


class Actor:
    """Runs a function step by step: each `resume` runs it up to its next `pause`."""

    def __init__(self, function):
        self.function = function
        self.ended = False
        self.abandoned = False
        actors.append(self)

    def __repr__(self):
        return type(self).__name__

    def is_within_reach(self):
        return True

    def abandon(self):
        """Called if the program ends before the function: `finish` is not called or not reached."""

    def resume(self):
        if self.ended or self in active or not self.is_within_reach():
            raise RuntimeError("it has ended, or is active, or out of reach")
        active.append(self)
        self.switch_to()

    def run(self):
        step("in an actor", self.function)
        self.ended = True
        active.remove(self)


class Thread(Actor):
    def __init__(self, function):
        super().__init__(function)
        self.turn, self.turn_of_others = threading.Semaphore(0), threading.Semaphore(0)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        self.wait_for(self.turn)
        self.run()
        self.turn_of_others.release()

    def switch_to(self):
        self.turn.release()
        self.wait_for(self.turn_of_others)

    def pause(self):
        active.remove(self)
        self.turn_of_others.release()
        self.wait_for(self.turn)

    def wait_for(self, turn):
        turn.acquire()
        if self.abandoned:
            raise SystemExit

    def abandon(self):
        """End the thread, unless it waits for something else than its turn."""
        self.abandoned = True
        for _ in range(100):
            self.turn.release()
            self.turn_of_others.release()
            self.thread.join(0.01)
            if not self.thread.is_alive():
                break


class Greenlet(Actor):
    def __init__(self, function):
        super().__init__(function)
        from greenlet import greenlet

        self.thread = threading.current_thread()
        self.greenlet = greenlet(self.run)

    def is_within_reach(self):
        return self.thread is threading.current_thread()

    def switch_to(self):
        from greenlet import getcurrent

        self.greenlet.parent = getcurrent()
        self.greenlet.switch()

    def pause(self):
        active.remove(self)
        self.greenlet.parent.switch()


def in_thread(call):
    """Make a call in a new thread, and wait for it."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(call).result()


# Tasks.


class ExecutorThatWaits(ThreadPoolExecutor):
    """An executor whose `submit` waits for the end of the call."""

    def submit(self, *arguments, **keywords):
        future = super().submit(*arguments, **keywords)
        future.exception()
        return future

    def shutdown(self, wait=True):
        super().shutdown(wait=True)


class SelectorThatNeverWaits(selectors.DefaultSelector):
    """A selector that raises when the loop would wait forever.

    asyncio silently drops a task that cannot run because its context is entered already.
    """

    def select(self, timeout=None):
        events = super().select(timeout or 0)
        if timeout is None and not events:
            raise RuntimeError("the loop waits forever")
        return events


class Loop(asyncio.SelectorEventLoop):
    """A loop with lists of its tasks and async generators, which `run_loop` ends in order."""

    def __init__(self):
        super().__init__(SelectorThatNeverWaits())
        self.tasks = []
        self.async_generators = []


def python_task(loop, coroutine, **keywords):
    return asyncio.tasks._PyTask(coroutine, loop=loop, **keywords)


def eager_python_task(loop, coroutine, **keywords):
    return python_task(loop, coroutine, eager_start=True, **keywords)


def run_loop(function, factory=None):
    """Run a coroutine function on a new loop; then cancel the tasks that are still running."""

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
    """Await the result of a call, and print the result or the exception."""
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


def in_context(context):
    """Return the keyword argument for asyncio, which takes native contexts only."""
    return {} if context is None else {"context": native_of(context)}


def spawn(coroutine, context=None):
    try:
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine, **in_context(context))
    except BaseException:
        coroutine.close()
        raise
    loop.tasks.append(task)
    return task


def in_context_of(task, function, *arguments):
    """Call a function in the context of a task."""
    context = task.get_context()
    if hasattr(module.Context, "wrap"):
        context = module.Context.wrap(context)
    return context.run(function, *arguments)


def keep(async_generator):
    asyncio.get_running_loop().async_generators.append(async_generator)
    return async_generator


async def advance(async_generator):
    return await anext(async_generator)


def callback(function):
    """Return a callback that ignores its arguments and calls the function."""
    return lambda *_: step("callback", function)


def call_soon(function, context=None):
    loop = asyncio.get_running_loop()
    loop.call_soon(callback(function), **in_context(context))


def call_soon_from_a_thread(function):
    loop = asyncio.get_running_loop()
    in_thread(lambda: loop.call_soon_threadsafe(callback(function)))


def call_later(function, context=None):
    loop = asyncio.get_running_loop()
    loop.call_later(0, callback(function), **in_context(context))


def call_when_done(future, function, context=None):
    future.add_done_callback(callback(function), **in_context(context))


async def in_group(*functions, context=None):
    async with asyncio.TaskGroup() as group:
        for function in functions:
            group.create_task(function(), **in_context(context))


async def in_time(function, seconds):
    async with asyncio.timeout(seconds):
        await function()
