"""A plugin of pytest that records how OpenTelemetry's tests end on one of two runtime contexts.

Some tests name the class of OpenTelemetry's runtime context. On ctxvars, they get that of ctxvars.
"""

import os

import pytest
from opentelemetry import context
from opentelemetry.context import contextvars_context
from pytest_record import Record

RUNTIME = type(context._RUNTIME_CONTEXT)
contextvars_context.ContextVarsRuntimeContext = RUNTIME
context.ContextVarsRuntimeContext = RUNTIME


class RuntimeRecord(Record):
    def check_in_place(self) -> None:
        """Check that the environment has selected the runtime context."""
        expected = "ctxvars" if "OTEL_PYTHON_CONTEXT" in os.environ else "opentelemetry"
        assert RUNTIME.__module__.partition(".")[0] == expected


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("record").addoption("--record", help="the file to write")


def pytest_configure(config: pytest.Config) -> None:
    file = open(config.getoption("--record"), "w")  # noqa: SIM115
    config.pluginmanager.register(RuntimeRecord(file, "contextvars", ""))
