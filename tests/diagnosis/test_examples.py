"""`why` and `origin` in the example programs, unmodified, and with a mistake in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.programs import RUN, python

threads_start_empty = pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", False), reason="threads inherit the value"
)

EXAMPLES = Path(__file__).parents[2] / "examples"

# The server hands the work to a thread in one of these ways. The values are those in `compute`.
SERVER = """
import asyncio, ctxvars, sys

file, call = sys.argv[1:]
source = open(file, encoding="utf-8").read()
original = "asyncio.to_thread(compute, sent)"
assert source.count(original) == 1
source = source.replace(original, call).replace("REQUESTS = 400", "REQUESTS = 5")
names = {"__name__": "server"}
exec(compile(source, file, "exec"), names)

explained = []
work = names["compute"]

def compute(sent):
    explained.append(ctxvars.why(names["request_id"]))
    return work(sent)

names |= {"compute": compute, "loop": asyncio.get_running_loop, "ctxvars": ctxvars}
with ctxvars.record():
    asyncio.run(names["serve_all"]([f"r{number}" for number in range(5)]))
for it in explained:
    where = it.origin and it.origin.place.function
    print(it.value, it.boundary, where, "run_in_executor" in str(it.remedy))
"""


def served(directory: Path, call: str) -> list[str]:
    done = python(directory, *RUN, "-c", SERVER, str(EXAMPLES / "request_log.py"), call)
    assert (done.returncode, done.stderr) == (0, "")
    return sorted(done.stdout.splitlines())


def test_the_server_sets_the_id_where_the_request_comes_in(tmp_path: Path) -> None:
    expected = [f"'r{number}' None Server.handle False" for number in range(5)]
    assert served(tmp_path, "asyncio.to_thread(compute, sent)") == expected


@threads_start_empty
def test_the_server_loses_the_id_in_a_pool(tmp_path: Path) -> None:
    found = served(tmp_path, "loop().run_in_executor(None, compute, sent)")
    assert found == ["None pool Server.handle True"] * 5


def test_the_server_has_the_id_with_the_remedy(tmp_path: Path) -> None:
    found = served(tmp_path, "ctxvars.run_in_executor(loop(), None, compute, sent)")
    assert found == [f"'r{number}' None Server.handle False" for number in range(5)]


# The tasks set the precision in two ways. A thread that one of them starts does not see it.
DECIMAL = """
import asyncio, ctxvars, runpy, sys, threading

names = runpy.run_path(sys.argv[1])
decimal = names["decimal"]
variable = decimal._current_context_var

async def of_task(function):
    names["pi"].__globals__["pi"] = look
    await function()

async def look():
    origin = ctxvars.origin(variable)
    callers = [place.function for place in origin.stack if place.file == sys.argv[1]]
    print(decimal.getcontext().prec, origin.place.function, callers[0])
    for make in threading.Thread, ctxvars.ContextThread:
        thread = make(target=in_thread)
        thread.start()
        thread.join()

def in_thread():
    explanation = ctxvars.why(variable)
    print(" ", explanation.boundary, "ContextThread" in str(explanation.remedy))

with ctxvars.record():
    for name in "db_fetch", "cache_fetch":
        asyncio.run(of_task(names[name]))
"""


@threads_start_empty
def test_the_two_tasks_of_decimal_set_their_precision(tmp_path: Path) -> None:
    done = python(tmp_path, *RUN, "-c", DECIMAL, str(EXAMPLES / "decimal_tasks.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "100 setcontext db_fetch",
        "  thread True",
        "  None False",
        "60 setcontext cache_fetch",
        "  thread True",
        "  None False",
    ]
