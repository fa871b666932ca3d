"""Kafka: records of aiokafka bring portable variables, as the header `baggage`.

aiokafka has no interceptors. `install` replaces the method `send` of one producer, which its
`send_and_wait` calls as well. Records of a batch have headers that the program writes: add those of
`headers_with`. A consumer runs each record with `received`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any

from aiokafka import AIOKafkaProducer, ConsumerRecord

from ctxvars._portable.declaration import Level
from ctxvars._portable.headers.extract import Accept, Received
from ctxvars._portable.headers.signing import Signer
from ctxvars.integrations._shared.options import Options, checked_options

__all__ = ["headers_with", "install", "received", "uninstall"]

_Headers = Iterable[tuple[str, bytes]]


def headers_with(
    headers: _Headers = (), *, to: Level = "internal", signer: Signer | None = None
) -> list[tuple[str, bytes]]:
    """Return headers for a record, with the values of portable variables.

    Args:
        headers: the headers of the program. They stay; members of a header `baggage` are merged.
        to: the level of the consumers, as for `ctxvars.inject`.
        signer: signs the values.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    An exception of an encoder is raised. It takes the time of `inject`.

    >>> import ctxvars
    >>> tenant = ctxvars.portable(ctxvars.ContextVar("tenant"), "example.tenant.kafka")
    >>> with tenant.scope("globex"):
    ...     headers_with([("kind", b"order")])
    [('kind', b'order'), ('baggage', b'example.tenant.kafka=globex')]
    """
    return _injected(headers, checked_options("headers_with", to=to, signer=signer))


def _injected(headers: _Headers | None, options: Options) -> list[tuple[str, bytes]]:
    # `inject` writes values that are bytes to pairs whose names are bytes, as those of ASGI.
    pairs = options.inject([(name.encode(), value) for name, value in headers or ()])
    return [(name.decode(), value) for name, value in pairs]


def install(
    producer: AIOKafkaProducer, *, to: Level = "internal", signer: Signer | None = None
) -> None:
    """Send the values of portable variables with the records of a producer.

    Args:
        producer: an `aiokafka.AIOKafkaProducer`. Its `send` and `send_and_wait` send the values of
            their caller.
        to: the level of the consumers, as for `ctxvars.inject`.
        signer: signs the values. Records are read late, so choose its `max_age` accordingly.

    A second call replaces the options.

    Raises:
        TypeError, ValueError: an option has another type, or is not a level.

    `send` raises the exception of an encoder. O(1); `send` takes the time of `inject`.
    """
    options = checked_options("install", to=to, signer=signer)
    original = _original(producer) or producer.send

    @wraps(original)
    async def send(
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: _Headers | None = None,
    ) -> Any:
        injected = _injected(headers, options)
        return await original(topic, value, key, partition, timestamp_ms, injected)

    send._ctxvars_original = original  # type: ignore[attr-defined]
    producer.send = send


def uninstall(producer: AIOKafkaProducer) -> None:
    """Undo `install`.

    Raises:
        ValueError: `install` was not called for this producer.

    O(1).
    """
    original = _original(producer)
    if original is None:
        raise ValueError(f"uninstall(): {producer!r} does not send portable variables")
    del producer.send
    if producer.send != original:
        # The program had replaced the method before.
        producer.send = original


def _original(producer: AIOKafkaProducer) -> Any:
    return getattr(producer.send, "_ctxvars_original", None)


def received(
    record: ConsumerRecord[Any, Any], *, accept: Accept = "internal", signer: Signer | None = None
) -> Received:
    """Return a context manager that sets the values of a record.

        async for record in consumer:
            with received(record):
                await handle(record)

    In the block, a declared variable that was not sent has no value. To give other variables, which
    `handle` sets, the lifetime of a record, too, decorate `handle` by `ctxvars.isolated`.

    Args:
        record: an `aiokafka.ConsumerRecord`.
        accept: the variables that a producer may set: a level, or names.
        signer: if given, only values with a valid signature are taken.

    Raises:
        TypeError, ValueError: an option has another type, is not a level, or names a variable that
            is not declared.

    No header raises an exception. O(declared variables + length of the header).
    """
    return checked_options("received", accept=accept, signer=signer).extract(record.headers)
