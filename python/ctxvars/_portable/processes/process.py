"""`ContextProcess`: a process that has the portable values of the code that starts it."""

from __future__ import annotations

import multiprocessing
from _contextvars import Context as NativeContext
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ctxvars._core import scope
from ctxvars._portable.processes.payload import dumps_for_this_machine, loads_values
from ctxvars._public import public

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


@public
class ContextProcess(multiprocessing.Process):
    """A `multiprocessing.Process` that has the values of portable variables of its starter.

    Args:
        mp_context: a result of `multiprocessing.get_context`, for another start method.

    All other arguments, the methods and the errors are those of `multiprocessing.Process`. A
    subclass may override `run`. The values are those of the time when `start` is called. Other
    variables have no values there, not even after a fork.

    Raises:
        Exception: a value cannot be pickled. A note names its variable.

    >>> import multiprocessing
    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "acme.tenant.process")
    >>> def work():
    ...     assert tenant.get() == "globex"
    >>> fork = multiprocessing.get_context("fork")
    >>> process = ctxvars.ContextProcess(target=work, mp_context=fork)
    >>> with tenant.scope("globex"):
    ...     process.start()
    >>> process.join()
    >>> process.exitcode
    0
    """

    _payload = b""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        mp_context: BaseContext | None = None,
    ) -> None:
        super().__init__(group, target, name, tuple(args), dict(kwargs or {}), daemon=daemon)
        if mp_context is not None:
            # The start method of a process is the class that starts it.
            self._Popen = mp_context.Process._Popen  # type: ignore[attr-defined,method-assign]

    def start(self) -> None:
        """Start the process, with the current values of portable variables."""
        self._payload = dumps_for_this_machine()
        super().start()

    def _bootstrap(self, *args: Any, **kwargs: Any) -> int:
        # Around `run`, which subclasses override. An exception in it is shown, one here is not.
        run = self.run

        def run_with_values() -> None:
            scope(loads_values(self._payload, is_packed=False)).__enter__()
            run()

        self.run = run_with_values  # type: ignore[method-assign]
        # An empty context: without the values that a fork inherits.
        status: int = NativeContext().run(
            super()._bootstrap,  # type: ignore[misc]
            *args,
            **kwargs,
        )
        return status
