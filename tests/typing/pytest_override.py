"""Types of the fixture `ctxvars_override`."""

from ctxvars import MISSING, ContextVar, Group
from ctxvars.pytest_plugin import Override

user = ContextVar[str]("user")
depth = ContextVar[int]("depth")


class Request(Group):
    path: str = "/"


def test_override(ctxvars_override: Override) -> None:
    ctxvars_override(user, "Ada")
    ctxvars_override(user, MISSING)
    ctxvars_override({user: "Ada", depth: 1})
    ctxvars_override(Request(path="/login"))


def test_mistakes(ctxvars_override: Override) -> None:
    ctxvars_override(user, 1)  # type: ignore[misc]
    ctxvars_override("user", "Ada")  # type: ignore[call-overload]
    ctxvars_override(user)  # type: ignore[call-overload]


override = Override(None)
test_override(override)
override.undo()
