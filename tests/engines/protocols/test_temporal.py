"""Temporal: clients, workflows and activities.

A server of Temporal would have to be downloaded. Workflows run by the replay of histories, in the
sandbox and by the core of Temporal. Clients and activities run between their interceptors and the
ends of the chain.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from types import SimpleNamespace
from typing import Any

import pytest

import ctxvars
from tests.engines.protocols.temporal.context import refused, tenant

temporalio = pytest.importorskip("temporalio", reason="temporalio is not installed")

from temporalio import client, worker  # noqa: E402
from temporalio.api.common.v1 import Payload  # noqa: E402
from temporalio.testing import ActivityEnvironment  # noqa: E402

from ctxvars.integrations.temporal import PortableInterceptor, workflow_runner  # noqa: E402

VALUE = "test.temporal.tenant=globex"
START = datetime(2026, 11, 27, tzinfo=UTC)


def payload_of(text: object, encoding: bytes = b"json/plain") -> Any:
    return Payload(metadata={"encoding": encoding}, data=json.dumps(text).encode())


def text_of(headers: Any) -> str | None:
    payload = headers.get("baggage")
    return None if payload is None else json.loads(payload.data)


# Clients


class End(client.OutboundInterceptor):
    """Keeps the inputs of calls instead of sending them."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []

    async def keep(self, input: Any) -> None:
        await asyncio.sleep(0)
        self.inputs.append(input)

    start_workflow = query_workflow = signal_workflow = start_workflow_update = keep  # type: ignore[assignment]
    start_update_with_start_workflow = start_activity = keep  # type: ignore[assignment]


CALLS = ["start_workflow", "query_workflow", "signal_workflow", "start_workflow_update"]
CALLS += ["start_activity"]


def called(name: str, headers: Any, **options: Any) -> Any:
    """Return the headers of a call behind the interceptor."""
    end = End()
    first = PortableInterceptor(**options).intercept_client(end)
    asyncio.run(getattr(first, name)(SimpleNamespace(headers=headers)))
    return end.inputs[0].headers


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_a_client_send_the_values_of_their_caller(name: str) -> None:
    with tenant.scope("globex"):
        assert text_of(called(name, {})) == VALUE
    assert called(name, {}) == {}


def test_an_update_with_start_sends_the_values_twice() -> None:
    end = End()
    first = PortableInterceptor().intercept_client(end)
    parts = [SimpleNamespace(headers={}) for _ in range(2)]
    input: Any = SimpleNamespace(start_workflow_input=parts[0], update_workflow_input=parts[1])
    with tenant.scope("globex"):
        asyncio.run(first.start_update_with_start_workflow(input))
    assert [text_of(each.headers) for each in parts] == [VALUE, VALUE]


def test_other_headers_stay_and_members_are_merged() -> None:
    other = payload_of("value")
    with tenant.scope("globex"):
        found = called("start_workflow", {"baggage": payload_of("userId=alice"), "other": other})
    assert text_of(found) == f"{VALUE},userId=alice"
    assert found["other"] == other


def test_an_exception_of_an_encoder_names_the_variable() -> None:
    with refused.scope(1), pytest.raises(OverflowError) as caught:
        called("signal_workflow", {})
    assert "test.temporal.refused" in caught.value.__notes__[0]


def test_an_interceptor_serves_the_client_and_its_workers() -> None:
    interceptor = PortableInterceptor()
    assert isinstance(interceptor, client.Interceptor)
    assert isinstance(interceptor, worker.Interceptor)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="PortableInterceptor"):
        PortableInterceptor(to="everyone")  # type: ignore[arg-type]


# Activities


class Last(worker.ActivityInboundInterceptor):
    """Runs an activity as Temporal does: on an executor, or in the task."""

    def __init__(self) -> None:
        pass

    async def execute_activity(self, input: Any) -> Any:
        if input.executor is None:
            return await input.fn(*input.args)
        loop = asyncio.get_running_loop()
        if isinstance(input.executor, ThreadPoolExecutor):
            from contextvars import copy_context

            return await loop.run_in_executor(
                input.executor, copy_context().run, input.fn, *input.args
            )
        return await loop.run_in_executor(input.executor, input.fn, *input.args)


def see(*arguments: Any) -> str:
    found = tenant.get()
    tenant.set("leaked")
    return found


async def see_async(*arguments: Any) -> str:
    await asyncio.sleep(0)
    return see()


def remaining() -> float | None:
    return ctxvars.remaining_time()


def executed(function: Any, headers: Any, executor: Any = None) -> Any:
    """Return the result of an activity behind the interceptor."""
    first = PortableInterceptor().intercept_activity(Last())
    input = worker.ExecuteActivityInput(function, [], executor, headers)
    return asyncio.run(first.execute_activity(input))


@pytest.fixture(scope="module")
def thread() -> Iterator[Any]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def process() -> Iterator[Any]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("kind", ["thread", "process", "task"])
def test_activities_see_the_values_and_none_of_earlier_ones(kind: str, request: Any) -> None:
    executor = None if kind == "task" else request.getfixturevalue(kind)
    function = see_async if kind == "task" else see
    found = [
        executed(function, headers, executor)
        for headers in ({"baggage": payload_of(VALUE)}, {}, {"baggage": payload_of(VALUE)})
    ]
    assert found == ["globex", "none", "globex"]
    assert tenant.get() == "none"


def test_an_activity_has_the_remaining_time(thread: Any) -> None:
    found = executed(remaining, {"baggage": payload_of("ctxvars.deadline=60.000")}, thread)
    assert 0 < found <= 60


def test_activities_verify_signatures_at_the_time_that_they_were_scheduled() -> None:
    """Attempts that are made later have the header of the first."""
    keys = {"key": bytes(16)}
    sender = ctxvars.Signer(keys, clock=START.timestamp)
    with tenant.scope("globex"):
        signed = called("start_activity", {}, signer=sender)
    signer = ctxvars.Signer(keys, max_age=60)

    async def attempt(headers: Any) -> Any:
        first = PortableInterceptor(signer=signer).intercept_activity(Last())
        return await first.execute_activity(
            worker.ExecuteActivityInput(see_async, [], None, headers)
        )

    environment = ActivityEnvironment()

    def attempted(headers: Any, seconds: int) -> Any:
        time = START + timedelta(seconds=seconds)
        environment.info = replace(environment.info, scheduled_time=time)
        return asyncio.run(environment.run(attempt, headers))

    assert attempted(signed, 1) == "globex"
    assert attempted(signed, 100) == "none"
    assert attempted({"baggage": payload_of(VALUE)}, 1) == "none"


@pytest.mark.parametrize(
    "payload",
    [
        payload_of("%%%"),
        payload_of("test.temporal.tenant=%zz"),
        payload_of("x" * 1_000_000),
        payload_of([VALUE]),
        payload_of(VALUE, b"binary/encrypted"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"\xff{"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 100_000),
        Payload(),
    ],
    ids=["percent", "value", "long", "list", "encoding", "bytes", "depth", "empty"],
)
def test_a_hostile_header_does_not_fail_an_activity(payload: Any) -> None:
    assert executed(see_async, {"baggage": payload}) == "none"


# Workflows


def encoded(text: str) -> dict[str, Any]:
    data = b64encode(json.dumps(text).encode()).decode()
    return {"metadata": {"encoding": b64encode(b"json/plain").decode()}, "data": data}


def header_of(text: str) -> dict[str, Any]:
    return {"header": {"fields": {"baggage": encoded(text)}}} if text else {}


class History:
    """A history of the workflow `Shop`, as a server would have stored it."""

    def __init__(self, header: str) -> None:
        self.seconds = 0
        self.events: list[dict[str, Any]] = []
        self.add(
            "WORKFLOW_EXECUTION_STARTED",
            workflowType={"name": "Shop"},
            taskQueue={"name": "queue"},
            originalExecutionRunId="run",
            firstExecutionRunId="run",
            attempt=1,
            **header_of(header),
        )

    def add(self, name: str, **attributes: Any) -> int:
        camel = "".join(part.capitalize() for part in name.split("_"))
        key = f"{camel[0].lower()}{camel[1:]}EventAttributes"
        time = (START + timedelta(seconds=self.seconds)).isoformat().replace("+00:00", "Z")
        number = len(self.events) + 1
        self.events.append(
            {
                "eventId": str(number),
                "eventTime": time,
                "eventType": f"EVENT_TYPE_{name}",
                key: attributes,
            }
        )
        return number

    def task(self) -> int:
        """A task of the workflow; the commands that it made follow."""
        scheduled = self.add("WORKFLOW_TASK_SCHEDULED", taskQueue={"name": "queue"}, attempt=1)
        started = self.add("WORKFLOW_TASK_STARTED", scheduledEventId=str(scheduled))
        return self.add(
            "WORKFLOW_TASK_COMPLETED",
            scheduledEventId=str(scheduled),
            startedEventId=str(started),
        )

    def activity(self, task: int, id: str) -> int:
        return self.add(
            "ACTIVITY_TASK_SCHEDULED",
            activityId=id,
            activityType={"name": "record"},
            workflowTaskCompletedEventId=str(task),
        )

    def activity_result(self, scheduled: int) -> None:
        started = self.add("ACTIVITY_TASK_STARTED", scheduledEventId=str(scheduled), attempt=1)
        self.add(
            "ACTIVITY_TASK_COMPLETED",
            scheduledEventId=str(scheduled),
            startedEventId=str(started),
        )

    def timer(self, task: int, id: str) -> None:
        started = self.add(
            "TIMER_STARTED",
            timerId=id,
            startToFireTimeout="10s",
            workflowTaskCompletedEventId=str(task),
        )
        self.seconds += 10
        self.add("TIMER_FIRED", timerId=id, startedEventId=str(started))

    def finished(self) -> Any:
        return client.WorkflowHistory.from_json("shop", {"events": self.events})


def complete(header: str) -> Any:
    """A history with two activities, each followed by a timer, and a new run."""
    history = History(header)
    for number in ("1", "2"):
        history.activity_result(history.activity(history.task(), number))
        history.timer(history.task(), number)
    history.add(
        "WORKFLOW_EXECUTION_CONTINUED_AS_NEW",
        newExecutionRunId="next",
        workflowType={"name": "Shop"},
        workflowTaskCompletedEventId=str(history.task()),
    )
    return history.finished()


calls: list[tuple[str, Any, str | None]] = []
"""The calls of workflows: kind, arguments, header."""


class KeepingOutbound(worker.WorkflowOutboundInterceptor):
    def start_activity(self, input: Any) -> Any:
        calls.append(("activity", input.args[0], text_of(input.headers)))
        return super().start_activity(input)

    def continue_as_new(self, input: Any) -> Any:
        calls.append(("continue", None, text_of(input.headers)))
        super().continue_as_new(input)


class KeepingInbound(worker.WorkflowInboundInterceptor):
    def init(self, outbound: Any) -> None:
        super().init(KeepingOutbound(outbound))


class Keeping(worker.Interceptor):
    def workflow_interceptor_class(self, input: Any) -> Any:
        return KeepingInbound


def replayed(history: Any, **options: Any) -> list[tuple[str, Any, str | None]]:
    """Replay a history in the sandbox; return the calls of the workflow."""
    from tests.engines.protocols.temporal.workflows import Shop

    calls.clear()
    # The last interceptor is the first to be initialised, so it sees the headers of the first.
    interceptors = [Keeping(), PortableInterceptor(**options)]

    async def replay() -> None:
        replayer = worker.Replayer(
            workflows=[Shop],
            interceptors=interceptors,
            workflow_runner=workflow_runner("tests.engines.protocols.temporal.context"),
        )
        await replayer.replay_workflow(history)

    asyncio.run(replay())
    return [*calls]


def test_a_workflow_and_its_activities_have_the_values() -> None:
    assert replayed(complete(VALUE)) == [
        ("activity", "start globex None", VALUE),
        ("activity", "after a timer globex & sons None", f"{VALUE}%20%26%20sons"),
        ("continue", None, f"{VALUE}%20%26%20sons%20%26%20sons"),
    ]


def test_a_workflow_has_no_values_of_its_worker_or_of_other_workflows() -> None:
    with tenant.scope("of the worker"):
        replayed(complete(VALUE))
        found = replayed(complete(""))
    assert found[0] == ("activity", "start none None", None)


def test_the_remaining_time_is_that_of_the_workflow() -> None:
    """A replay years later gives the times of the first run, up to the precision of a header."""
    found = replayed(complete("ctxvars.deadline=60.000"))
    assert found[0][1] == "start none None"
    sent = [re.search(r"ctxvars.deadline=([0-9.]+)", str(header)) for _, _, header in found]
    remaining = [float(each[1]) for each in sent if each]
    assert remaining == pytest.approx([60, 50, 40], abs=0.5)


def test_a_signal_has_the_values_of_its_sender() -> None:
    history = History(VALUE)
    first = history.activity(history.task(), "1")
    history.add(
        "WORKFLOW_EXECUTION_SIGNALED",
        signalName="order",
        **header_of("test.temporal.tenant=acme"),
    )
    history.activity(history.task(), "2")
    history.activity_result(first)
    task = history.task()
    history.add("TIMER_STARTED", timerId="1", workflowTaskCompletedEventId=str(task))
    assert replayed(history.finished()) == [
        ("activity", "start globex None", VALUE),
        ("activity", "signal acme", "test.temporal.tenant=acme"),
    ]


def test_signatures_are_verified_and_made_at_the_time_of_the_workflow() -> None:
    """The signature has expired when the history is replayed."""
    times = {"key": bytes(16)}
    sender = ctxvars.Signer(times, clock=START.timestamp, max_age=60)
    with tenant.scope("globex"):
        header = text_of(called("start_workflow", {}, signer=sender))
    assert header is not None
    signer = ctxvars.Signer(times, max_age=60, clock=lambda: START.timestamp() + 1e6)
    found = replayed(complete(header), signer=signer)
    assert [arguments for _, arguments, _ in found[:2]] == [
        "start globex None",
        "after a timer globex & sons None",
    ]
    later = ctxvars.Signer(times, max_age=1, clock=lambda: START.timestamp() + 10)
    with ctxvars.extract({"baggage": found[1][2]}, signer=later):
        assert tenant.get() == "globex & sons"
    forged = header.replace("globex", "acme")
    assert replayed(complete(forged), signer=signer)[0][1] == "start none None"


@pytest.mark.parametrize("header", ["%%%", "test.temporal.tenant=%zz", "," * 100, "x" * 100_000])
def test_a_hostile_header_does_not_fail_a_workflow(header: str) -> None:
    found = replayed(complete(header))
    assert found[0][:2] == ("activity", "start none None")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("temporalio").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("temporalio").setLevel(logging.NOTSET)
