"""Workflows that Temporal imports into its sandbox."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

import ctxvars
from tests.engines.protocols.temporal.context import tenant

MINUTE = timedelta(minutes=1)


@workflow.defn
class Shop:
    """Passes the values that it sees as arguments to activities."""

    @workflow.run
    async def run(self) -> None:
        for step in ("start", "after a timer"):
            seen = f"{step} {tenant.get()} {ctxvars.remaining_time()}"
            await workflow.execute_activity("record", seen, schedule_to_close_timeout=MINUTE)
            await workflow.sleep(10)
            tenant.set(f"{tenant.get()} & sons")
        workflow.continue_as_new()

    @workflow.signal
    async def order(self) -> None:
        await workflow.execute_activity(
            "record", f"signal {tenant.get()}", schedule_to_close_timeout=MINUTE
        )
