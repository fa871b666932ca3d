"""Temporal: portable variables travel from clients to workflows, and on to activities.

`PortableInterceptor` is an interceptor of the client and of workers. Values travel in the header
`baggage`, a payload with text, which is a part of the history of the workflow.

Workflows are deterministic. The values of a workflow come from its history, so a replay has equal
values. Two things depend on clocks, and take the time of the workflow instead: the age of a
signature, and deadlines. A deadline has no value in workflow code, because `remaining_time` reads
the clock of the machine. The interceptor keeps the deadline aside, and sends the remaining time to
activities and child workflows. A replay does not compare headers.

Temporal runs workflows in a sandbox, which imports modules again for each workflow. Variables of a
second module `ctxvars` would have no values. `workflow_runner` makes a runner that shares `ctxvars`
and the modules that declare variables, as `workflow.unsafe.imports_passed_through` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from typing import Any, NoReturn

from temporalio import activity, client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from ctxvars._core import ContextVar, scope
from ctxvars._missing import MISSING
from ctxvars._portable.deadlines import NAME, clock, current_deadline
from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.baggage import HEADER, parse_member, unquote
from ctxvars._portable.headers.extract import Accept
from ctxvars._portable.headers.signing import Signer
from ctxvars._portable.processes.carry import carry
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["PortableInterceptor", "workflow_runner"]

_Headers = Mapping[str, Payload]

_ENCODING = b"json/plain"

_workflow_deadline: ContextVar[float] = ContextVar("ctxvars.workflow_deadline")
"""The deadline of a workflow or of one of its handlers, as a time of the workflow."""


class PortableInterceptor(client.Interceptor, worker.Interceptor):
    """Sends values with calls of a client, and runs workflows and activities with them.

    Pass it to the client, `Client.connect(..., interceptors=[PortableInterceptor()])`. Workers with
    this client use it, too. Temporal has no way to add an interceptor later, so there is no
    `install`.

    The values are sent with workflows, signals, queries, updates, activities, child workflows and
    `continue_as_new`; not with schedules, which start workflows long after, nor with operations of
    Nexus. A handler of a signal, a query or an update has the values of its sender. In all of them,
    a declared variable that was not sent has no value.

    An activity that is a function has the values on a thread and in a process. Each attempt of an
    activity has the values that it was scheduled with.

    Args:
        to: the level of the workers, as for `ctxvars.inject`.
        accept: the variables that a client may set: a level, or names.
        signer: signs values, and verifies them. The age of a signature is that at the start of the
            workflow, or when the activity was scheduled first.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    A call raises the exception of an encoder. No header fails a workflow or an activity. O(declared
    variables + length of the header) for each call.
    """

    def __init__(
        self,
        *,
        to: Level = "internal",
        accept: Accept = "internal",
        signer: Signer | None = None,
    ) -> None:
        self._options = checked_options("PortableInterceptor", to, accept, signer)

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Client(next, self._options)

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _Activity(next, _with_clock(self._options, _time_of_activity))

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[worker.WorkflowInboundInterceptor]:
        # Temporal makes the instances, so the options are those of a class.
        options = _with_clock(self._options, workflow.time)
        return type("PortableWorkflow", (_Workflow,), {"options": options})


def workflow_runner(*modules: str) -> SandboxedWorkflowRunner:
    """Return the sandbox for workflows, which shares `ctxvars` with the rest of the worker.

    Args:
        modules: the modules that declare variables, by name, such as "shop.context". Submodules are
            shared, too.

    Pass it to the worker: `Worker(client, workflow_runner=workflow_runner("shop.context"), ...)`.
    """
    restrictions = SandboxRestrictions.default.with_passthrough_modules("ctxvars", *modules)
    return SandboxedWorkflowRunner(restrictions=restrictions)


def _with_clock(options: Options, clock: Callable[[], float]) -> Options:
    """Return options whose signer uses another clock."""
    if options.signer is None:
        return options
    signer = copy(options.signer)
    signer._clock = clock
    return options._replace(signer=signer)


def _time_of_activity() -> float:
    """Return the time of the first attempt: later ones have the header of the first."""
    scheduled: datetime = activity.info().scheduled_time
    return scheduled.timestamp()


def _text_of(headers: _Headers | None) -> str:
    """Return the text of the header; "" for a payload that is something else."""
    payload = None if headers is None else headers.get(HEADER)
    if payload is None or payload.metadata.get("encoding") != _ENCODING:
        return ""
    try:
        text = json.loads(payload.data)
    except (ValueError, RecursionError):
        return ""
    return text if isinstance(text, str) else ""


def _with_values(options: Options, headers: _Headers | None) -> _Headers:
    """Return headers with the values of portable variables, merged with members that exist."""
    present = _text_of(headers)
    text = options.inject({HEADER: present} if present else {}).get(HEADER)
    if text is None:
        return headers or {}
    payload = Payload(metadata={"encoding": _ENCODING}, data=json.dumps(text).encode())
    return {**(headers or {}), HEADER: payload}


def _seconds_in(text: str) -> float:
    """Return the remaining time in a header that has a valid one, as it was sent.

    The value of the variable is a time of the clock of the machine, which differs in a replay.
    """
    for each in text.split(","):
        member = parse_member(each)
        if member is not None and member.name == NAME:
            return float(unquote(member.value))
    raise AssertionError(NAME)


class _Client(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, options: Options) -> None:
        super().__init__(next)
        self._options = options

    def _add(self, input: Any) -> None:
        input.headers = _with_values(self._options, input.headers)

    async def start_workflow(self, input: client.StartWorkflowInput) -> Any:
        self._add(input)
        return await super().start_workflow(input)

    async def query_workflow(self, input: client.QueryWorkflowInput) -> Any:
        self._add(input)
        return await super().query_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        self._add(input)
        await super().signal_workflow(input)

    async def start_workflow_update(self, input: client.StartWorkflowUpdateInput) -> Any:
        self._add(input)
        return await super().start_workflow_update(input)

    async def start_update_with_start_workflow(self, input: Any) -> Any:
        self._add(input.start_workflow_input)
        self._add(input.update_workflow_input)
        return await super().start_update_with_start_workflow(input)

    # Of newer releases: an activity without a workflow.
    async def start_activity(self, input: Any) -> Any:
        self._add(input)
        return await super().start_activity(input)


class _Activity(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, options: Options) -> None:
        super().__init__(next)
        self._options = options

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        with self._options.extract({HEADER: _text_of(input.headers)}):
            # Temporal copies the context to a thread, but not to a process.
            if input.executor is not None and not isinstance(input.executor, ThreadPoolExecutor):
                input.fn = carry(input.fn)
            return await super().execute_activity(input)


class _Workflow(worker.WorkflowInboundInterceptor):
    options: Options

    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self.options))

    @contextmanager
    def _received(self, input: Any) -> Iterator[None]:
        """Set the values that a workflow or a handler was called with."""
        text = _text_of(input.headers)
        # ctxvars imports some of its modules when they are first needed.
        with workflow.unsafe.imports_passed_through():
            received = self.options.extract({HEADER: text})
        deadline: Any = MISSING
        if current_deadline in received.values:
            deadline = workflow.time() + _seconds_in(text)
        with received, scope({current_deadline: MISSING, _workflow_deadline: deadline}):
            yield

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        with self._received(input):
            return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        with self._received(input):
            await super().handle_signal(input)

    async def handle_query(self, input: worker.HandleQueryInput) -> Any:
        with self._received(input):
            return await super().handle_query(input)

    def handle_update_validator(self, input: worker.HandleUpdateInput) -> None:
        with self._received(input):
            super().handle_update_validator(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:
        with self._received(input):
            return await super().handle_update_handler(input)


class _Outbound(worker.WorkflowOutboundInterceptor):
    def __init__(self, next: worker.WorkflowOutboundInterceptor, options: Options) -> None:
        super().__init__(next)
        self._options = options

    def _add(self, input: Any) -> None:
        """Write the values of the workflow into the headers of a call."""
        deadline = _workflow_deadline.get(None)
        values = {}
        if deadline is not None:
            values[current_deadline] = clock() + max(deadline - workflow.time(), 0.0)
        with workflow.unsafe.imports_passed_through(), scope(values):
            input.headers = _with_values(self._options, input.headers)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:
        self._add(input)
        super().continue_as_new(input)
        raise AssertionError("continue_as_new() raises the exception that ends the workflow")

    def start_activity(self, input: worker.StartActivityInput) -> Any:
        self._add(input)
        return super().start_activity(input)

    def start_local_activity(self, input: worker.StartLocalActivityInput) -> Any:
        self._add(input)
        return super().start_local_activity(input)

    async def start_child_workflow(self, input: worker.StartChildWorkflowInput) -> Any:
        self._add(input)
        return await super().start_child_workflow(input)

    async def signal_child_workflow(self, input: worker.SignalChildWorkflowInput) -> None:
        self._add(input)
        await super().signal_child_workflow(input)

    async def signal_external_workflow(self, input: worker.SignalExternalWorkflowInput) -> None:
        self._add(input)
        await super().signal_external_workflow(input)
