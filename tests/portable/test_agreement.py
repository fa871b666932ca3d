"""Python and Rust agree: both pass the cases of `agreement.json`."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ctxvars
from ctxvars import inject
from tests.portable import agreement

CASES: dict[str, list[Any]] = json.loads(agreement.FILE.read_text())


@pytest.mark.parametrize("case", CASES["inject"])
def test_headers_are_those_of_the_file(case: Any) -> None:
    result = agreement.injected(case, agreement.declare())
    assert result == {key: case[key] for key in result}


def test_values_are_those_of_the_file() -> None:
    agreement.declare()
    for case in CASES["extract"]:
        assert case == case | agreement.extracted(case)


def test_texts_are_those_of_the_file() -> None:
    for kind, data, text in CASES["encode"]:
        assert agreement.encoded(kind, data) == text
    for kind, text, result in CASES["decode"]:
        assert agreement.decoded(kind, text) == result


@pytest.mark.parametrize(("seconds", "text"), [(0, "0.000"), (3e8, "99999999.000")])
def test_the_text_of_a_deadline_is_that_of_rust(seconds: float, text: str) -> None:
    with ctxvars.deadline(seconds):
        assert inject() == {"baggage": f"ctxvars.deadline={text}"}
