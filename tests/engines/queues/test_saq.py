"""Jobs of SAQ see the values of the code that enqueues them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import ctxvars

pytest.importorskip("saq", reason="SAQ is not installed: pip install saq[redis]")

import saq
from saq.queue.base import JobError

from ctxvars.integrations.saq import RECEIVED, install, uninstall
from tests.engines import jobs
from tests.engines.jobs import cart, private, tenant

pytestmark = pytest.mark.filterwarnings("default")
NOTHING = [None, None, None]
ACME = ["acme", None, None]
SIGNER = ctxvars.Signer({"key": b"k" * 32})

Main = Callable[[saq.Queue], Awaitable[Any]]


async def see(context: dict[str, Any]) -> jobs.Seen:
    return jobs.see_and_set()


def see_in_thread(context: dict[str, Any]) -> jobs.Seen:
    return jobs.see_and_set()


async def wait_for_ever(context: dict[str, Any]) -> None:
    jobs.see_and_set()
    await asyncio.Event().wait()


@pytest.fixture
def run(redis_url: str) -> Callable[[Main], Any]:
    """A function that runs a coroutine function with an empty queue."""

    async def with_queue(main: Main) -> Any:
        queue = saq.Queue.from_url(redis_url)
        await queue.connect()
        await queue.redis.flushdb()
        try:
            return await main(queue)
        finally:
            await queue.disconnect()

    return lambda main: asyncio.run(with_queue(main))


def worker_of(queue: saq.Queue, **options: Any) -> saq.Worker:
    options = {"functions": [see, see_in_thread, wait_for_ever], "concurrency": 1, **options}
    return saq.Worker(queue, **options)


async def work(worker: saq.Worker, count: int) -> None:
    """Process jobs in the task of the caller."""
    for _ in range(count):
        await worker.process()


async def result_of(job: Any) -> Any:
    await job.refresh(30)
    return job.result


@pytest.mark.parametrize("function", ["see", "see_in_thread"])
def test_jobs_see_the_values_of_their_sender_and_of_no_other_job(function: str, run: Any) -> None:
    async def main(queue: saq.Queue) -> list[Any]:
        worker = worker_of(queue)
        install(worker)
        sent = []
        for name in ("acme", "globex"):
            with tenant.scope(name), cart.scope(["stays"]):
                sent.append(await queue.enqueue(function))
        sent.append(await queue.enqueue(function))
        with tenant.scope("of the starter"):
            await work(worker, 3)
            assert tenant.get() == "of the starter"
        return [await result_of(each) for each in sent]

    assert run(main) == [ACME, ["globex", None, None], NOTHING]


def test_hooks_of_the_program_see_the_values(run: Any) -> None:
    found: list[object] = []

    async def see_in_hook(context: dict[str, Any]) -> None:
        found.append((tenant.get(None), context[RECEIVED].foreign))

    def see_in_thread_of_hook(context: dict[str, Any]) -> None:
        found.append(tenant.get(None))

    async def main(queue: saq.Queue) -> None:
        worker = worker_of(
            queue, before_process=see_in_hook, after_process=[see_in_hook, see_in_thread_of_hook]
        )
        install(worker)
        with tenant.scope("acme"):
            await queue.enqueue("see", meta={"baggage": "userId=alice"})
        await work(worker, 1)

    run(main)
    assert found == [("acme", ("userId=alice",))] * 2 + ["acme"]


def test_cron_jobs_do_not_see_the_values_of_the_starter(run: Any) -> None:
    found = []

    async def main(queue: saq.Queue) -> None:
        async def see_cron(context: dict[str, Any]) -> None:
            found.append(jobs.seen()[:2])
            worker.event.set()

        worker = worker_of(queue, cron_jobs=[saq.CronJob(see_cron, cron="* * * * * */1")])
        install(worker)
        with tenant.scope("of the starter"):
            await asyncio.create_task(worker.start())

    run(main)
    assert found == [(None, None)]


def test_a_job_that_is_enqueued_again_has_the_values_of_that_time(run: Any) -> None:
    async def main(queue: saq.Queue) -> list[Any]:
        worker, meta = worker_of(queue), {"baggage": "userId=alice"}
        install(worker)
        job, found = saq.Job("see", meta=meta), []
        for name in ("acme", None):
            with tenant.scope(name) if name else cart.scope(["stays"]):
                await queue.enqueue(job)
            await work(worker, 1)
            found.append([await result_of(job), job.meta["baggage"]])
            job.completed = 0
        assert meta == {"baggage": "userId=alice"}
        return found

    assert run(main) == [
        [ACME, "tests.engines.tenant=acme,userId=alice"],
        [NOTHING, "userId=alice"],
    ]


def test_a_timeout_leaves_nothing_behind(run: Any) -> None:
    async def main(queue: saq.Queue) -> Any:
        worker = worker_of(queue)
        install(worker)
        with tenant.scope("acme"):
            first = await queue.enqueue("wait_for_ever", timeout=0.01)
        second = await queue.enqueue("see")
        await work(worker, 2)
        await first.refresh()
        assert first.status == "failed"
        return await result_of(second)

    assert run(main) == NOTHING


@pytest.mark.parametrize(
    "text", ["%zz", "=", "tests.engines.tenant=%", "x=" + "y" * 1_000_000, "unknown=1", 5, [1], {}]
)
def test_no_text_fails_a_job(text: Any, run: Any) -> None:
    async def main(queue: saq.Queue) -> Any:
        worker = worker_of(queue)
        install(worker)
        uninstall(queue)
        sent = await queue.enqueue("see", meta={"baggage": text})
        install(queue)
        again = await queue.enqueue("see", meta={"baggage": text})
        await work(worker, 2)
        assert (await result_of(again))[0] is None
        return await result_of(sent)

    assert run(main)[0] in (None, "%")


def test_an_exception_of_an_encoder_is_raised_by_enqueue(run: Any) -> None:
    async def main(queue: saq.Queue) -> None:
        install(queue, to="process")
        with cart.scope(object()), pytest.raises(TypeError) as failed:
            await queue.enqueue("see")
        notes = failed.value.__notes__
        assert notes == ["while sending the portable variable 'tests.engines.cart'"]

    run(main)


def test_install_again_replaces_the_options(run: Any) -> None:
    async def main(queue: saq.Queue) -> list[Any]:
        settings: dict[str, Any] = {"queue": queue, "functions": [see]}
        install(settings)
        # Made of settings that are installed.
        worker = saq.Worker(**settings)
        install(worker, to="process", accept=["tests.engines.cart"])
        sent = []
        with tenant.scope("acme"), cart.scope(["tea"]):
            sent.append(await queue.enqueue("see"))
        await work(worker, 1)
        with tenant.scope("acme"):
            # Not signed.
            sent.append(await queue.enqueue("see"))
            install(worker, signer=SIGNER)
            sent.append(await queue.enqueue("see"))
        await work(worker, 2)
        uninstall(worker)
        assert (worker.startup, worker.before_process, worker.after_process) == (None,) * 3
        return [await result_of(each) for each in sent]

    assert run(main) == [[None, ["tea"], None], NOTHING, ACME]


def test_uninstall(run: Any) -> None:
    async def main(queue: saq.Queue) -> None:
        settings = {"queue": queue, "functions": [see], "startup": see, "before_process": None}
        worker = worker_of(queue, before_process=[see])
        for target in (settings, worker, queue):
            before = dict(target if isinstance(target, dict) else vars(target))
            with pytest.raises(ValueError, match="not installed"):
                uninstall(target)
            install(target)
            install(target)
            assert len(queue._before_enqueues) == 1
            uninstall(target)
            assert (target if isinstance(target, dict) else vars(target)) == before
        assert queue._before_enqueues == {}

    run(main)
    with pytest.raises(TypeError, match=r"must be a saq\.Queue"):
        install("queue")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'to'"):
        install({}, to="everywhere")  # type: ignore[arg-type]


@pytest.fixture
def worker(redis_url: str) -> Iterator[None]:
    """A worker in another process."""
    environment = {**os.environ, "CTXVARS_TEST_REDIS": redis_url}
    command = [sys.executable, "-m", "saq", "tests.engines.queues.saq_app.settings"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_jobs_in_another_process(run: Any, worker: None) -> None:
    async def main(queue: saq.Queue) -> None:
        install(queue)

        async def call(function: str, **options: Any) -> Any:
            return await queue.apply(function, poll_interval=0.01, **options)

        with tenant.scope("acme"), private.scope("stays"):
            assert (await call("see"))[:2] == ["acme", None]
            assert (await call("see_in_thread"))[:2] == ["acme", None]
            assert (await call("see_at_the_second_try", retries=2))[:2] == ["acme", None]
            with pytest.raises(JobError, match="a job"):
                await call("fails")
            assert [each[0] for each in await call("nested")] == ["acme", "of the job"]
        for function in ("see", "see_in_thread"):
            assert await call(function) == [None, None, "of the starter"]
        with ctxvars.deadline(60):
            assert 0 < await call("remaining_time") <= 60
        assert await call("remaining_time") is None

    run(main)
