"""OpenTelemetry's runtime context on ctxvars, chosen by `OTEL_PYTHON_CONTEXT=ctxvars`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context.context import Context, _RuntimeContext

from ctxvars._core import Frames

if TYPE_CHECKING:
    from contextvars import Token


class RuntimeContext(Frames, _RuntimeContext):
    """Keeps OpenTelemetry's current context, and takes spans off that end in another context.

    OpenTelemetry loads it by the entry point `ctxvars` of the group `opentelemetry_context`.

    A generator that is closed by another task or thread detaches the context that it has attached,
    from there. The runtime context of OpenTelemetry logs "Failed to detach context" then, and the
    consumer of the generator stays in the span. Here, the context is taken off at the next call in
    the place where it was attached. Tasks that were created in the meantime keep their parent span.

    `get_current` takes O(1) for the context of the last call, else O(log n) in the number of
    variables of the context, as attaching and detaching do.
    """

    def __init__(self) -> None:
        super().__init__("opentelemetry", Context())

    if TYPE_CHECKING:
        # The methods of `Frames`, which are compiled, with the types of OpenTelemetry.
        def attach(self, context: Context) -> Token[Context]: ...
        def get_current(self) -> Context: ...
        def detach(self, token: Token[Context]) -> None: ...
