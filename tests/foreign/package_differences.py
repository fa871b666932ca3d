"""The tests of packages that end differently on ctxvars, how, and why that is right."""

from endings import Difference

GREENLET_TYPE = "`greenlet.gr_context` insists on a native context, such as `Context.native`"
UVLOOP_TYPE = (
    "uvloop insists on native contexts, such as `Context.native`, where a callback is given one "
    "with `context=`; anyio does so for each of its worker threads, and all tests that have one, "
    "of which these stand for the others, fail on uvloop"
)

_GREENLET = "src/greenlet/tests/test_contextvars.py::ContextVarsTests"

GREENLET = {
    f"{_GREENLET}::{test}": Difference([ending], GREENLET_TYPE)
    for test, ending in {
        "test_context_assignment_different_thread": "error: IndexError",
        "test_context_assignment_while_running": "failure: AssertionError",
        "test_context_propagated_by_setting_attribute": "error: TypeError",
        "test_not_broken_if_using_attribute_instead_of_context_run": "error: TypeError",
    }.items()
}

ANYIO = {
    f"tests/{test}": Difference(["error: TypeError"], UVLOOP_TYPE)
    for test in [
        "test_from_thread.py::TestBlockingPortal"
        "::test_call_async_context_variable[asyncio+uvloop-asyncio]",
        "test_from_thread.py::TestBlockingPortal"
        "::test_call_async_context_variable[asyncio+uvloop-trio]",
        "test_from_thread.py::TestRunAsyncFromThread::test_contextvar_propagation[asyncio+uvloop]",
        "test_from_thread.py::TestRunSyncFromThread::test_contextvar_propagation[asyncio+uvloop]",
        "test_to_thread.py::test_contextvar_propagation[asyncio+uvloop]",
    ]
}
