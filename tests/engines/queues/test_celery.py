"""Tasks of Celery have the values of the code that sends them, and no others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("celery", reason="it is the engine")

from celery import Celery, chain, chord, group, signals
from celery.exceptions import SoftTimeLimitExceeded, WorkerLostError

import ctxvars
import ctxvars.integrations.celery
from tests.engines.queues import celery_app as tasks
from tests.engines.queues.celery_app import app, signer
from tests.portable.jobs import private, tenant

TIMEOUT = 60
pytestmark = pytest.mark.timeout(2 * TIMEOUT)
Start = Callable[..., None]


@pytest.fixture(scope="module")
def configuration(redis_url: str) -> dict[str, Any]:
    """The broker and the store of results."""
    return {
        "broker_url": redis_url,
        "result_backend": redis_url,
        "broker_connection_retry_on_startup": True,
        "worker_lost_wait": 0.1,
        "worker_redirect_stdouts": False,
    }


@pytest.fixture(scope="module")
def worker_of(
    configuration: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Starts a worker, once for each of its arguments, and sends all further tasks to it."""
    app.conf.update(configuration)
    app.conf.task_routes = (lambda *_, **__: {"queue": current[0]},)
    current = [""]
    workers: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def start(pool: str = "prefork", **environment: str) -> None:
        queue = f"tests-{pool}-{'-'.join(environment)}"
        if queue not in workers:
            conf = configuration | {"task_default_queue": queue}
            conf["worker_pool_start_method"] = environment.get("START", "fork")
            log = tmp_path_factory.mktemp("worker") / "log"
            environment["TEST_CELERY"] = json.dumps(conf)
            workers[queue] = _worker(pool, environment, log), log
        current[0] = queue

    try:
        yield start
    finally:
        app.close()
        # All at once, because a worker takes seconds to stop.
        for process, _ in workers.values():
            process.terminate()
        for process, log in workers.values():
            try:
                process.wait(TIMEOUT)
            finally:
                process.kill()
                process.wait()
                print(log.read_text())


def _worker(pool: str, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "--app", tasks.__name__, "worker"]
    command += ["--pool", pool, "--concurrency", "1", "--loglevel", "WARNING"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    with log.open("w") as file:
        return subprocess.Popen(command, env=os.environ | environment, stdout=file, stderr=file)


@pytest.fixture
def worker(worker_of: Start) -> None:
    worker_of()


@pytest.fixture(autouse=True)
def _options_are_restored() -> Iterator[None]:
    yield
    ctxvars.integrations.celery.install(app)


def result_of(sent: Any) -> Any:
    return sent.get(timeout=TIMEOUT, interval=0.02)


def result_of_id(id: str) -> Any:
    return result_of(app.AsyncResult(id))


EMPTY = [None, None, None, None]


@pytest.mark.parametrize(
    ("pool", "environment"),
    [
        ("prefork", {}),
        ("prefork", {"START": "spawn"}),
        ("threads", {}),
        ("solo", {}),
    ],
    ids=["prefork", "spawn", "threads", "solo"],
)
def test_tasks_see_the_values_of_their_sender_and_of_no_earlier_task(
    pool: str, environment: dict[str, str], worker_of: Start
) -> None:
    worker_of(pool, **environment)
    with tenant.scope("acme"), private.scope("of the sender"):
        assert result_of(tasks.see_and_set.delay("left")) == ["acme", None, None, None]
    assert result_of(tasks.see_and_set.delay("left")) == EMPTY
    with tenant.scope("globex & sons"), ctxvars.deadline(100):
        *values, remaining = result_of(tasks.see_and_set.delay("left"))
    assert values == ["globex & sons", None, None]
    assert 0 < remaining <= 100
    with pytest.raises(KeyError):
        result_of(tasks.fail.delay("left"))
    assert result_of(tasks.see.delay()) == EMPTY
    with tenant.scope("acme"):
        assert result_of_id(result_of(tasks.send_other.delay("globex")))[0] == "globex"


@pytest.mark.usefixtures("worker")
def test_a_task_that_a_task_sends_sees_the_current_values_of_that_task() -> None:
    with tenant.scope("acme"):
        assert result_of_id(result_of(tasks.send_other.delay("globex")))[0] == "globex"
        assert result_of_id(result_of(tasks.send_other.delay(None)))[0] is None


@pytest.mark.usefixtures("worker")
def test_steps_of_a_chain_see_values_that_earlier_steps_have_set() -> None:
    with tenant.scope("acme"):
        steps = chain(tasks.append.s([]), tasks.append.s("globex"), tasks.append.s())
        assert result_of(steps.delay()) == ["acme", "acme", "globex"]


@pytest.mark.usefixtures("worker")
def test_groups_chords_and_callbacks_see_the_values_of_their_sender() -> None:
    with tenant.scope("acme"):
        sent_group = group(tasks.see.s(), tasks.see.s()).delay()
        sent_chord = chord([tasks.see.s(), tasks.see.s()], tasks.collect.s()).delay()
        callback = tasks.append.s()
        callback.freeze()
        sent = tasks.append.apply_async([[]], link=callback)
    assert [each[0] for each in result_of(sent_group)] == ["acme", "acme"]
    assert result_of(sent_chord) == [["acme", "acme"], "acme"]
    assert result_of(sent) == ["acme"]
    assert result_of_id(callback.id) == ["acme", "acme"]


@pytest.mark.usefixtures("worker")
def test_a_signature_is_sent_with_the_values_of_the_moment() -> None:
    with tenant.scope("acme"):
        signature = tasks.see.s()
    with tenant.scope("globex"):
        assert result_of(signature.delay())[0] == "globex"
    assert result_of(signature.delay())[0] is None


@pytest.mark.usefixtures("worker")
def test_headers_of_a_signature_are_merged_and_stay_as_they_are() -> None:
    headers = {"baggage": "userId=alice,tests.tenant=initech"}
    signature = tasks.see_header.s().set(headers=headers)
    with tenant.scope("acme"):
        assert result_of(signature.delay()) == ["acme", "tests.tenant=acme,userId=alice"]
    assert headers == {"baggage": "userId=alice,tests.tenant=initech"}
    assert result_of(signature.delay())[0] == "initech"


@pytest.mark.usefixtures("worker")
def test_a_retry_sees_the_values_of_the_first_try() -> None:
    with tenant.scope("acme"):
        tries = result_of(tasks.see_at_each_try.delay([]))
    assert [each[:3] for each in tries] == [["acme", None, None]] * 3
    tries = result_of(tasks.see_at_each_try.delay([]))
    assert [each[:3] for each in tries] == [[None, None, None]] * 3


@pytest.mark.usefixtures("worker")
def test_the_time_of_the_tries_counts_for_the_deadline() -> None:
    with ctxvars.deadline(100):
        tries = result_of(tasks.see_at_each_try.delay([]))
    first, second, third = (each[3] for each in tries)
    assert 100 >= first > second > third > 0


def test_a_retry_is_signed_again_and_other_members_stay(worker_of: Start) -> None:
    worker_of(TEST_SIGNED="")
    ctxvars.integrations.celery.install(app, signer=signer)
    with tenant.scope("acme"):
        sent = tasks.see_at_each_try.apply_async([[]], headers={"baggage": "userId=alice"})
        tries = result_of(sent)
    assert [each[0] for each in tries] == ["acme"] * 3
    for *_, header in tries:
        assert header.startswith("tests.tenant=acme,ctxvars.signature=")
        assert header.endswith(",userId=alice")
    ctxvars.integrations.celery.install(app)
    with tenant.scope("acme"):
        assert result_of(tasks.see.delay())[0] is None


@pytest.mark.usefixtures("worker")
def test_current_values_win_over_a_receiver_that_replaces_the_header() -> None:
    # OpenTelemetry writes what the task has received, not what it has set since.
    header = "tests.tenant=received,tests.cart=[],userId=alice"
    with tenant.scope("acme"):
        sent = result_of(tasks.replace_receiver_and_send.delay(header))
        assert result_of_id(sent) == ["acme", "tests.tenant=acme,userId=alice"]
    sent = result_of(tasks.replace_receiver_and_send.delay(header))
    assert result_of_id(sent) == [None, "userId=alice"]


@pytest.mark.usefixtures("worker")
def test_receivers_of_postrun_see_the_values_of_the_task() -> None:
    result_of(tasks.seen_by_receivers.delay())
    with tenant.scope("acme"):
        result_of(tasks.see.delay())
    # The task before has removed those that were seen earlier, and sets no value.
    assert result_of(tasks.seen_by_receivers.delay()) == [None, "acme"]


@pytest.mark.usefixtures("worker")
def test_a_soft_time_limit_leaves_no_values() -> None:
    with tenant.scope("acme"), pytest.raises(SoftTimeLimitExceeded):
        result_of(tasks.exceed_soft_limit.delay("left"))
    assert result_of(tasks.see.delay()) == EMPTY


@pytest.mark.usefixtures("worker")
def test_a_process_that_takes_the_place_of_a_killed_one_has_no_values() -> None:
    with tenant.scope("acme"), pytest.raises(WorkerLostError):
        result_of(tasks.kill_the_process.delay())
    assert result_of(tasks.see.delay()) == EMPTY


@pytest.mark.usefixtures("worker")
def test_a_task_in_a_task_sees_portable_values_and_changes_nothing() -> None:
    assert result_of(tasks.apply_nested.delay()) == [["outer", None], ["outer", None, "outer"]]


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    "header",
    [
        "tests.tenant=%zz",
        "x" * 1_000_000,
        "tests.unknown=1,,;=",
        "tests.tenant=a,tests.tenant=b",
        "tests.cart=[1]",
        ["tests.tenant", 1],
        {"tests.tenant": "a"},
        1,
        None,
    ],
    ids=["escape", "size", "syntax", "repeated", "level", "list", "mapping", "number", "none"],
)
def test_a_hostile_header_does_not_fail_a_task(header: Any) -> None:
    # Not by the app, which would write the header anew.
    with Celery("another", set_as_current=False) as other:
        other.conf.update(app.conf.changes)
        id = other.send_task(tasks.see.name, headers={"baggage": header}).id
    assert result_of_id(id) == EMPTY


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("protocol", [1, 2])
def test_values_travel_by_each_version_of_the_protocol(protocol: int) -> None:
    with Celery("another", set_as_current=False) as other:
        other.conf.update(app.conf.changes, task_protocol=protocol)
        ctxvars.integrations.celery.install(other)
        with tenant.scope("acme"):
            id = other.send_task(tasks.see.name).id
        ctxvars.integrations.celery.uninstall(other)
    assert result_of_id(id)[0] == "acme"


@pytest.mark.usefixtures("worker")
def test_a_task_runs_without_values_if_the_names_to_accept_are_wrong() -> None:
    result_of(tasks.set_undeclared_name.delay())
    with tenant.scope("acme"):
        assert result_of(tasks.see.delay()) == EMPTY
        result_of(tasks.set_default_options.delay())
        assert result_of(tasks.see.delay())[0] == "acme"


@pytest.mark.usefixtures("worker")
def test_a_value_that_cannot_be_sent_is_an_error_of_the_sender() -> None:
    with tenant.scope("x" * 10_000), pytest.raises(ValueError, match=r"'tests\.tenant'"):
        tasks.see.delay()
    with tenant.scope(1), pytest.raises(TypeError) as info:  # type: ignore[arg-type]
        tasks.see.delay()
    assert info.value.__notes__ == ["while sending the portable variable 'tests.tenant'"]


# Without a worker


def test_eager_tasks_see_what_they_would_see_in_a_worker() -> None:
    app.conf.task_always_eager = True
    try:
        with tenant.scope("acme"), private.scope("of the sender"):
            assert tasks.see_and_set.delay("left").get()[:2] == ["acme", None]
            assert (tenant.get(), private.get()) == ("acme", "of the sender")
            with pytest.raises(KeyError):
                tasks.fail.delay("left").get()
            assert tenant.get() == "acme"
            assert chain(tasks.append.s([], "b"), tasks.append.s()).delay().get() == ["acme"] * 2
        assert tasks.see.delay().get()[0] is None
    finally:
        app.conf.task_always_eager = False


def test_apply_and_its_retries_see_the_values_of_the_caller() -> None:
    with tenant.scope("acme"), ctxvars.deadline(100):
        tries = tasks.see_at_each_try.apply([[]]).get()
        assert [each[:2] for each in tries] == [["acme", None]] * 3
        assert all(0 < each[3] <= 100 for each in tries)


def test_calling_a_task_is_a_plain_call() -> None:
    with tenant.scope("acme"), private.scope("of the caller"):
        assert tasks.see()[:3] == ["acme", None, "of the caller"]


def test_uninstall_leaves_the_app_and_the_signals_as_they_were() -> None:
    ctxvars.integrations.celery.uninstall(app)
    hooks = signals.before_task_publish, signals.task_prerun, signals.worker_process_init
    before = [list(each.receivers) for each in hooks]
    assert not any(before[:2])
    assert "send_task" not in vars(app)
    ctxvars.integrations.celery.install(app, to="public")
    ctxvars.integrations.celery.install(app)
    assert [len(each.receivers) for each in hooks] == [len(each) + 1 for each in before]
    ctxvars.integrations.celery.uninstall(app)
    assert [each.receivers for each in hooks] == before
    assert "send_task" not in vars(app)
    with tenant.scope("acme"), private.scope("seen"):
        assert tasks.see.apply().get()[:3] == ["acme", None, "seen"]
    with pytest.raises(ValueError, match=r"celery is not installed for <Celery tests"):
        ctxvars.integrations.celery.uninstall(app)


def test_uninstall_restores_a_function_of_another_package() -> None:
    other = Celery("other", set_as_current=False)
    other.send_task = before = lambda name, **_: name
    ctxvars.integrations.celery.install(other)
    assert other.send_task("see") == "see"
    wrapped = other.send_task
    ctxvars.integrations.celery.uninstall(other)
    assert other.send_task is before
    assert wrapped("see") == "see"


def test_uninstall_keeps_a_function_that_wraps_that_of_the_integration() -> None:
    other = Celery("other", set_as_current=False)
    other.send_task = lambda name, **options: options.get("headers")
    ctxvars.integrations.celery.install(other)
    replaced = other.send_task

    @wraps(replaced)
    def send_task(*args: Any, **options: Any) -> Any:
        return replaced(*args, **options)

    other.send_task = send_task
    with tenant.scope("acme"):
        assert other.send_task("see") == {"baggage": "tests.tenant=acme"}
        ctxvars.integrations.celery.uninstall(other)
        assert other.send_task is send_task
        assert other.send_task("see") is None


def test_other_apps_are_not_affected() -> None:
    other = Celery("other", set_as_current=False)
    see = other.task(name="see")(tasks.seen)
    with tenant.scope("acme"), private.scope("seen"):
        assert see.apply().get()[2] == "seen"
    assert "send_task" not in vars(other)
    with pytest.raises(ValueError, match="is not installed for <Celery other"):
        ctxvars.integrations.celery.uninstall(other)


def test_install_refuses_objects_that_are_not_apps() -> None:
    with pytest.raises(TypeError, match=r"install\(\) argument 'app' must be a celery.Celery"):
        ctxvars.integrations.celery.install("tests")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"install\(\) argument 'to'"):
        ctxvars.integrations.celery.install(app, to="far")  # type: ignore[arg-type]
