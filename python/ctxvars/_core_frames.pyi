# The base of the runtime context for OpenTelemetry: `_core.pyi` has the same name.

from typing import Any

from typing_extensions import disjoint_base

__all__ = ["Frames"]

@disjoint_base
class Frames:
    def __init__(self, name: str, default: Any, /) -> None: ...
    def attach(self, value: Any, /) -> Any: ...
    def get_current(self) -> Any: ...
    def detach(self, token: Any, /) -> None: ...
