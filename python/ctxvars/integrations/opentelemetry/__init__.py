"""OpenTelemetry: its runtime context on ctxvars, and portable variables in its header `baggage`.

Two things, each without the other:

- `RuntimeContext` keeps the current span, and takes it off where it was set if a generator ends in
  another context. `OTEL_PYTHON_CONTEXT=ctxvars` selects it.
- `BaggagePropagator` sends and reads portable variables and OpenTelemetry's baggage, in one header.
  `install` puts it in the place of OpenTelemetry's `W3CBaggagePropagator`; so does
  `OTEL_PROPAGATORS=tracecontext,ctxvars`.

A propagator of OpenTelemetry returns a context, and sets nothing. `received_in` returns the values
that have arrived with such a context, to be set for a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctxvars.integrations.opentelemetry.runtime_context import RuntimeContext

if TYPE_CHECKING:
    from ctxvars.integrations.opentelemetry.propagator import (
        BaggagePropagator,
        install,
        received_in,
        uninstall,
    )

__all__ = ["BaggagePropagator", "RuntimeContext", "install", "received_in", "uninstall"]


def __getattr__(name: str) -> Any:
    # OpenTelemetry loads the runtime context while it is imported itself. The propagator imports
    # modules of OpenTelemetry that cannot be imported at that time.
    if name in __all__:
        from ctxvars.integrations.opentelemetry import propagator

        return getattr(propagator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
