"""Kafka: records of aiokafka bring portable variables. The types are real, but no broker runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import ctxvars
from ctxvars import ContextVar, portable

aiokafka = pytest.importorskip("aiokafka", reason="aiokafka is not installed")

from aiokafka.record.default_records import (  # noqa: E402
    DefaultRecordBatch,
    DefaultRecordBatchBuilder,
)

from ctxvars.integrations.kafka import headers_with, install, received, uninstall  # noqa: E402

tenant: ContextVar[str] = portable(ContextVar("tenant", default="none"), "test.kafka.tenant")
locale: ContextVar[str] = portable(
    ContextVar("locale", default="en"), "test.kafka.locale", to="public"
)
VALUE = b"test.kafka.tenant=globex"


def refuse(value: int) -> str:
    raise OverflowError("of the encoder")


refused: ContextVar[int] = portable(
    ContextVar("refused"), "test.kafka.refused", codec=(refuse, int)
)


def consumed(headers: list[tuple[str, bytes]]) -> Any:
    """Return a record with these headers, after a way through the format of Kafka."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=100_000,
    )
    builder.append(0, timestamp=0, key=b"key", value=b"value", headers=headers)
    [record] = DefaultRecordBatch(builder.build())
    return aiokafka.ConsumerRecord(
        topic="orders",
        partition=0,
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=b"key",
        value=b"value",
        checksum=None,
        serialized_key_size=3,
        serialized_value_size=5,
        headers=record.headers,
    )


class Metadata:
    """The topics of a producer without a broker."""

    async def wait(self, topic: str) -> None:
        await asyncio.sleep(0)


class Accumulator:
    """Keeps what a producer would send."""

    def __init__(self) -> None:
        self.headers: list[list[tuple[str, bytes]]] = []

    async def add_message(
        self, partition: Any, key: Any, value: Any, timeout: Any, timestamp_ms: Any, headers: Any
    ) -> Any:
        assert (key, value, timestamp_ms) == (b"key", b"value", 5)
        self.headers.append(headers)
        future = asyncio.get_running_loop().create_future()
        future.set_result("sent")
        return future


def produced(send: Any) -> list[list[tuple[str, bytes]]]:
    """Call a function with a producer; return the headers of the records that it sends."""

    async def run() -> list[list[tuple[str, bytes]]]:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
        accumulator = Accumulator()
        # Without a broker, these are the two things that a producer needs one for.
        producer.client._wait_on_metadata = Metadata().wait
        producer._partition = lambda topic, partition, *others: partition
        producer._message_accumulator = accumulator
        await send(producer)
        producer._closed = True
        await producer.client.close()
        return accumulator.headers

    return asyncio.run(run())


ARGUMENTS: dict[str, Any] = {"key": b"key", "partition": 0, "timestamp_ms": 5}


def test_send_and_send_and_wait_send_the_values_of_their_caller() -> None:
    async def send(producer: Any) -> None:
        install(producer)
        with tenant.scope("globex"):
            future = await producer.send("orders", b"value", **ARGUMENTS)
            assert await future == "sent"
            assert await producer.send_and_wait("orders", b"value", b"key", 0, 5) == "sent"
            headers = [("baggage", b"userId=alice"), ("kind", b"order")]
            await producer.send("orders", b"value", **ARGUMENTS, headers=headers)
            assert headers == [("baggage", b"userId=alice"), ("kind", b"order")]
        await producer.send("orders", b"value", **ARGUMENTS)

    assert produced(send) == [
        [("baggage", VALUE)],
        [("baggage", VALUE)],
        [("kind", b"order"), ("baggage", VALUE + b",userId=alice")],
        [],
    ]


def test_a_second_install_replaces_the_options_and_uninstall_undoes_it() -> None:
    async def send(producer: Any) -> None:
        before = producer.send
        install(producer)
        install(producer, to="public")
        with tenant.scope("globex"), locale.scope("fr"):
            await producer.send("orders", b"value", **ARGUMENTS)
            uninstall(producer)
            await producer.send("orders", b"value", **ARGUMENTS)
        assert producer.send == before
        assert "send" not in vars(producer)
        with pytest.raises(ValueError, match="does not send portable variables"):
            uninstall(producer)

    assert produced(send) == [[("baggage", b"test.kafka.locale=fr")], []]


def test_uninstall_keeps_a_method_of_the_program() -> None:
    async def send(producer: Any) -> None:
        async def of_the_program(*arguments: Any, **options: Any) -> None: ...

        producer.send = of_the_program
        install(producer)
        uninstall(producer)
        assert producer.send is of_the_program

    produced(send)


def test_an_exception_of_an_encoder_is_raised_to_the_sender() -> None:
    async def send(producer: Any) -> None:
        install(producer)
        with refused.scope(1), pytest.raises(OverflowError) as caught:
            await producer.send("orders", b"value", **ARGUMENTS)
        assert "test.kafka.refused" in caught.value.__notes__[0]

    assert produced(send) == []


def test_a_record_has_the_values_that_were_sent_and_none_of_other_records() -> None:
    with tenant.scope("globex"):
        first = consumed(headers_with([("kind", b"order")]))
    second = consumed([])
    with tenant.scope("of the consumer"):
        for record, expected in ((first, "globex"), (second, "none")):
            with received(record):
                assert tenant.get() == expected
                tenant.set("set by the handler")
        assert tenant.get() == "of the consumer"


def test_foreign_members_and_errors() -> None:
    record = consumed([("baggage", VALUE + b",userId=alice")])
    with received(record, accept=["test.kafka.locale"]) as found:
        assert tenant.get() == "none"
    assert found.foreign == ("userId=alice",)
    assert found.errors == (ctxvars.CarrierError("test.kafka.tenant", "not accepted"),)


@pytest.mark.parametrize(
    "value", [b"%%%", b"test.kafka.tenant=%zz", b"\xff\xfe", b"x" * 1_000_000, b"", None]
)
def test_a_hostile_header_does_not_fail_a_record(value: Any) -> None:
    with received(consumed([("baggage", value)])):
        assert tenant.get() == "none"


def test_the_remaining_time_is_sent_signed() -> None:
    signer = ctxvars.Signer({"key": bytes(16)})
    with ctxvars.deadline(60):
        record = consumed(headers_with(signer=signer))
        forged = consumed(headers_with())
    with received(record, signer=signer):
        assert 0 < (ctxvars.remaining_time() or 0) <= 60
    with received(forged, signer=signer):
        assert ctxvars.remaining_time() is None


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="headers_with"):
        headers_with(to="everyone")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="received"):
        received(consumed([]), accept=None)  # type: ignore[arg-type]

    async def send(producer: Any) -> None:
        with pytest.raises(TypeError, match="install"):
            install(producer, signer=b"key")  # type: ignore[arg-type]
        assert "send" not in vars(producer)

    produced(send)
