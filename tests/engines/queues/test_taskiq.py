"""Tasks of taskiq see the values of the code that sends them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Annotated, Any

import pytest

import ctxvars

pytest.importorskip("taskiq", reason="taskiq is not installed: pip install taskiq")

import taskiq

from ctxvars.integrations.taskiq import PortableMiddleware, install, uninstall
from tests.engines import jobs
from tests.engines.jobs import cart, private, tenant

pytestmark = pytest.mark.filterwarnings("default")
NOTHING = None, None, None
ACME = "acme", None, None


@pytest.fixture
def broker() -> taskiq.InMemoryBroker:
    broker = taskiq.InMemoryBroker()
    install(broker)
    return broker


def copied(function: Any) -> Any:
    """Return a copy for taskiq, which renames a function that is in a module."""
    return FunctionType(function.__code__, function.__globals__, function.__name__)


async def result_of(task: Any, **labels: Any) -> Any:
    """Send a message, and return what the task returns."""
    sent = await task.kicker().with_labels(**labels).kiq()
    result = await sent.wait_result(timeout=30)
    result.raise_for_error()
    return result.return_value


def seen_by(task: Any, **labels: Any) -> Any:
    return asyncio.run(result_of(task, **labels))


@pytest.mark.parametrize("function", [jobs.see_and_set, jobs.see_and_set_async])
def test_tasks_see_the_values_of_their_sender_and_of_no_earlier_task(
    function: Any, broker: taskiq.InMemoryBroker
) -> None:
    task = broker.task(copied(function))

    async def main() -> None:
        with tenant.scope("acme"), cart.scope(["stays"]):
            assert await result_of(task) == ACME
        with tenant.scope("globex"):
            assert await result_of(task) == ("globex", None, None)
        assert await result_of(task) == NOTHING

    asyncio.run(main())


def test_a_task_without_a_label_has_no_values(broker: taskiq.InMemoryBroker) -> None:
    task = broker.task(copied(jobs.seen))
    broker.middlewares[0].pre_send = lambda message: message  # type: ignore[method-assign]
    with tenant.scope("of the starter"):
        assert seen_by(task) == NOTHING


def test_a_message_in_the_task_of_its_sender_leaves_nothing_behind() -> None:
    broker = taskiq.InMemoryBroker(await_inplace=True)
    install(broker)
    see = broker.task(copied(jobs.see_and_set_async))

    async def outer() -> list[jobs.Seen]:
        tenant.set("of the task")
        return [await result_of(see), jobs.seen()]

    nested = broker.task(outer)

    async def main() -> None:
        with tenant.scope("acme"):
            assert (await result_of(see))[0] == "acme"
            assert tenant.get() == "acme"
            found = await result_of(nested)
            assert [each[0] for each in found] == ["of the task", "of the task"]
            assert tenant.get() == "acme"
        assert tenant.get(None) is None

    asyncio.run(main())


def test_a_deadline(broker: taskiq.InMemoryBroker) -> None:
    task = broker.task(copied(jobs.remaining))
    with ctxvars.deadline(60):
        assert 0 < seen_by(task) <= 60
    assert seen_by(task) is None


@pytest.mark.parametrize("is_first", [True, False])
def test_a_retry_has_the_values_of_the_first_message(is_first: bool) -> None:
    broker = taskiq.InMemoryBroker()
    if is_first:
        install(broker)
    broker.add_middlewares(taskiq.SimpleRetryMiddleware(default_retry_count=5))
    install(broker)
    found, times = [], []

    @broker.task(retry_on_error=True)
    async def fail_twice() -> None:
        found.append(jobs.see_and_set())
        times.append(ctxvars.remaining_time())
        if len(found) < 3:
            raise OSError("try again")

    async def main(labels: dict[str, str]) -> dict[str, Any]:
        sent = await fail_twice.kicker().with_labels(**labels).kiq()
        for _ in range(3):
            await broker.wait_all()
        return (await sent.wait_result()).labels

    labels = asyncio.run(main({}))
    # This broker runs a retry in the context of the task that sends it, as `create_task` does.
    assert [each[:2] for each in found] == [NOTHING[:2]] * 3
    assert labels.keys() == {"_retries", "retry_on_error"}
    found.clear()
    times.clear()
    with tenant.scope("acme"), ctxvars.deadline(60):
        labels = asyncio.run(main({"baggage": "userId=alice"}))
    assert [each[:2] for each in found] == [ACME[:2]] * 3
    assert 60 >= times[0] >= times[1] >= times[2] > 0
    assert labels["baggage"].startswith("tests.engines.tenant=acme,")
    assert labels["baggage"].endswith(",userId=alice")


def test_a_timeout_and_an_exception_leave_nothing_behind(broker: taskiq.InMemoryBroker) -> None:
    async def wait_for_ever() -> None:
        jobs.see_and_set()
        await asyncio.Event().wait()

    waits, fails, sees = map(broker.task, (wait_for_ever, copied(jobs.fail), copied(jobs.seen)))
    with tenant.scope("acme"):
        with pytest.raises(TimeoutError):
            seen_by(waits, timeout=0.01)
        with pytest.raises(KeyError, match="a job"):
            seen_by(fails)
    assert seen_by(sees) == NOTHING


def test_dependencies_see_the_values(broker: taskiq.InMemoryBroker) -> None:
    async def seen_with(found: Annotated[Any, taskiq.TaskiqDepends(jobs.seen)]) -> Any:
        return found

    task = broker.task(seen_with)
    with tenant.scope("acme"):
        assert seen_by(task) == ACME


@pytest.mark.parametrize(
    "label",
    ["%zz", "=", "tests.engines.tenant=%", "x=" + "y" * 1_000_000, "unknown=1", 5, [1], None, ""],
)
def test_no_label_fails_a_task(label: Any, broker: taskiq.InMemoryBroker) -> None:
    task = broker.task(copied(jobs.seen))
    broker.middlewares[0].pre_send = lambda message: message  # type: ignore[method-assign]
    assert seen_by(task, baggage=label)[0] in (None, "%")


def test_other_members_of_the_label_stay(broker: taskiq.InMemoryBroker) -> None:
    async def baggage(context: Annotated[taskiq.Context, taskiq.TaskiqDepends()]) -> Any:
        return context.message.labels["baggage"]

    task = broker.task(baggage)
    with tenant.scope("acme"):
        assert seen_by(task, baggage="userId=alice") == "tests.engines.tenant=acme,userId=alice"


def test_an_exception_of_an_encoder_is_raised_by_kiq(broker: taskiq.InMemoryBroker) -> None:
    uninstall(broker)
    install(broker, to="process")
    task = broker.task(copied(jobs.seen))
    with cart.scope(object()), pytest.raises(TypeError) as failed:
        seen_by(task)
    assert failed.value.__notes__ == ["while sending the portable variable 'tests.engines.cart'"]


def test_install_again_replaces_the_options(broker: taskiq.InMemoryBroker) -> None:
    task = broker.task(copied(jobs.seen))
    install(broker, to="process", accept=["tests.engines.cart"])
    assert len(broker.middlewares) == 1
    with tenant.scope("acme"), cart.scope(["tea"]):
        assert seen_by(task) == (None, ["tea"], None)
        uninstall(broker)
        assert broker.middlewares == []
        with pytest.raises(ValueError, match="not installed"):
            uninstall(broker)
        install(broker, signer=ctxvars.Signer({"key": b"k" * 32}))
        assert seen_by(task) == ACME
        broker.middlewares[0].pre_send = lambda message: message  # type: ignore[method-assign]
        assert seen_by(task, baggage="tests.engines.tenant=forged")[0] is None


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="must be a taskiq"):
        install("broker")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'to'"):
        PortableMiddleware(to="everywhere")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def app(redis_url: str) -> Iterator[Any]:
    """The application, with a worker in another process."""
    pytest.importorskip("redis", reason="redis is not installed: pip install redis")
    os.environ["CTXVARS_TEST_REDIS"] = redis_url
    with tenant.scope("of the importer"), private.scope("of the importer"):
        from tests.engines.queues import taskiq_app
    command = [sys.executable, "-m", "taskiq", "worker", "tests.engines.queues.taskiq_app:broker"]
    worker = subprocess.Popen([*command, "--workers", "1", "--max-threadpool-threads", "1"])
    try:
        yield taskiq_app
    finally:
        worker.terminate()
        worker.wait(30)


def test_tasks_in_another_process(app: Any) -> None:
    async def main() -> None:
        for task in (app.see, app.see_in_thread):
            with tenant.scope("acme"), private.scope("stays"):
                assert [*await result_of(task)][:2] == ["acme", None]
            assert [*await result_of(task)] == [None, None, "of the starter"]
        with tenant.scope("acme"):
            found = await result_of(app.nested)
            assert [each[0] for each in found] == ["acme", "of the task"]
        with ctxvars.deadline(60):
            assert 0 < await result_of(app.remaining_time) <= 60
        assert await result_of(app.remaining_time) is None
        with tenant.scope("acme"):
            sent = await app.see_after_failure.kiq()
        while (result := await sent.wait_result(timeout=30)).is_err:
            # The retry has not finished.
            await asyncio.sleep(0.05)
        assert [*result.return_value] == ["acme", None, "of the starter"]
        await app.redis.aclose()

    asyncio.run(main())
