"""Locks of ctxvars do not deadlock the child of a fork, or a signal handler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ctxvars
from ctxvars import _locks, propagate_to_threads
from ctxvars._propagation import propagate_to_threads as _propagation
from ctxvars.classes import Trace, trace
from ctxvars.classes import _recorder as _class_recorder

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
# Python warns about forks in processes with threads, which these tests need.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def used() -> None:
    """Use each lock."""
    propagate_to_threads().stop()

    def work() -> None:
        class Made: ...

    trace(work)


def in_child(body: Callable[[], None]) -> int:
    """Return the status of a child that calls `body`. An alarm kills the child if it hangs."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(5)
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.parametrize("module", [_propagation, _class_recorder], ids=lambda it: it.__name__)
def test_a_fork_waits_for_the_thread_that_holds_a_lock(module: Any) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with module._lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    timer = threading.Timer(0.05, release.set)
    timer.start()
    assert in_child(used) == 0
    thread.join()
    timer.join()
    used()


@needs_fork
def test_a_thread_that_holds_a_lock_may_fork() -> None:
    with _propagation._lock, _class_recorder._lock:
        assert in_child(used) == 0
    lock = _locks.lasting_lock()
    assert lock.acquire(blocking=False)
    lock.release()


@needs_fork
def test_a_child_observes_no_class_for_threads_that_it_does_not_have() -> None:
    import builtins

    before = builtins.__build_class__
    statuses = []

    def not_observed() -> None:
        assert builtins.__build_class__ is before
        assert not _class_recorder._recorders

    def record() -> None:
        started.set()
        release.wait()

    started, release = threading.Event(), threading.Event()
    thread = threading.Thread(target=trace, args=(record,))
    thread.start()
    started.wait()
    statuses.append(in_child(not_observed))
    release.set()
    thread.join()
    assert statuses == [0]
    assert builtins.__build_class__ is before


# Functions are interrupted at each line, by a handler that calls them as well.


def interrupted(work: Callable[[], None], interrupt: Callable[[], None], modules: set[str]) -> int:
    """Run `work` once for each of its lines in the modules, and interrupt it at that line."""
    line = 0
    while True:
        count = 0

        def at_line(frame: Any, event: str, argument: object, line: int = line) -> Any:
            nonlocal count
            if frame.f_globals.get("__name__") not in modules:
                return None
            if event == "line":
                count += 1
                if count == line + 1:
                    sys.settrace(None)
                    interrupt()
                    sys.settrace(at_line)
            return at_line

        before = sys.gettrace()
        sys.settrace(at_line)
        try:
            work()
        finally:
            sys.settrace(before)
        if count <= line:
            return line
        line += 1


def patched() -> list[bool]:
    return [
        hasattr(vars(owner).get(name), "__wrapped__") for owner, name, _ in _propagation._PATCHES
    ]


def test_a_signal_handler_that_interrupts_patching_may_patch() -> None:
    def work() -> None:
        with propagate_to_threads():
            sys.settrace(None)
            assert all(patched())
        assert not any(patched())

    def start_and_stop() -> None:
        propagate_to_threads().stop()

    assert interrupted(work, start_and_stop, {_propagation.__name__}) > 10
    assert interrupted(start_and_stop, start_and_stop, {_propagation.__name__}) > 20
    assert not any(patched())
    assert not _propagation._undo


def test_a_signal_handler_that_interrupts_recording_may_record() -> None:
    import builtins

    before = builtins.__build_class__

    def record() -> None:
        with _class_recorder.recording(_class_recorder.Recorder(Trace(), None)):
            pass

    assert interrupted(record, record, {_class_recorder.__name__}) > 5
    assert builtins.__build_class__ is before
    assert not _class_recorder._recorders


def test_a_signal_handler_may_need_what_it_interrupts_the_import_of() -> None:
    code = """
import signal, sys
import ctxvars
from importlib.machinery import PathFinder

def handler(*_):
    ctxvars.Map(a=1).diff(ctxvars.Map())

signal.signal(signal.SIGUSR1, handler)

class Finder:
    # Whatever is imported first is interrupted by a signal.
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "copy":
            sys.meta_path.remove(Finder)
            signal.raise_signal(signal.SIGUSR1)
            PLAIN.__deepcopy__({})
        return None

PLAIN = ctxvars.Map(a=[1])
assert "copy" not in sys.modules
sys.meta_path.insert(0, Finder)
signal.alarm(5)
assert PLAIN.__deepcopy__({}) == PLAIN
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(ctxvars.__file__).parents[1])}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
