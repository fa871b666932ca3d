"""Variables that workflows share with their worker."""

from __future__ import annotations

from ctxvars import ContextVar, portable

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.temporal.tenant")


def refuse(value: int) -> str:
    raise OverflowError("of the encoder")


refused: ContextVar[int] = portable(
    ContextVar("refused"), "test.temporal.refused", codec=(refuse, int)
)
