"""The result of `ctxvars.classes.trace`: the steps in which classes were created."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from ctxvars._public import public


@public
class Step(NamedTuple):
    """One step in the creation of a class.

    =============  ========================  ===============================================
    kind           name                      value
    =============  ========================  ===============================================
    bases                                    the bases, after calls of ``__mro_entries__``
    metaclass                                the metaclass that was chosen
    namespace      the names in it, if any   the namespace that ``__prepare__`` returned
    store          the name that was stored  the value
    delete         the deleted name          ``None``
    body                                     the cell of ``__class__``, or ``None``
    call                                     the namespace that the metaclass is called with
    set_name       the name                  the attribute whose ``__set_name__`` is called
    init_subclass  the qualified name        the keyword arguments
    class                                    the result of the metaclass
    error                                    the exception
    =============  ========================  ===============================================
    """

    kind: str
    value: Any
    name: str = ""
    line: int | None = None
    """The line of the body that stored or deleted the name."""
    offset: int | None = None
    """The offset of that instruction in the bytecode of the body."""
    derived: bool = False
    """Whether the call was not recorded, but follows from the rules for `type.__new__`."""
    code: CodeType | None = None
    """The code of the method that was called, if the call was recorded."""


@public
@dataclass
class ClassTrace:
    """The creation of one class.

    The trace keeps the recorded objects alive.
    """

    name: str
    body: FunctionType
    """The function whose code is the body."""
    bases: tuple[Any, ...]
    """As they are written."""
    keywords: dict[str, Any]
    """The keyword arguments, `metaclass` among them."""
    steps: list["Step | ClassTrace"] = field(default_factory=list)
    """The steps, in order. A class that is created between two steps is one of them."""
    given: tuple[tuple[Any, Any], ...] = ()
    """The items of the namespace before the body runs, if the namespace is a `dict`."""

    @property
    def qualname(self) -> str:
        """The qualified name that the statement gives the class."""
        return self.body.__qualname__

    @property
    def made(self) -> Any:
        """The result of the metaclass, `None` if the creation failed before."""
        return next((step.value for step in self.own("class")), None)

    @property
    def error(self) -> BaseException | None:
        """The exception that ended the creation, or `None`."""
        return next((step.value for step in self.own("error")), None)

    def own(self, kind: str, /) -> Iterator[Step]:
        """Iterate over the steps of one kind, without those of nested classes."""
        return (step for step in self.steps if isinstance(step, Step) and step.kind == kind)

    def nested(self) -> Iterator["ClassTrace"]:
        """Iterate over this class, and all classes that were created during its creation."""
        yield self
        for step in self.steps:
            if isinstance(step, ClassTrace):
                yield from step.nested()

    def text(self, *, bytecode: bool = True) -> str:
        """Return the steps as a tree of text.

        Args:
            bytecode: whether to show, beside each name that is stored, the instructions of the body
                that lead to it from the one before.
        """
        from ctxvars.classes._tree import tree

        return tree(self, bytecode=bytecode)

    def __str__(self) -> str:
        return self.text()


@public
@dataclass
class Trace:
    """All classes that were created, and the result."""

    classes: list[ClassTrace] = field(default_factory=list)
    """In the order of their statements. A class that was created during the creation of another is
    a step of the other."""
    result: Any = None
    """The result of the function."""
    error: Exception | None = None
    """The exception that the function raised instead."""

    def __getitem__(self, name: str, /) -> ClassTrace:
        """The latest class of that name or qualified name, nested or not.

        Raises:
            KeyError: no class statement of that name was recorded.
        """
        for outer in reversed(self.classes):
            for each in reversed(list(outer.nested())):
                if name in (each.name, each.qualname):
                    return each
        raise KeyError(name)

    def text(self, *, bytecode: bool = True) -> str:
        """Return a tree (see `ClassTrace.text`) for each class."""
        return "\n\n".join(each.text(bytecode=bytecode) for each in self.classes)

    def __str__(self) -> str:
        return self.text()
