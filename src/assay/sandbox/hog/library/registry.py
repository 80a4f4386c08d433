"""The table of library functions, filled by the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from assay.sandbox.hog.errors import HogFailure
from assay.sandbox.hog.limits import MAX_ARGUMENTS
from assay.sandbox.hog.values import CallRequest, LibraryFunction, Value, is_number, type_name

LIBRARY: dict[str, LibraryFunction] = {}

_Native = TypeVar("_Native", bound=Callable[..., Any])
_Resumable = TypeVar("_Resumable", bound=Callable[..., Generator[CallRequest, Any, Any]])


def function(name: str, least: int, most: int | None = None) -> Callable[[_Native], _Native]:
    """Register a function of the budget and its arguments.

    Args:
        name: As programs call it.
        least: Fewest arguments.
        most: Most arguments; the same when left out.
    """

    def register(native: _Native) -> _Native:
        LIBRARY[name] = LibraryFunction(name, least, least if most is None else most, native)
        return native

    return register


def resumable(name: str, count: int) -> Callable[[_Resumable], _Resumable]:
    """Register a function that calls functions: a generator of `CallRequest`s."""

    def register(native: _Resumable) -> _Resumable:
        LIBRARY[name] = LibraryFunction(name, count, count, native, resumable=True)
        return native

    return register


ANY = MAX_ARGUMENTS
"""As many arguments as a call can have."""


def need_text(value: Value, name: str) -> str:
    """A string argument.

    Raises:
        HogFailure: It is something else.
    """
    if isinstance(value, str):
        return value
    raise HogFailure(f"Function `{name}` needs a string, not a value of type {type_name(value)}")


def need_integer(value: Value, name: str) -> int:
    """An integer argument; a float without fraction will do.

    Raises:
        HogFailure: It is something else.
    """
    if is_number(value) and (isinstance(value, int) or value.is_integer()):
        return int(value)
    raise HogFailure(f"Function `{name}` needs an integer, not a value of type {type_name(value)}")


def need_number(value: Value, name: str) -> int | float:
    """A number argument.

    Raises:
        HogFailure: It is something else.
    """
    if isinstance(value, int | float):
        return value
    raise HogFailure(f"Function `{name}` needs a number, not a value of type {type_name(value)}")
