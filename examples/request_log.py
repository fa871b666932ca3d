"""A server logs 400 requests at once, and each line shows the id of the right request.

The id is set once, where the request comes in. No function passes it to the log: a `logging.Filter`
reads it from a context variable, in the task of the request and in the worker threads of
`asyncio.to_thread`.

As a check, every message also quotes the id that the client sent. A line with two different ids
would be a mistake.
"""

import asyncio
import hashlib
import io
import logging
import sys
import threading
from contextvars import ContextVar

REQUESTS = 400
LINES_PER_REQUEST = 4
TIMEOUT = 10.0

request_id = ContextVar("request_id", default="none")
log = logging.getLogger("server")


class RequestFilter(logging.Filter):
    """Add to each record the current request's id and whether a worker thread wrote it."""

    def filter(self, record: logging.LogRecord) -> bool:
        in_loop = threading.current_thread() is threading.main_thread()
        record.request_id = request_id.get()
        record.place = "loop" if in_loop else "worker"
        return True


def configure_log() -> io.StringIO:
    """Send the log to memory, because the program inspects it afterwards."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RequestFilter())
    handler.setFormatter(logging.Formatter("%(request_id)s %(place)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return stream


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def compute(sent: str) -> str:
    """Do work that would block the event loop."""
    log.info("computing for %s", sent)
    answer = sha256(sent)
    log.info("computed for %s", sent)
    return answer


class Server:
    def __init__(self) -> None:
        # Requests wait until all have come in, so that all ids are current at once.
        self._all_received = asyncio.Barrier(REQUESTS)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = (await reader.readline()).decode().strip()
        request_id.set(sent)
        log.info("received from %s", sent)
        # If a request is lost, the others fail instead of waiting forever.
        async with asyncio.timeout(TIMEOUT):
            await self._all_received.wait()
        answer = await asyncio.to_thread(compute, sent)
        writer.write(f"{answer}\n".encode())
        await writer.drain()
        log.info("answered to %s", sent)
        writer.close()
        await writer.wait_closed()


async def request(port: int, name: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{name}\n".encode())
    answer = (await reader.read()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return answer


async def serve_all(names: list[str]) -> list[str]:
    server = await asyncio.start_server(Server().handle, "127.0.0.1", 0, backlog=REQUESTS)
    port = server.sockets[0].getsockname()[1]
    async with server:
        return await asyncio.gather(*(request(port, name) for name in names))


def main() -> None:
    stream = configure_log()
    names = [f"r{number:03}" for number in range(REQUESTS)]
    answers = asyncio.run(serve_all(names))

    wrong = sum(sha256(name) != answer for name, answer in zip(names, answers, strict=True))
    # Requests and threads interleave differently each time: only the sorted log is reproducible.
    lines = sorted(stream.getvalue().splitlines())
    fields = [line.split() for line in lines]
    workers = sum(place == "worker" for _, place, *_ in fields)
    mixed = sum(current != sent for current, *_, sent in fields)

    print("the lines of one request:")
    print(*(f"    {line}" for line in lines if line.endswith(names[0])), sep="\n")
    print(f"requests: {REQUESTS}")
    print(f"wrong answers: {wrong}")
    print(f"lines: {len(lines)}")
    print(f"lines from worker threads: {workers}")
    print(f"mixed lines: {mixed}")
    print(f"sha256 of the sorted lines: {sha256(' / '.join(lines))}")

    if wrong or mixed or len(lines) != REQUESTS * LINES_PER_REQUEST or workers != REQUESTS * 2:
        sys.exit("The log is wrong: a line is missing or carries the id of another request.")


if __name__ == "__main__":
    main()
