"""Locks that neither a fork nor an interruption turns into a deadlock."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _thread import RLock


def lasting_lock() -> RLock:
    """A lock for state that lasts as long as the process.

    It is re-entrant, as a signal handler or a finalizer may run while the thread that it interrupts
    holds the lock: the state has to make sense then. A fork waits for it, so that the child never
    inherits a lock that a thread holds which the child does not have.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock
