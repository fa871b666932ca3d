"""Two services and their workers log 400 requests at once; each line shows the right request.

    client --HTTP--> front --HTTP--> stock --job--> worker 1
                                                    worker 2

The client sets the request's id, its tenant and its deadline. No function passes them on. They
travel with each HTTP request and with each job, because they are declared as portable. A
`logging.Filter` adds them to the lines of all processes.

As a check, each message also has the number of the order, which is passed as an argument. A line
whose number and id differ would be a mistake.

    python examples/two_services.py                  # a pool of processes
    python examples/two_services.py --engine plain   # that of the standard library: lines are wrong
    python examples/two_services.py --engine dask
    python examples/two_services.py --engine celery  # needs redis-server
"""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from rich.console import Console
from rich.table import Table

import ctxvars
import ctxvars.integrations.asgi
import ctxvars.integrations.httpx
from ctxvars.logging import ContextFilter

REQUESTS = 400
LINES_PER_REQUEST = 5
TENANTS = ("acme", "globex", "initech")
WORKERS = 2
TIMEOUT = 60.0
# The client gives each order so much more time than the one before that a line with the deadline of
# another order shows it.
FIRST_DEADLINE, NEXT_DEADLINE = 1000.0, 2 * TIMEOUT
FOLDER = Path(__file__).parent
LOG, BROKER, CLUSTER = "SHOP_LOG", "SHOP_BROKER", "SHOP_CLUSTER"

log = logging.getLogger("shop")


class Request(ctxvars.Group):
    id: str = ctxvars.group_field(default="none", portable="shop.request")
    tenant: str = ctxvars.group_field(default="none", portable="shop.tenant")


class DeadlineFilter(logging.Filter):
    """Add to each record the time that remains."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.remaining = ctxvars.remaining_time() or 0.0
        return True


def configure_log(service: str) -> None:
    """Send the log to the file that all processes write to."""
    handler = logging.FileHandler(os.environ[LOG])
    handler.addFilter(ContextFilter(Request))
    handler.addFilter(DeadlineFilter())
    line = f"{service} %(process)d %(id)s %(tenant)s %(remaining).1f %(message)s"
    handler.setFormatter(logging.Formatter(line))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def reserve(order: int) -> str:
    """The job, in a worker."""
    log.info("reserves for %d", order)
    return f"order {order} of {Request.tenant}"


# Engines. Each gives the service `stock` a function that runs the job elsewhere.
Submit = Callable[[int], Awaitable[str]]


@asynccontextmanager
async def pool_engine(
    executor: type[ProcessPoolExecutor] = ctxvars.ContextProcessPoolExecutor,
) -> AsyncIterator[Submit]:
    with executor(WORKERS, initializer=configure_log, initargs=("worker",)) as pool:
        yield lambda order: asyncio.wrap_future(pool.submit(reserve, order))


def plain_engine() -> Any:
    return pool_engine(ProcessPoolExecutor)


@asynccontextmanager
async def dask_engine() -> AsyncIterator[Submit]:
    import distributed

    import ctxvars.integrations.dask

    async with distributed.Client(os.environ[CLUSTER], asynchronous=True) as client:
        ctxvars.integrations.dask.install(client)
        await client.run(configure_log, "worker")
        yield lambda order: client.submit(reserve, order)


@asynccontextmanager
async def celery_engine() -> AsyncIterator[Submit]:
    task = celery_app().tasks["reserve"]
    yield lambda order: asyncio.to_thread(lambda: task.delay(order).get(TIMEOUT))


def celery_app() -> Any:
    import celery.signals

    import ctxvars.integrations.celery

    app = celery.Celery(broker=os.environ[BROKER], backend=os.environ[BROKER])
    app.conf.worker_hijack_root_logger = False
    app.task(name="reserve")(reserve)
    ctxvars.integrations.celery.install(app)
    celery.signals.worker_process_init.connect(
        lambda **_: configure_log("worker"), weak=False, dispatch_uid="shop"
    )
    return app


ENGINES = {
    "pool": pool_engine,
    "plain": plain_engine,
    "dask": dask_engine,
    "celery": celery_engine,
}


# Services. Without a framework, an application is a function of ASGI.
async def respond(send: Any, text: str) -> None:
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def order_of(scope: Any) -> int:
    return int(scope["path"].rpartition("/")[2])


@asynccontextmanager
async def front(stock: str) -> AsyncIterator[Any]:
    """The service that clients see: it asks `stock`."""
    # Requests wait until all have come in, so that all contexts exist at once.
    all_received = asyncio.Barrier(REQUESTS)
    async with httpx.AsyncClient(base_url=stock, timeout=TIMEOUT) as client:
        ctxvars.integrations.httpx.install(client, hosts=["127.0.0.1"])

        async def app(scope: Any, receive: Any, send: Any) -> None:
            order = order_of(scope)
            log.info("receives %d", order)
            async with asyncio.timeout(TIMEOUT):
                await all_received.wait()
            response = await client.get(f"/reserve/{order}")
            log.info("answers %d", order)
            await respond(send, response.text)

        # At the edge, each variable that a client may set is named.
        accept = ["shop.request", "shop.tenant", "ctxvars.deadline"]
        yield ctxvars.integrations.asgi.PortableMiddleware(app, accept=accept)


@asynccontextmanager
async def stock(engine: str) -> AsyncIterator[Any]:
    """The inner service: it submits a job for each request."""
    async with ENGINES[engine]() as submit:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            order = order_of(scope)
            log.info("submits %d", order)
            text = await submit(order)
            log.info("has reserved for %d", order)
            await respond(send, text)

        yield ctxvars.integrations.asgi.PortableMiddleware(app, accept="internal")


SERVICES = {"front": front, "stock": stock}


def run_service(service: str, argument: str) -> None:
    """Run a service until the process is terminated."""
    exit_when_terminated()
    configure_log(service)
    asyncio.run(serve(service, argument))


def exit_when_terminated() -> None:
    """Leave all `with` blocks on SIGTERM, so that pools and clusters end their workers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())


async def serve(service: str, argument: str) -> None:
    """Run a service on a free port, and print the address when it is ready."""
    async with SERVICES[service](argument) as app:
        with socket.create_server(("127.0.0.1", 0), backlog=REQUESTS) as listening:
            print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
            options = uvicorn.Config(app, lifespan="off", log_level="warning")
            await uvicorn.Server(options).serve([listening])


# The driver: processes, requests, and the check of the log.
@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that executes code of this module, with its output."""
    command = [sys.executable, "-c", f"import two_services; {code}"]
    with subprocess.Popen(command, cwd=FOLDER, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=TIMEOUT)


def address(process: subprocess.Popen[str]) -> str:
    """The address of a server, which prints it when it is ready."""
    assert process.stdout is not None
    return process.stdout.readline().strip() or sys.exit("a server has not started")


@contextmanager
def environment_of(engine: str, directory: Path) -> Iterator[None]:
    """What an engine needs outside of the services: a cluster, or a broker and a worker."""
    with ExitStack() as stack:
        if engine == "dask":
            cluster = stack.enter_context(python(f"two_services.run_cluster({str(directory)!r})"))
            os.environ[CLUSTER] = address(cluster)
        elif engine == "celery":
            os.environ[BROKER] = stack.enter_context(redis(directory))
            options = f"['worker', '--concurrency={WORKERS}', '--loglevel=ERROR']"
            stack.enter_context(python(f"two_services.celery_app().worker_main({options})"))
        yield


def run_cluster(directory: str) -> None:
    """Run a cluster until the process is terminated, and print the address of its scheduler."""
    import distributed

    options: Any = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": None}
    exit_when_terminated()
    with distributed.LocalCluster(**options, local_directory=directory) as cluster:
        print(cluster.scheduler_address, flush=True)
        signal.pause()


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is missing: apt-get install redis-server")
    path = directory / "redis"
    options = ["--port", "0", "--unixsocket", str(path), "--save", ""]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as server:
        try:
            yield f"redis+socket://{path}"
        finally:
            server.terminate()


def id_of(order: int) -> str:
    return f"order-{order}"


def tenant_of(order: int) -> str:
    return TENANTS[order % len(TENANTS)]


def deadline_of(order: int) -> float:
    return FIRST_DEADLINE + NEXT_DEADLINE * order


async def send_all(front: str) -> None:
    """Send all requests at once, each with its values."""
    limits = httpx.Limits(max_connections=REQUESTS)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=front, limits=limits, timeout=TIMEOUT)
        )
        ctxvars.integrations.httpx.install(client, hosts=["127.0.0.1"])

        async def send(order: int) -> None:
            with (
                Request(id=id_of(order), tenant=tenant_of(order)),
                ctxvars.deadline(deadline_of(order)),
            ):
                response = await client.get(f"/order/{order}")
                response.raise_for_status()

        await asyncio.gather(*map(send, range(REQUESTS)))


def problem_of(line: str) -> str:
    """Say what is wrong with a line of the log; "" if nothing is."""
    _, _, id, tenant, remaining, *_, order = line.split()
    if id == "none":
        return "without values"
    expected = deadline_of(int(order))
    is_right = (id, tenant) == (id_of(int(order)), tenant_of(int(order)))
    return "" if is_right and expected - TIMEOUT < float(remaining) <= expected else "of another"


def report(lines: list[str], console: Console) -> bool:
    """Show an excerpt of the log and the counts of each process; return whether all is right."""
    console.print("The lines of one order, as the log has them:", style="bold")
    for line in [line for line in lines if line.endswith(" 7")]:
        console.print(f"  {line}", highlight=False)
    table = Table(title=f"{REQUESTS} requests at once", title_justify="left")
    table.add_column("process")
    for column in ("lines", "without values", "of another request"):
        table.add_column(column, justify="right")
    by_process: dict[str, Counter[str]] = {}
    for line in lines:
        service, process, *_ = line.split()
        by_process.setdefault(f"{service} {process}", Counter())[problem_of(line)] += 1
    for process, counts in sorted(by_process.items()):
        cells = (counts.total(), counts["without values"], counts["of another"])
        table.add_row(process, *map(str, cells))
    console.print(table)
    wrong = sum(counts.total() - counts[""] for counts in by_process.values())
    expected = REQUESTS * LINES_PER_REQUEST
    console.print(f"{len(lines)} lines of {expected}, {wrong} of them wrong")
    return wrong == 0 and len(lines) == expected


def main() -> bool:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=ENGINES, default="pool", help="what runs the jobs")
    engine = parser.parse_args().engine
    console = Console()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        path = Path(name) / "log"
        os.environ[LOG] = str(path)
        with console.status("starting the services"):
            stack.enter_context(environment_of(engine, Path(name)))
            run = "two_services.run_service({!r}, {!r})".format
            inner = stack.enter_context(python(run("stock", engine)))
            outer = stack.enter_context(python(run("front", address(inner))))
            front_address = address(outer)
        with console.status(f"sending {REQUESTS} requests"):
            asyncio.run(send_all(front_address))
        return report(path.read_text().splitlines(), console)


if __name__ == "__main__":
    sys.exit(not main())
