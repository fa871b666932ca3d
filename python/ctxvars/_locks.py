"""Locks that do not deadlock after a fork, or in a signal handler."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _thread import RLock


def lasting_lock() -> RLock:
    """Return a lock for state that exists as long as the process.

    The lock is re-entrant: a signal handler or a finalizer may run while the thread that it
    interrupts holds the lock. So the state must be consistent at every bytecode. A fork waits for
    the lock: otherwise the child could inherit it locked, by a thread that the child does not have.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
