"""Jobs of arq see the values of the code that enqueues them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

import ctxvars

pytest.importorskip("arq", reason="arq is not installed: pip install arq")

import arq
from arq.connections import RedisSettings
from arq.jobs import SerializationError

from ctxvars.integrations.arq import install, uninstall
from tests.engines import jobs
from tests.engines.jobs import cart, private, tenant

pytestmark = pytest.mark.filterwarnings("default")
NOTHING = None, None, None
ACME = "acme", None, None
SIGNER = ctxvars.Signer({"key": b"k" * 32})

Main = Callable[[arq.ArqRedis], Awaitable[Any]]


async def see(ctx: dict[str, Any]) -> jobs.Seen:
    return jobs.see_and_set()


async def wait_for_ever(ctx: dict[str, Any]) -> None:
    jobs.see_and_set()
    await asyncio.Event().wait()


@pytest.fixture
def run(redis_url: str) -> Callable[[Main], Any]:
    """A function that runs a coroutine function with an empty Redis."""

    async def with_redis(main: Main) -> Any:
        redis = await arq.create_pool(RedisSettings.from_dsn(redis_url))
        await redis.flushdb()
        try:
            return await main(redis)
        finally:
            await redis.aclose()

    return lambda main: asyncio.run(with_redis(main))


async def work(redis: arq.ArqRedis, *functions: Any, **options: Any) -> arq.Worker:
    """Run a worker until all jobs are done."""
    accept = options.pop("accept", "internal")
    signer = options.pop("signer", None)
    options = {"burst": True, "handle_signals": False, "poll_delay": 0.01, **options}
    worker = arq.Worker(functions or (see,), redis_pool=redis, **options)
    install(worker, accept=accept, signer=signer)
    await worker.async_run()
    return worker


async def result_of(job: Any) -> Any:
    return await job.result(timeout=30, poll_delay=0.01)


def test_jobs_see_the_values_of_their_sender_and_of_no_other_job(run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> list[jobs.Seen]:
        install(redis)
        sent = []
        for name in ("acme", "globex"):
            with tenant.scope(name), cart.scope(["stays"]):
                sent.append(await redis.enqueue_job("see"))
        sent.append(await redis.enqueue_job("see"))
        with tenant.scope("of the starter"):
            await work(redis, max_jobs=1)
        return [await result_of(each) for each in sent]

    assert run(main) == [ACME, ("globex", None, None), NOTHING]


def test_hooks_of_the_program_see_the_values(run: Any) -> None:
    found: list[object] = []

    async def see_in_hook(ctx: dict[str, Any]) -> None:
        found.append((tenant.get(None), ctx.get("job_try")))

    async def main(redis: arq.ArqRedis) -> None:
        install(redis)
        with tenant.scope("acme"):
            await redis.enqueue_job("see")
        with tenant.scope("of the starter"):
            await work(
                redis, **dict.fromkeys(("on_startup", "on_job_start", "on_job_end"), see_in_hook)
            )

    run(main)
    assert found == [(None, None), ("acme", 1), ("acme", 1)]


def test_cron_jobs_do_not_see_the_values_of_the_starter(run: Any) -> None:
    found = []

    async def see_cron(ctx: dict[str, Any]) -> None:
        found.append(jobs.seen()[:2])

    async def main(redis: arq.ArqRedis) -> None:
        install(redis)
        cron = arq.cron(see_cron, run_at_startup=True, month=1, day=1)
        with tenant.scope("of the starter"):
            await work(redis, cron_jobs=[cron], max_burst_jobs=1)

    run(main)
    assert found == [NOTHING[:2]]


def test_a_timeout_and_an_abort_leave_nothing_behind(run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> None:
        install(redis)
        with tenant.scope("acme"):
            first = await redis.enqueue_job("wait_for_ever")
        second = await redis.enqueue_job("see")
        functions = [arq.func(wait_for_ever, timeout=0.01), see]
        await work(redis, *functions, max_jobs=1)
        with pytest.raises(TimeoutError):
            await result_of(first)
        assert await result_of(second) == NOTHING

    run(main)


def test_other_serializers(run: Any) -> None:
    def dumps(data: dict[str, Any]) -> bytes:
        return json.dumps(data).encode()

    async def main(redis: arq.ArqRedis) -> None:
        redis.job_serializer, redis.job_deserializer = dumps, json.loads
        install(redis)
        with tenant.scope("acme"):
            sent = await redis.enqueue_job("see")
        serialized = await redis.get(f"arq:job:{sent.job_id}")
        assert json.loads(serialized)["baggage"] == "tests.engines.tenant=acme"
        await work(redis, job_serializer=dumps, job_deserializer=json.loads)
        assert await result_of(sent) == [*ACME]
        info = await sent.info()
        assert (info.args, info.kwargs) == ([], {})

    run(main)


@pytest.mark.parametrize(
    "text", ["%zz", "=", "tests.engines.tenant=%", "x=" + "y" * 1_000_000, "unknown=1", 5, [1], {}]
)
def test_no_text_fails_a_job(text: Any, run: Any) -> None:
    import pickle

    async def main(redis: arq.ArqRedis) -> Any:
        redis.job_serializer = lambda data: pickle.dumps({**data, "baggage": text})
        sent = await redis.enqueue_job("see")
        await work(redis)
        return await result_of(sent)

    assert run(main)[0] in (None, "%")


def test_workers_without_the_integration_run_the_jobs(run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> Any:
        install(redis)
        with tenant.scope("acme"):
            sent = await redis.enqueue_job("see")
        options = {"burst": True, "handle_signals": False, "poll_delay": 0.01}
        await arq.Worker([see], redis_pool=redis, **options).async_run()
        return await result_of(sent)

    assert run(main) == NOTHING


def test_an_exception_of_an_encoder_is_raised_by_enqueue_job(run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> None:
        install(redis, to="process")
        with cart.scope(object()), pytest.raises(SerializationError) as failed:
            await redis.enqueue_job("see")
        notes = failed.value.__cause__.__notes__  # type: ignore[union-attr]
        assert notes == ["while sending the portable variable 'tests.engines.cart'"]

    run(main)


def test_install_again_replaces_the_options(run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> list[Any]:
        install(redis)
        install(redis, to="process")
        sent = []
        with tenant.scope("acme"), cart.scope(["tea"]):
            sent.append(await redis.enqueue_job("see"))
        await work(redis, accept=["tests.engines.cart"])
        with tenant.scope("acme"):
            # Not signed.
            sent.append(await redis.enqueue_job("see"))
            install(redis, signer=SIGNER)
            sent.append(await redis.enqueue_job("see"))
        await work(redis, signer=SIGNER)
        return [await result_of(each) for each in sent]

    assert run(main) == [(None, ["tea"], None), NOTHING, ACME]


def test_uninstall(run: Any) -> None:
    class Settings:
        functions = (see,)

        async def on_startup(ctx: Any) -> None:
            pass

    as_dict = {"functions": [see], "on_job_start": None}
    before = dict(vars(Settings)), dict(as_dict)
    for target in (Settings, as_dict):
        with pytest.raises(ValueError, match="not installed"):
            uninstall(target)
        install(target)
        install(target)
        uninstall(target)
    assert (dict(vars(Settings)), as_dict) == before

    async def main(redis: arq.ArqRedis) -> None:
        for target in (redis, arq.Worker([see], redis_pool=redis, handle_signals=False)):
            before = dict(vars(target))
            install(target)
            uninstall(target)
            assert vars(target) == before

    run(main)
    with pytest.raises(TypeError, match=r"must be an arq\.ArqRedis"):
        install("redis")
    with pytest.raises(ValueError, match="'to'"):
        install(Settings, to="everywhere")  # type: ignore[arg-type]


@pytest.fixture
def worker(redis_url: str) -> Iterator[None]:
    """A worker in another process."""
    environment = {**os.environ, "CTXVARS_TEST_REDIS": redis_url}
    command = [sys.executable, "-m", "arq", "tests.engines.queues.arq_app.Settings"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_jobs_in_another_process(worker: None, run: Any) -> None:
    async def main(redis: arq.ArqRedis) -> None:
        install(redis)

        async def call(function: str) -> Any:
            return await result_of(await redis.enqueue_job(function))

        with tenant.scope("acme"), private.scope("stays"):
            assert (await call("see"))[:2] == ("acme", None)
            assert (await call("see_at_the_second_try"))[:2] == ("acme", None)
            with pytest.raises(KeyError, match="a job"):
                await call("fails")
            assert [each[0] for each in await call("nested")] == ["acme", "of the job"]
        assert await call("see") == (None, None, "of the starter")
        with ctxvars.deadline(60):
            assert 0 < await call("remaining_time") <= 60
        assert await call("remaining_time") is None

    run(main)
