"""Log records and events carry the values of variables at the time of the log call."""

from __future__ import annotations

import contextvars as native
import logging
import logging.handlers
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars.logging import ContextFilter, record_factory, structlog_processor
from tests.support.new_context import KINDS, in_new_context

MAKERS = [ContextFilter, record_factory, structlog_processor]


class Lines(logging.Handler):
    """Stores the formatted lines, and the threads that formatted them."""

    def __init__(self, format: str) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(format))
        self.lines: list[str] = []
        self.threads: set[threading.Thread] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.threads.add(threading.current_thread())


@pytest.fixture
def _factory_is_put_back() -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)


def log_through_a_queue(
    logger: logging.Logger, handler: logging.handlers.QueueHandler, target: Lines, log: Any
) -> list[str]:
    """Return the lines that the thread of a `QueueListener` prints after `log` has returned."""
    logger.addHandler(handler)
    in_new_context(log)
    # No line has been formatted yet.
    listener = logging.handlers.QueueListener(handler.queue, target)
    listener.start()
    listener.stop()
    assert threading.current_thread() not in target.threads
    return target.lines


def logging_with(variable: Any, logger: logging.Logger) -> Callable[[], None]:
    def log() -> None:
        logger.warning("unset")
        for value in ("first", "second"):
            variable.set(value)
            logger.warning("set %s", value)

    return log


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.__name__)
@pytest.mark.parametrize("place", ["handler", "logger", "both sides", "factory"])
@pytest.mark.usefixtures("_factory_is_put_back")
def test_another_thread_prints_the_values_of_the_call(place: str, module: Any) -> None:
    variable = module.ContextVar("user")
    logger = logging.Logger("shop")
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    target = Lines("%(user)s: %(message)s")
    capture = ContextFilter(variable, default="-")
    if place == "factory":
        logging.setLogRecordFactory(record_factory(variable, default="-"))
    else:
        (logger if place == "logger" else handler).addFilter(capture)
    if place == "both sides":
        target.addFilter(capture)
    lines = log_through_a_queue(logger, handler, target, logging_with(variable, logger))
    assert lines == ["-: unset", "first: set first", "second: set second"]


def test_without_it_another_thread_prints_its_own_values() -> None:
    """A filter on the handler of the listener, a common mistake."""
    variable = ctxvars.ContextVar[str]("user")
    logger = logging.Logger("shop")
    target = Lines("%(user)s: %(message)s")
    target.addFilter(ContextFilter(variable, default="-"))
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    lines = log_through_a_queue(logger, handler, target, logging_with(variable, logger))
    assert lines == ["-: unset", "-: set first", "-: set second"]


def recorded(capture: ContextFilter, **attributes: object) -> dict[str, Any]:
    record = logging.makeLogRecord(attributes)
    assert capture.filter(record) is True
    return vars(record)


def test_names_and_defaults() -> None:
    user = ctxvars.ContextVar[str]("user")
    depth = native.ContextVar("depth", default=0)
    record = recorded(ContextFilter(user, depth, {"who": user, "name_": user}))
    assert [record[name] for name in ("user", "depth", "who", "name_")] == [None, 0, None, None]
    with user.set("Ada"):
        record = recorded(ContextFilter({"user": depth, "who": user}, default="-"))
    assert (record["user"], record["who"]) == (0, "Ada")


def test_a_variable_without_a_value_may_be_left_out() -> None:
    user = ctxvars.ContextVar[str]("user")
    assert "user" not in recorded(ContextFilter(user, default=ctxvars.MISSING))
    assert structlog_processor(user)(None, "info", {}) == {}
    assert structlog_processor(user, default=None)(None, "info", {}) == {"user": None}


def test_a_value_given_by_the_log_call_is_kept() -> None:
    user = ctxvars.ContextVar("user", default="the variable's")
    assert recorded(ContextFilter(user), user="the call's")["user"] == "the call's"
    event = structlog_processor(user)(None, "info", {"user": "the call's"})
    assert event == {"user": "the call's"}


def test_a_record_goes_to_another_process() -> None:
    user = ctxvars.ContextVar("user", default="Ada")
    logger = logging.Logger("shop")
    handler = logging.handlers.SocketHandler("localhost", None)  # type: ignore[arg-type]
    handler.addFilter(ContextFilter(user))
    sent: list[bytes] = []
    handler.send = sent.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.warning("bought")
    received = logging.makeLogRecord(pickle.loads(sent[0][4:]))
    assert (received.user, received.getMessage()) == ("Ada", "bought")  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_factory_is_put_back")
def test_factories_build_on_one_another() -> None:
    class Record(logging.LogRecord):
        """A record of another library."""

    first, second = ctxvars.ContextVar("first", default=1), ctxvars.ContextVar("second", default=2)
    logging.setLogRecordFactory(record_factory(first, factory=Record))
    logging.setLogRecordFactory(record_factory(second))
    target = Lines("%(first)s %(second)s %(message)s")
    logger = logging.Logger("shop")
    logger.addHandler(target)
    logger.warning("message")
    assert target.lines == ["1 2 message"]
    assert type(logging.makeLogRecord({})) is Record
    # Attributes that a record has already are kept.
    assert logging.makeLogRecord({"first": "sent"}).first == "sent"  # type: ignore[attr-defined]
    with pytest.raises(KeyError, match="Attempt to overwrite 'first'"):
        logger.warning("message", extra={"first": 3})


def test_a_record_that_has_been_made_by_a_factory_of_ours_has_no_reserved_names() -> None:
    """Only names that `logging` uses are refused, whatever factory was installed before."""
    program = """
import ctxvars, logging
user = ctxvars.ContextVar("user", default="Ada")
make = logging.LogRecord
def factory(*args, **kwargs):
    record = make(*args, **kwargs)
    record.user = user.get()
    return record
logging.setLogRecordFactory(factory)
from ctxvars.logging import ContextFilter
ContextFilter(user)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_wrong_arguments_are_refused(make: Any) -> None:
    name = make.__name__
    user, other = ctxvars.ContextVar[str]("user"), native.ContextVar[str]("user")
    for wrong in ("user", None, {"user": "user"}, {1: user}):
        with pytest.raises(TypeError, match=rf"^{name}\(\) takes variables, groups, dotted names"):
            make(wrong)
    with pytest.raises(ValueError, match=rf"^{name}\(\) needs at least one variable$"):
        make()
    with pytest.raises(ValueError, match=rf"^{name}\(\): two variables are named 'user'; pass a"):
        make(user, other)
    make(user, user)


@pytest.mark.parametrize("make", [ContextFilter, record_factory], ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["name", "message", "asctime", "args", "levelname"])
def test_names_of_log_records_are_refused(make: Any, name: str) -> None:
    variable = ctxvars.ContextVar[str](name)
    with pytest.raises(ValueError, match=rf"'{name}' is a name that every log record has; pass a"):
        make(variable)
    make({f"my_{name}": variable})
    structlog_processor(variable)


def test_a_factory_that_cannot_be_called_is_refused() -> None:
    message = r"^record_factory\(\) argument 'factory' must be callable, got 5$"
    with pytest.raises(TypeError, match=message):
        record_factory(ctxvars.ContextVar("user"), factory=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", KINDS, ids=lambda module: module.__name__)
def test_structlog(module: Any) -> None:
    structlog = pytest.importorskip("structlog", reason="structlog is not installed")
    user = module.ContextVar("user")
    events: list[dict[str, object]] = []

    def keep(logger: object, method: str, event: dict[str, object]) -> object:
        events.append(event)
        raise structlog.DropEvent

    logger = structlog.wrap_logger(
        None, processors=[structlog_processor(user, {"who": user}), keep]
    )
    user.set("Ada")
    logger.info("bought", order=1)
    logger.bind(user="bound").info("sold")
    assert events == [
        {"event": "bought", "order": 1, "user": "Ada", "who": "Ada"},
        {"event": "sold", "user": "bound", "who": "Ada"},
    ]


def test_neither_logging_nor_structlog_is_imported_for_nothing() -> None:
    program = """
import sys, ctxvars
heavy = {"asyncio", "concurrent.futures", "logging", "threading", "inspect", "structlog"}
print(sorted(heavy & {*sys.modules}))
import ctxvars.logging
print("structlog" in sys.modules)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"
