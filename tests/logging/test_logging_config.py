"""Filters that `logging.config.dictConfig` creates, and variables that are given by name."""

from __future__ import annotations

import contextvars as native
import logging
import logging.config
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ctxvars
from ctxvars import MISSING, ContextVar
from ctxvars.logging import ContextFilter, record_factory, structlog_processor

USER: ContextVar[str] = ContextVar("user")
LOCALE = native.ContextVar("locale", default="C")


class Request(ctxvars.Group):
    tenant: str
    path: str = "/"

    class Nested(ctxvars.Group):
        depth: int = 0


def recorded(it: Any) -> dict[str, Any]:
    """Return the attributes that a filter, a factory or a processor adds."""
    with USER.scope("Ada"), Request(tenant="acme"):
        if isinstance(it, logging.Filter):
            record = logging.makeLogRecord({})
            before = {*vars(record)}
            assert it.filter(record)
            return {name: value for name, value in vars(record).items() if name not in before}
        if it.__name__ == "process":
            found: dict[str, Any] = it(None, "info", {})
            return found
        record = it("shop", logging.INFO, "shop.py", 1, "bought", (), None)
        plain = vars(logging.LogRecord("", 0, "", 0, "", (), None))
        return {name: value for name, value in vars(record).items() if name not in plain}


MAKERS = [ContextFilter, record_factory, structlog_processor]
ALL = {"tenant": "acme", "path": "/"}
GIVEN: list[tuple[Any, dict[str, Any]]] = [
    (Request, ALL),
    (f"{__name__}.Request", ALL),
    (f"{__name__}:Request", ALL),
    (f"{__name__}.Request.tenant", {"tenant": "acme"}),
    (f"{__name__}.Request.Nested", {"depth": 0}),
    (f"{__name__}.Request.Nested.depth", {"depth": 0}),
    (f"{__name__}.USER", {"user": "Ada"}),
    (f"{__name__}.LOCALE", {"locale": "C"}),
    ({"who": f"{__name__}.USER", "of": f"{__name__}.Request.tenant"}, {"who": "Ada", "of": "acme"}),
    (Request.variables, ALL),
]


def named(thing: Any) -> str:
    """Name a parameter without this module, and without addresses, which differ per process."""
    return re.sub(" at 0x[0-9a-f]+", "", str(thing)).replace(__name__, "module")[-60:]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("given", "expected"), GIVEN, ids=named)
def test_groups_and_dotted_names_stand_for_variables(
    make: Callable[..., Any], given: Any, expected: dict[str, Any]
) -> None:
    assert recorded(make(given)) == expected


@pytest.mark.parametrize(("given", "expected"), GIVEN, ids=named)
def test_the_keyword_takes_what_positions_take(given: Any, expected: dict[str, Any]) -> None:
    for variables in ([given], (given,), given):
        assert recorded(ContextFilter(variables=variables)) == expected
    assert recorded(ContextFilter(USER, variables=[given])) == {"user": "Ada", **expected}


def test_keywords_name_variables() -> None:
    it = ContextFilter(who=USER, of=f"{__name__}.Request.tenant", where=LOCALE, default="-")
    assert recorded(it) == {"who": "Ada", "of": "acme", "where": "C"}


@pytest.mark.parametrize("make", MAKERS)
def test_unknown_names_are_refused(make: Callable[..., Any]) -> None:
    for wrong, error in {
        "no_such_module_at_all.x": ImportError,
        f"{__name__}.no_such_name": AttributeError,
        f"{__name__}.Request.unknown": AttributeError,
        f"{__name__}.recorded": TypeError,
        "": TypeError,
        "logging": TypeError,
    }.items():
        with pytest.raises(error):
            make(wrong)
    with pytest.raises(TypeError, match="takes variables, groups, dotted names"):
        make({"user": 1})
    with pytest.raises(ValueError, match="needs at least one variable"):
        make(ctxvars.Group)


def test_wrong_keywords_are_refused() -> None:
    with pytest.raises(ValueError, match="'message' is a name that every log record has"):
        ContextFilter(message=USER)
    with pytest.raises(ValueError, match="two variables are named 'user'"):
        ContextFilter(USER, user=LOCALE)
    with pytest.raises(TypeError, match="takes variables, groups, dotted names"):
        ContextFilter(user=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs at least one variable"):
        ContextFilter(variables=[])


# dictConfig


class Lines(logging.Handler):
    lines: list[str] = []  # noqa: RUF012

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def _lines() -> Iterator[None]:
    Lines.lines.clear()
    yield
    logging.getLogger("test_logging_config").handlers.clear()


FILTERS: list[dict[str, Any]] = [
    {"user": f"{__name__}.USER", "tenant": f"{__name__}.Request.tenant", "default": "-"},
    {"user": f"ext://{__name__}.USER", "variables": [f"{__name__}.Request"], "default": "-"},
    {"variables": [f"ext://{__name__}.USER", f"ext://{__name__}.Request"], "default": "-"},
    {"variables": ({"user": f"ext://{__name__}.USER"}, f"{__name__}.Request"), "default": "-"},
]


@pytest.mark.usefixtures("_lines")
@pytest.mark.parametrize("options", FILTERS)
def test_dict_config_makes_the_filter(options: dict[str, Any]) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"context": {"()": "ctxvars.logging.ContextFilter", **options}},
            "formatters": {"plain": {"format": "%(user)s %(tenant)s %(message)s"}},
            "handlers": {
                "lines": {
                    "class": f"{__name__}.Lines",
                    "filters": ["context"],
                    "formatter": "plain",
                }
            },
            "loggers": {"test_logging_config": {"handlers": ["lines"], "level": "INFO"}},
        }
    )
    logger = logging.getLogger("test_logging_config")
    logger.info("opened")
    with USER.scope("Ada"), Request(tenant="acme"):
        logger.info("bought")
    assert Lines.lines == ["- - opened", "Ada acme bought"]


def test_dict_config_leaves_out_what_is_not_set() -> None:
    converted = logging.config.DictConfigurator(
        {"filter": {"()": ContextFilter, "user": USER, "default": "ext://ctxvars.MISSING"}}
    )
    made = converted.configure_custom(converted.config["filter"])
    record = logging.makeLogRecord({})
    made.filter(record)
    assert not hasattr(record, "user")
    assert made._captured.default is MISSING
