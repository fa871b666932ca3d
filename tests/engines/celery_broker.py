"""The Redis transport of kombu, for the release of redis that arq and taskiq-redis need.

kombu requires redis 6.1, and refuses older releases. Version 5.3 can do what these tests need.
"""

from __future__ import annotations

import redis
from kombu.transport.redis import Channel as RedisChannel
from kombu.transport.redis import Transport as RedisTransport


class Channel(RedisChannel):
    def _get_client(self) -> type[redis.Redis]:
        return redis.Redis


class Transport(RedisTransport):
    Channel = Channel
