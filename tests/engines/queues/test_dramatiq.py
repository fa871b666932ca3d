"""Actors of Dramatiq have the values of the code that sends the message, and no others."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("dramatiq", reason="it is the engine")

import dramatiq
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import SkipMessage
from dramatiq.results.errors import ResultFailure
from dramatiq.worker import Worker

import ctxvars
from ctxvars.integrations.dramatiq import ContextMiddleware, ValueNotSent, install, uninstall
from tests.portable.jobs import private, tenant

TIMEOUT = 60
pytestmark = pytest.mark.timeout(2 * TIMEOUT)
EMPTY = [None, None, None, None]


@pytest.fixture(scope="module")
def actors(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The actors, with a worker of one process and one thread."""
    environment = os.environ | {"TEST_REDIS": redis_url}
    log = tmp_path_factory.mktemp("dramatiq") / "log"
    command = [sys.executable, "-m", "dramatiq", "tests.engines.queues.dramatiq_app"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_REDIS", redis_url)
        found = importlib.import_module("tests.engines.queues.dramatiq_app")
    with log.open("w") as file:
        worker = subprocess.Popen(
            [*command, "--processes", "1", "--threads", "1"],
            env=environment,
            stdout=file,
            stderr=file,
        )
    try:
        yield found
    finally:
        worker.terminate()
        try:
            worker.wait(TIMEOUT)
        finally:
            worker.kill()
            worker.wait()
            found.broker.close()
            print(log.read_text())


def result_of(message: Any) -> Any:
    return message.get_result(block=True, timeout=TIMEOUT * 1000)


@pytest.mark.parametrize("name", ["see_and_set", "see_and_set_async"])
def test_actors_see_the_values_of_their_sender_and_of_no_earlier_message(
    name: str, actors: ModuleType
) -> None:
    actor = getattr(actors, name)
    with tenant.scope("acme"), private.scope("of the sender"):
        assert result_of(actor.send("left")) == ["acme", None, None, None]
    assert result_of(actor.send("left")) == EMPTY
    with tenant.scope("globex & sons"), ctxvars.deadline(100):
        *values, remaining = result_of(actor.send("left"))
    assert values == ["globex & sons", None, None]
    assert 0 < remaining <= 100
    with pytest.raises(ResultFailure):
        result_of(actors.fail.send("left"))
    assert result_of(actors.see.send()) == EMPTY


def test_a_message_that_an_actor_sends_has_the_current_values(actors: ModuleType) -> None:
    with tenant.scope("acme"):
        for value in ("globex", None):
            sent = result_of(actors.send_other.send(value))
            assert result_of(dramatiq.Message(**sent))[0] == value


def test_actors_of_a_pipeline_see_values_that_earlier_actors_have_set(actors: ModuleType) -> None:
    append = actors.append.message
    with tenant.scope("acme"):
        # The result of the first actor is its last argument.
        pipe = append([], "globex") | append() | append()
        pipe.run()
    assert result_of(pipe) == ["acme", "globex", "globex"]


def test_groups_have_the_values_of_their_sender(actors: ModuleType) -> None:
    with tenant.scope("acme"):
        group = dramatiq.group([actors.see.message(), actors.see.message()]).run()
    found = group.get_results(block=True, timeout=TIMEOUT * 1000)
    assert [each[0] for each in found] == ["acme", "acme"]


def test_a_delayed_message_has_the_values_of_its_sender(actors: ModuleType) -> None:
    with tenant.scope("acme"):
        delayed = actors.see.send_with_options(delay=50)
    without = actors.see.send_with_options(delay=50)
    assert result_of(delayed)[0] == "acme"
    assert result_of(without) == EMPTY


def test_a_retry_sees_the_values_of_the_first_try(actors: ModuleType) -> None:
    with tenant.scope("acme"), ctxvars.deadline(100):
        tries = result_of(actors.see_at_each_try.send())
    assert [each[:3] for each in tries] == [["acme", None, None]] * 3
    first, second, third = (each[3] for each in tries)
    assert 100 >= first > second > third > 0
    assert result_of(actors.see_at_each_try.send()) == [EMPTY] * 3


def test_a_retry_is_signed_again(actors: ModuleType) -> None:
    result_of(actors.reinstall.send(signed=True))
    try:
        with tenant.scope("acme"):
            assert result_of(actors.see.send())[0] is None
            install(actors.broker, signer=actors.signer)
            tries = result_of(actors.see_at_each_try.send())
        assert [each[0] for each in tries] == ["acme"] * 3
    finally:
        install(actors.broker)
        result_of(actors.reinstall.send())


def test_an_actor_runs_without_values_if_the_names_to_accept_are_wrong(actors: ModuleType) -> None:
    result_of(actors.reinstall.send(["tests.not.declared"]))
    with tenant.scope("acme"):
        assert result_of(actors.see.send()) == EMPTY
        result_of(actors.reinstall.send())
        assert result_of(actors.see.send())[0] == "acme"


def test_a_time_limit_leaves_no_values(actors: ModuleType) -> None:
    with tenant.scope("acme"):
        actors.exceed_limit.send("left")
        assert result_of(actors.see.send())[0] == "acme"
    assert result_of(actors.see.send()) == EMPTY


@pytest.mark.parametrize(
    "header",
    ["tests.tenant=%zz", "x" * 1_000_000, "tests.unknown=1,,;=", "tests.cart=[1]", ["a", 1], 1],
    ids=["escape", "size", "syntax", "level", "list", "number"],
)
def test_a_hostile_option_does_not_fail_a_message(header: Any, actors: ModuleType) -> None:
    assert result_of(actors.see.send_with_options(baggage=header)) == EMPTY


def test_a_value_that_cannot_be_sent_is_an_error_of_the_sender(actors: ModuleType) -> None:
    with tenant.scope("x" * 10_000), pytest.raises(ValueNotSent, match=r"'tests\.tenant'"):
        actors.see.send()
    with tenant.scope(1), pytest.raises(ValueNotSent) as info:  # type: ignore[arg-type]
        actors.see.send()
    assert "while sending the portable variable 'tests.tenant'" in str(info.value)
    assert isinstance(info.value.__cause__, TypeError)


# Without a worker process


@pytest.fixture
def stub() -> Iterator[StubBroker]:
    broker = StubBroker()
    yield broker
    broker.close()


def test_a_message_that_is_sent_twice_has_the_values_of_each_moment(stub: StubBroker) -> None:
    install(stub)
    actor = dramatiq.actor(lambda: None, broker=stub, actor_name="nothing")
    message = actor.message()
    with tenant.scope("acme"):
        stub.enqueue(message)
    stub.enqueue(message)
    sent = [dramatiq.Message.decode(each) for each in list(stub.queues["default"].queue)]
    assert [each.options["baggage"] for each in sent] == ["tests.tenant=acme", ""]


def test_a_skipped_message_leaves_no_values(stub: StubBroker) -> None:
    class Skip(dramatiq.Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            tenant.set("of a skipped message")
            raise SkipMessage("always")

    left = []

    class Look(dramatiq.Middleware):
        def after_skip_message(self, broker: Any, message: Any) -> None:
            left.append(tenant.get(None))

    stub.add_middleware(Skip())
    install(stub)
    # In front of the other one, so it runs after it.
    stub.add_middleware(Look(), before=ContextMiddleware)
    actor = dramatiq.actor(lambda: None, broker=stub, actor_name="nothing")
    worker = Worker(stub, worker_threads=1, worker_timeout=10)
    worker.start()
    try:
        with tenant.scope("acme"):
            actor.send()
        stub.join("default")
        worker.join()
    finally:
        worker.stop()
    assert left == [None]


def test_uninstall_leaves_the_broker_as_it_was(stub: StubBroker) -> None:
    before = stub.middleware[:]
    install(stub, to="public")
    install(stub)
    assert [type(each) for each in stub.middleware] == [ContextMiddleware, *map(type, before)]
    uninstall(stub)
    assert stub.middleware == before
    with pytest.raises(ValueError, match=r"dramatiq is not installed for <.*StubBroker"):
        uninstall(stub)
    empty = StubBroker(middleware=[])
    install(empty)
    assert [type(each) for each in empty.middleware] == [ContextMiddleware]


def test_install_refuses_objects_that_are_not_brokers() -> None:
    with pytest.raises(TypeError, match=r"install\(\) argument 'broker' must be a dramatiq.Broker"):
        install("tests")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"ContextMiddleware\(\) argument 'to'"):
        ContextMiddleware(to="far")  # type: ignore[arg-type]
