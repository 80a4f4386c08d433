"""How a Hog program can go wrong.

Before it runs: `HogCompileError`, an ordinary exception, because the author must mend the source.
While it runs: `HogRuntimeError`, a value inside the outcome, because failing is one of the results of a program.

`HogFailure` and its kin are the machine's own signals on the way to that value; they never leave `run_program`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from assay.kit.errors import InvalidError

_EXCERPT_CHARACTERS = 200


class HogCompileError(InvalidError):
    """The source is no Hog program. ``data`` has ``line``, ``column`` (both from 1), ``source_line`` and ``caret``."""

    code = "hog_compile_error"

    @classmethod
    def at(cls, message: str, source: str, offset: int) -> HogCompileError:
        """An error at a place.

        Args:
            message: What is wrong and what to do, without the place.
            source: The whole program.
            offset: Index of the offending character.
        """
        line, column = locate(source, offset)
        start = source.rfind("\n", 0, offset) + 1
        end = source.find("\n", offset)
        text = source[start : end if end >= 0 else len(source)].rstrip("\r")
        # A program on one long line still gives a short excerpt, with the caret inside.
        cut = max(0, column - 1 - _EXCERPT_CHARACTERS // 2)
        excerpt = text[cut : cut + _EXCERPT_CHARACTERS]
        padding = "".join("\t" if character == "\t" else " " for character in excerpt[: column - 1 - cut])
        data = {"line": line, "column": column, "source_line": excerpt, "caret": f"{padding}^"}
        return cls(f"{message} (line {line}, column {column})", data=data)


def locate(source: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    return source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)


class HogFailureKind(StrEnum):
    """Why a program ended early."""

    RUNTIME = "runtime"
    """The program did something that the language forbids, or threw what nobody caught."""
    TIMEOUT = "timeout"
    """It used up its seconds or its steps."""
    MEMORY = "memory"
    UNEXPECTED = "unexpected"
    """The fault is the host's; the program may be right."""


@dataclass(frozen=True, slots=True)
class HogRuntimeError:
    """How a program failed."""

    kind: HogFailureKind
    message: str
    line: int | None = None
    """Line of the source, from 1, where it is known."""

    @property
    def text(self) -> str:
        """The message as its readers know it, with the prefix of its kind."""
        place = "" if self.line is None else f" (line {self.line})"
        match self.kind:
            case HogFailureKind.RUNTIME:
                return f"Runtime error: {self.message}{place}"
            case HogFailureKind.UNEXPECTED:
                return f"Unexpected error: {self.message}{place}"
            case _:
                return f"{self.message}{place}"


class HogFailure(Exception):
    """The running program failed; programs cannot catch it."""

    kind = HogFailureKind.RUNTIME

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TimeUsedUp(HogFailure):
    """No seconds or steps are left."""

    kind = HogFailureKind.TIMEOUT


class MemoryUsedUp(HogFailure):
    """The values of the program exceed their share."""

    kind = HogFailureKind.MEMORY
