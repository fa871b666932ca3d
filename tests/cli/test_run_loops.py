"""Under `python -m ctxvars run`, loops and tasks in C take and return the contexts of the program.

Python and `run` execute each program on each loop, and it must do the same. A program that does not
end is killed, and the test fails.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.support.programs import assert_same

# `change` sets the variable, lets other tasks run, and returns the values before and after.
START = """
import asyncio, contextvars, sys
v = contextvars.ContextVar("v", default=0)
async def change(value):
    before = v.get()
    v.set(value)
    await asyncio.sleep(0)
    return before, v.get()
def context_with(value):
    context = contextvars.copy_context()
    context.run(v.set, value)
    return context
"""

RUN_ON = {
    "asyncio": "\nasyncio.run(main())",
    "asyncio, debug": "\nasyncio.run(main(), debug=True)",
    "uvloop.run": "\nimport uvloop; uvloop.run(main())",
    "uvloop before": "\nimport uvloop; uvloop.run(main())",
    "uvloop.install": (
        "\nimport uvloop, warnings; warnings.simplefilter('ignore')"
        "\nuvloop.install(); asyncio.run(main())"
    ),
    "uvloop.new_event_loop": (
        "\nimport uvloop; loop = uvloop.new_event_loop()"
        "\nloop.run_until_complete(main()); loop.close()"
    ),
    "runner on uvloop": (
        "\nimport uvloop"
        "\nwith asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:"
        "\n    context = context_with(1)"
        "\n    print(runner.run(change(2), context=context), context[v])"
        "\n    runner.run(main(), context=contextvars.Context())"
    ),
}

TASKS = """
async def main():
    loop, context = asyncio.get_running_loop(), context_with(1)
    print(await asyncio.create_task(change(2), context=context), context[v], v.get())
    print(await loop.create_task(change(3), context=context), context[v], v.get())
    print(await asyncio.Task(change(4), context=context), context[v], v.get())
    print(await asyncio.create_task(change(5), context=contextvars.Context()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change(n), context=context) for n in (6, 7)]
    print([task.result() for task in tasks], context[v])
    # What tasks have set in a context that they share is brought back, as Django does it.
    for variable in context:
        variable.set(context[variable])
    print(v.get(), await asyncio.gather(change(8), change(9)))
    print(await asyncio.wait_for(change(10), 60), v.get())
"""

CALLBACKS = """
async def main():
    loop, context, seen = asyncio.get_running_loop(), context_with(1), []
    def note(*arguments):
        seen.append(v.get())
        v.set(v.get() + 1)
    loop.call_soon(note, context=context)
    loop.call_soon_threadsafe(note, context=context)
    await asyncio.sleep(0.001)
    for call, when in (loop.call_later, 0), (loop.call_at, loop.time()):
        done = loop.create_future()
        call(when, note, context=context)
        call(when, done.set_result, None)
        await done
        await asyncio.sleep(0.001)
    done, task = loop.create_future(), loop.create_task(change(2))
    for each in done, task:
        each.add_done_callback(note, context=context)
    done.set_result(None)
    await task
    await asyncio.sleep(0)
    print(seen, context[v], v.get())
"""

FILES_AND_SIGNALS = """
async def main():
    import os, signal, socket
    loop = asyncio.get_running_loop()
    v.set(1)
    ours, theirs = socket.socketpair()
    seen = []
    def arrived(done):
        seen.append(v.get())
        v.set(5)
        done.set_result(None)
    for add, remove in (loop.add_writer, loop.remove_writer), (loop.add_reader, loop.remove_reader):
        done = loop.create_future()
        add(ours, arrived, done)
        theirs.send(b"x")
        await done
        remove(ours)
    done = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, arrived, done)
    v.set(2)
    os.kill(os.getpid(), signal.SIGUSR1)
    await done
    print(seen, v.get())
    ours.close(), theirs.close()
"""

THREADS = """
async def main():
    loop = asyncio.get_running_loop()
    v.set(1)
    print(await asyncio.to_thread(v.get))
    context = context_with(2)
    print(await loop.run_in_executor(None, context.run, v.get))
    def on_a_thread():
        future = asyncio.run_coroutine_threadsafe(change(4), loop)
        return future.result(60)
    print(await asyncio.to_thread(context.run, on_a_thread), v.get())
"""

STREAMS = """
async def main():
    v.set(1)
    async def answer(reader, writer):
        writer.write(f"{v.get()} {await reader.readline()}\\n".encode())
        writer.close()
        await writer.wait_closed()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    v.set(2)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello\\n")
    print(await reader.readline())
    writer.close()
    server.close()
    await server.wait_closed()
"""

CONTEXTS = """
async def main():
    loop, context = asyncio.get_running_loop(), context_with(1)
    task = loop.create_task(change(2), context=context)
    await task
    handle = loop.call_later(60, print, context=context)
    handle.cancel()
    for holder in asyncio.current_task(), task, handle:
        if hasattr(holder, "get_context"):
            found = holder.get_context()
            print(found is context, isinstance(found, contextvars.Context), v in found)
            print(found.get(v), [found[variable] for variable in found if variable is v])
            print(found.copy().run(v.get), found == context)
"""

EAGER = """
async def main():
    loop, context = asyncio.get_running_loop(), context_with(1)
    print(await asyncio.Task(change(2), loop=loop, eager_start=True, context=context), context[v])
    async def at_once(value):
        before = v.get()
        v.set(value)
        return before
    print(await asyncio.Task(at_once(3), loop=loop, eager_start=True, context=context), context[v])
    for factory in asyncio.eager_task_factory, asyncio.create_eager_task_factory(asyncio.Task):
        def make(loop, coro, **keywords):
            keywords.pop("eager_start", None)  # uvloop passes it before 3.13.3 takes it
            return factory(loop, coro, **keywords)
        loop.set_task_factory(make)
        print(await asyncio.create_task(change(4), context=context), context[v], v.get())
        print(await asyncio.create_task(at_once(5), context=context), context[v], v.get())
        print(await asyncio.create_task(at_once(6)), context[v], v.get())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(change(7), context=context)
        print(task.result(), context[v], v.get())
        # That context is entered, which leaves the loop as it should be from a later 3.14 on.
    loop.set_task_factory(None)
    print(await asyncio.create_task(change(8), context=context), asyncio.current_task() is not None)
"""

PROGRAMS = {
    "tasks": TASKS,
    "callbacks": CALLBACKS,
    "files and signals": FILES_AND_SIGNALS,
    "threads": THREADS,
    "streams": STREAMS,
    "contexts": CONTEXTS,
    "eager tasks": EAGER,
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop.run"])
def test_same_on_a_loop(tmp_path: Path, loop: str, name: str) -> None:
    if name == "eager tasks" and sys.version_info < (3, 12):
        pytest.skip("eager tasks came with 3.12")
    run_on(tmp_path, loop, PROGRAMS[name])


@pytest.mark.parametrize("loop", [name for name in RUN_ON if name not in ("asyncio", "uvloop.run")])
def test_same_however_the_loop_is_made(tmp_path: Path, loop: str) -> None:
    run_on(tmp_path, loop, TASKS)


def run_on(directory: Path, loop: str, program: str) -> None:
    if "uvloop" in loop:
        pytest.importorskip("uvloop", reason="it has no release for this Python")
    before = "import uvloop\n" if loop == "uvloop before" else ""
    assert_same(directory, "-c", before + START + program + RUN_ON[loop])


OTHERS = {
    "anyio": """
import anyio
async def main():
    v.set(1)
    print(await anyio.to_thread.run_sync(v.get))
    def on_a_thread():
        v.set(2)
        return anyio.from_thread.run(change, 3), anyio.from_thread.run_sync(v.get)
    print(await anyio.to_thread.run_sync(on_a_thread), v.get())
    async with anyio.create_task_group() as group:
        group.start_soon(change, 4)
    print(v.get())
for use_uvloop in (False, True):
    anyio.run(main, backend_options={"use_uvloop": use_uvloop})
""",
    "asgiref": """
import decimal, uvloop
from asgiref.sync import async_to_sync, sync_to_async
async def main():
    def change_both():
        v.set(1)
        decimal.getcontext().prec = 5
    await sync_to_async(change_both)()
    print(v.get(), decimal.getcontext().prec)
    print(await sync_to_async(async_to_sync(change))(2), v.get())
asyncio.run(main())
uvloop.run(main())
""",
    "greenlet": """
import greenlet
def body():
    v.set(v.get() + 1)
    return v.get()
one = greenlet.greenlet(body)
one.gr_context = context_with(1)
kept = one.gr_context
print(one.switch(), kept[v], isinstance(kept, contextvars.Context))
""",
}


@pytest.mark.parametrize("package", OTHERS)
def test_same_on_a_package(tmp_path: Path, package: str) -> None:
    for needed in {package, "uvloop"} - ({"uvloop"} if package == "greenlet" else set()):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert_same(tmp_path, "-c", START + OTHERS[package])
