"""Jobs of RQ have the values of the code that enqueues them, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rq", reason="it is the engine")

from redis import Redis
from rq import Callback, Queue, Retry, SimpleWorker, SpawnWorker, Worker
from rq.job import Job
from rq.results import Result
from rq.timeouts import JobTimeoutException

import ctxvars
from ctxvars.integrations.rq import ContextJob, install, uninstall
from tests.engines.queues import rq_app as jobs
from tests.portable.jobs import private, tenant

TIMEOUT = 60
pytestmark = pytest.mark.timeout(2 * TIMEOUT)
EMPTY = [None, None, None, None]
QueueOf = Callable[..., Queue]


@pytest.fixture(scope="module")
def connection(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as found:
        yield found


@pytest.fixture(scope="module")
def queue_of(
    redis_url: str, connection: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[QueueOf]:
    """Returns a queue with a worker of a class, which is started when it is first needed."""
    workers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def find(worker: type[Any] = Worker, job: type[Job] = ContextJob) -> Queue:
        name = f"{worker.__name__}-{job.__name__}"
        if name not in workers:
            log = tmp_path_factory.mktemp("rq") / "log"
            workers[name] = _start(worker, job, name, redis_url, log), log
        return Queue(name, connection=connection, job_class=job)

    try:
        yield find
    finally:
        for process, _ in workers.values():
            process.terminate()
        for process, log in workers.values():
            try:
                process.wait(TIMEOUT)
            finally:
                process.kill()
                process.wait()
                print(log.read_text())


def _start(
    worker: type[Any], job: type[Job], queue: str, url: str, log: Path
) -> subprocess.Popen[bytes]:
    code = f"from {jobs.__name__} import *; set_values_of_worker(); from rq.cli import main; main()"
    command = [sys.executable, "-c", code]
    command += ["worker", "--url", url, "--job-class", f"{job.__module__}.{job.__name__}"]
    command += ["--worker-class", f"rq.worker.{worker.__name__}", queue]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


@pytest.fixture
def queue(queue_of: QueueOf) -> Queue:
    return queue_of()


def result_of(job: Job) -> Any:
    found = job.latest_result(TIMEOUT)
    assert found is not None
    assert found.type == Result.Type.SUCCESSFUL, found.exc_string
    return found.return_value


def error_of(job: Job) -> str:
    found = job.latest_result(TIMEOUT)
    assert found is not None
    assert found.type == Result.Type.FAILED
    return str(found.exc_string)


@pytest.mark.parametrize("worker", [Worker, SimpleWorker, SpawnWorker], ids=lambda it: it.__name__)
def test_jobs_see_the_values_of_their_creator_and_of_no_earlier_job(
    worker: type[Any], queue_of: QueueOf
) -> None:
    queue = queue_of(worker)
    with tenant.scope("acme"), private.scope("of the sender"):
        assert result_of(queue.enqueue(jobs.see_and_set, "left")) == ["acme", None, None, None]
    assert result_of(queue.enqueue(jobs.see_and_set, "left")) == EMPTY
    with tenant.scope("globex & sons"), ctxvars.deadline(100):
        *values, remaining = result_of(queue.enqueue(jobs.see_and_set_async, "left"))
    assert values == ["globex & sons", None, None]
    assert 0 < remaining <= 100
    assert "KeyError" in error_of(queue.enqueue(jobs.fail, "left"))
    assert result_of(queue.enqueue(jobs.seen)) == EMPTY


def test_a_job_that_a_job_enqueues_has_the_current_values(queue: Queue) -> None:
    with tenant.scope("acme"):
        for value in ("globex", None):
            id = result_of(queue.enqueue(jobs.enqueue_other, value))
            assert result_of(Job.fetch(id, queue.connection))[0] == value


def test_many_jobs_and_dependent_jobs_have_the_values_of_their_creator(queue: Queue) -> None:
    with tenant.scope("acme"):
        many = queue.enqueue_many([Queue.prepare_data(jobs.seen), Queue.prepare_data(jobs.seen)])
        dependent = queue.enqueue(jobs.seen, depends_on=many)
    assert [result_of(each)[0] for each in [*many, dependent]] == ["acme"] * 3


def test_a_job_that_is_due_later_has_the_values_of_its_creator(queue: Queue) -> None:
    with tenant.scope("acme"):
        job = ContextJob.create(jobs.seen, connection=queue.connection, origin=queue.name)
    with tenant.scope("globex"):
        assert result_of(queue.enqueue_job(job))[0] == "acme"


@pytest.mark.parametrize("worker", [Worker, SimpleWorker], ids=lambda it: it.__name__)
@pytest.mark.parametrize("function", [jobs.raise_at_each_try, jobs.retry_at_each_try])
def test_a_retry_sees_the_values_of_the_first_try(
    function: Callable[[], Any], worker: type[Any], queue_of: QueueOf
) -> None:
    queue = queue_of(worker)
    with tenant.scope("acme"), ctxvars.deadline(100):
        tries = final_result(queue, function)
    assert [each[:3] for each in tries] == [["acme", None, None]] * 3
    first, second, third = (each[3] for each in tries)
    assert 100 >= first > second > third > 0
    assert final_result(queue, function) == [EMPTY] * 3


def final_result(queue: Queue, function: Callable[[], Any]) -> Any:
    """Return the result of the last try, which Redis sets through a callback."""
    retry = Retry(max=2) if function is jobs.raise_at_each_try else None
    job = queue.enqueue(function, retry=retry, on_success=Callback(jobs.remember_result))
    answer = queue.connection.blpop([f"tests:{job.id}:result"], TIMEOUT)
    assert answer is not None
    return json.loads(answer[1])


def test_a_retry_is_signed_again(queue_of: QueueOf) -> None:
    queue = queue_of(Worker, jobs.SignedJob)
    with tenant.scope("acme"):
        assert [each[0] for each in final_result(queue, jobs.raise_at_each_try)] == ["acme"] * 3
        queue.job_class = ContextJob
        assert result_of(queue.enqueue(jobs.seen))[0] is None


def test_callbacks_see_the_values_of_the_job(queue: Queue) -> None:
    with tenant.scope("acme"):
        good = queue.enqueue(jobs.seen, on_success=Callback(jobs.remember))
        bad = queue.enqueue(jobs.fail, "set", on_failure=Callback(jobs.remember))
    result_of(good)
    error_of(bad)
    assert seen_by_callback(good) == ("acme", None, None)
    assert seen_by_callback(bad) == ("set", ["set"], "set")


def seen_by_callback(job: Job) -> Any:
    return tuple(json.loads(job.connection.get(f"tests:{job.id}")))


def test_a_timeout_leaves_no_values(queue_of: QueueOf) -> None:
    queue = queue_of(SimpleWorker)
    with tenant.scope("acme"):
        job = queue.enqueue(jobs.exceed_timeout, "left", job_timeout=1)
        assert JobTimeoutException.__name__ in error_of(job)
    assert result_of(queue.enqueue(jobs.seen)) == EMPTY


@pytest.mark.parametrize(
    "header",
    ["tests.tenant=%zz", "x" * 1_000_000, "tests.unknown=1,,;=", "tests.cart=[1]", ["a", 1], 1],
    ids=["escape", "size", "syntax", "level", "list", "number"],
)
def test_a_hostile_header_does_not_fail_a_job(header: Any, queue: Queue) -> None:
    # Not by this class, which would write the header anew.
    plain = Queue(queue.name, connection=queue.connection)
    assert result_of(plain.enqueue(jobs.seen, meta={"baggage": header})) == EMPTY


def test_a_job_fails_if_the_names_to_accept_are_wrong(queue_of: QueueOf) -> None:
    queue = queue_of(Worker, jobs.UndeclaredJob)
    with tenant.scope("acme"):
        assert "extract() cannot accept" in error_of(queue.enqueue(jobs.seen))


def test_a_value_that_cannot_be_sent_is_an_error_of_the_sender(queue: Queue) -> None:
    with tenant.scope("x" * 10_000), pytest.raises(ValueError, match=r"'tests\.tenant'"):
        queue.enqueue(jobs.seen)
    with tenant.scope(1), pytest.raises(TypeError) as info:  # type: ignore[arg-type]
        queue.enqueue(jobs.seen)
    assert info.value.__notes__ == ["while sending the portable variable 'tests.tenant'"]


# Without a worker process


def test_jobs_of_a_synchronous_queue_see_what_they_would_see_in_a_worker(
    connection: Redis,
) -> None:
    queue = Queue("sync", connection=connection, is_async=False)
    install(queue)
    with tenant.scope("acme"), private.scope("of the sender"):
        job = queue.enqueue(jobs.see_and_set, "left", on_success=Callback(jobs.remember))
        assert (tenant.get(), private.get()) == ("acme", "of the sender")
    assert result_of(job)[:2] == ["acme", None]
    assert seen_by_callback(job) == ("left", ["left"], "left")


def test_meta_is_kept_and_the_mapping_of_the_caller_is_not_changed(connection: Redis) -> None:
    queue = Queue("meta", connection=connection)
    install(queue)
    meta = {"owner": "Ada", 1: 2}
    with tenant.scope("acme"):
        job = queue.enqueue(jobs.seen, meta=meta)
    assert job.meta == {"owner": "Ada", 1: 2, "baggage": "tests.tenant=acme"}
    assert meta == {"owner": "Ada", 1: 2}
    assert queue.enqueue(jobs.seen).meta == {}


def test_install_replaces_and_uninstall_restores_the_classes_of_jobs(connection: Redis) -> None:
    class OwnJob(Job):
        pass

    own = Queue("own", connection=connection, job_class=OwnJob)
    worker = SimpleWorker([own, Queue("plain", connection=connection)], connection=connection)
    targets = [worker, *worker.queues]
    before = [each.job_class for each in targets]
    attributes = [set(vars(each)) for each in targets]
    install(worker, to="public")
    for each, base in zip(targets, before, strict=True):
        assert issubclass(each.job_class, ContextJob)
        assert issubclass(each.job_class, base)
    with tenant.scope("acme"):
        assert own.enqueue(jobs.seen).meta == {}
        install(worker)
        assert own.enqueue(jobs.seen).meta == {"baggage": "tests.tenant=acme"}
    # A SpawnWorker sends the path of the class.
    assert worker.job_class is ContextJob
    uninstall(worker)
    assert [each.job_class for each in targets] == before
    assert [set(vars(each)) for each in targets] == attributes
    with pytest.raises(ValueError, match="rq is not installed for <rq"):
        uninstall(worker)


def test_all_queues_of_a_class_can_send_values(connection: Redis) -> None:
    class OwnQueue(Queue):
        pass

    install(OwnQueue)
    with tenant.scope("acme"):
        assert OwnQueue("own", connection=connection).enqueue(jobs.seen).meta
        assert not Queue("own", connection=connection).enqueue(jobs.seen).meta
        uninstall(OwnQueue)
        assert not OwnQueue("own", connection=connection).enqueue(jobs.seen).meta


def test_options_of_classes_are_inherited() -> None:
    class Public(jobs.SignedJob, to="public"):
        pass

    assert Public._ctxvars_options == ("public", "internal", jobs.signer)
    with pytest.raises(ValueError, match=r"Wrong\(\) argument 'to'"):
        type("Wrong", (ContextJob,), {}, to="far")


def test_install_refuses_objects_that_are_neither_queues_nor_workers() -> None:
    with pytest.raises(TypeError, match=r"install\(\) argument 'target' must be a queue or a"):
        install("tests")  # type: ignore[arg-type]
