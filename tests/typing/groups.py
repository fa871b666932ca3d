"""Uses of groups that type checkers must accept. mypy and pyright check this file, Python runs it.

Mistakes that checkers must report have an ignore. Both report ignores that are not needed.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true
# To the strictest checks, the factory `list` makes a list of an unknown type, as in
# `dataclasses.field(default_factory=list)`.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, assert_type

import ctxvars
from ctxvars import ContextVar, Group, group_field


def positive(number: int) -> None:
    if number <= 0:
        raise ValueError(f"{number} is not positive")


class Settings(Group):
    precision: int = 28
    locale: str
    tags: list[str] = group_field(default_factory=list)
    digits: int = group_field(default=6, validate=positive)
    weights: dict[str, float] = group_field(default_factory=dict)
    checked: int = group_field(validate=positive)
    key: Callable[[str], str] = group_field(default=str.lower)

    KNOWN: ClassVar[tuple[str, ...]] = ("de", "en")

    def doubled(self) -> int:
        return self.precision * 2

    @classmethod
    def is_known(cls) -> bool:
        return cls.locale in cls.KNOWN


class Derived(Settings):
    locale: str = "de"


def fields() -> None:
    assert_type(Settings.precision, int)
    assert_type(Settings.tags, list[str])
    assert_type(Settings.digits, int)
    assert_type(Settings.weights, dict[str, float])
    assert_type(Derived.locale, str)
    Settings.precision = 6
    Settings.precision += 1
    del Settings.precision


def instances() -> None:
    settings = Settings(precision=6, locale="de")
    assert_type(settings, Settings)
    with settings as entered:
        assert_type(entered, Settings)
        assert_type(entered.precision, int)
        assert_type(entered.doubled(), int)
        entered.precision = 7
        del entered.precision
    with Derived(locale="en"):
        assert_type(Derived.is_known(), bool)


def whole_groups() -> None:
    assert_type(Settings.variables, Mapping[str, ContextVar[Any]])
    assert_type(Settings.as_dict(), dict[str, Any])
    assert_type(Settings.snapshot(), Settings)
    assert_type(Derived.snapshot(), Derived)
    groups: list[type[Group]] = [Settings, Derived]
    assert all(group.variables for group in groups)


def mistakes() -> None:
    """Mistakes that checkers must report. This function is not called."""
    Settings.precision = "6"  # type: ignore
    Settings.precison = 6  # type: ignore
    Settings().precison = 6  # type: ignore
    Settings(6)  # type: ignore
    Settings.variables["precision"] = ContextVar("other")  # type: ignore
    Settings.variables = {}  # type: ignore
    _ = Settings().variables  # type: ignore
    group_field(default=1, default_factory=int)  # type: ignore
    group_field(default_factory=[])  # type: ignore
    group_field(default="6", validate=positive)  # type: ignore


class Mistakes(Group):
    wrong_default: int = group_field(default="6")  # type: ignore
    wrong_factory: int = group_field(default_factory=list)  # type: ignore


if __name__ == "__main__":
    for example in (fields, instances, whole_groups):
        ctxvars.Context().run(example)
