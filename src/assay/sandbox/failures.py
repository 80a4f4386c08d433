"""From the errors of Monty to failures that the author of the code can act on."""

from __future__ import annotations

import re

from pydantic_monty import MontyError, MontyRuntimeError, MontySyntaxError

from assay.sandbox.contract import MIB, CodeFailure, FailureKind, Limits
from assay.sandbox.models import ModelBridge, kind_of_refusal

AVAILABLE_MODULES = [
    "asyncio",
    "base64",
    "binascii",
    "bisect",
    "collections",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "itertools",
    "json",
    "math",
    "os",
    "pathlib",
    "random",
    "re",
    "sys",
    "time",
    "tomllib",
    "typing",
    "unicodedata",
]
"""What ``import`` finds in Monty 1.4, most of it in part; held by a test."""

_MAX_MESSAGE = 2000
_PROGRAM_FILE = "<string>"
"""The name that `exec` gives to the source."""

_NEVER_SUPPORTED = "The monty syntax parser does not yet support "
_SYNTAX_LINE = re.compile(r" \(<string>, line (\d+)\)$")


def failure_from(error: MontyError, *, limits: Limits, bridge: ModelBridge | None, printed: str) -> CodeFailure:
    """What the code did, from the error that ended its execution."""
    name, message = _type_and_message(error)
    kind = _kind(name, message, bridge)
    return CodeFailure(kind, clean(_explain(kind, name, message, limits)), _line(error), printed)


def _type_and_message(error: MontyError) -> tuple[str, str]:
    if isinstance(error, MontySyntaxError | MontyRuntimeError):
        name, _, message = error.display("type-msg").partition(": ")
        return name, message
    return type(error).__name__, str(error)


def _kind(name: str, message: str, bridge: ModelBridge | None) -> FailureKind:
    if name == "TimeoutError" and "limit exceeded" in message:
        return FailureKind.TIMEOUT
    if name == "MemoryError":
        return FailureKind.MEMORY
    if name == "RecursionError":
        return FailureKind.RECURSION
    if name in {"SyntaxError", "ModuleNotFoundError", "ImportError"} or message.startswith(_NEVER_SUPPORTED):
        return FailureKind.LOAD
    if name == "RuntimeError" and (refusal := kind_of_refusal(message, bridge)):
        return refusal
    return FailureKind.EXCEPTION


def _explain(kind: FailureKind, name: str, message: str, limits: Limits) -> str:
    if kind is FailureKind.TIMEOUT:
        return timeout_message(limits)
    if kind is FailureKind.MEMORY:
        return f"it used more than the limit of {limits.max_memory_bytes / MIB:g} MiB of memory"
    if kind is FailureKind.RECURSION:
        return f"it nested calls or values deeper than the limit of {limits.max_recursion_depth}"
    if message.startswith(_NEVER_SUPPORTED):
        return f"the sandbox does not support {message.removeprefix(_NEVER_SUPPORTED)}"
    if name == "SyntaxError":
        return f"syntax error: {_SYNTAX_LINE.sub('', message)}"
    if name == "ModuleNotFoundError":
        return f"{message}; the sandbox has only (parts of) {', '.join(AVAILABLE_MODULES)}"
    return f"{name}: {message}" if message else name


def timeout_message(limits: Limits) -> str:
    """Names the limit that was hit."""
    return f"it ran longer than the limit of {limits.timeout_seconds:g} s"


def _line(error: MontyError) -> int | None:
    if not isinstance(error, MontySyntaxError | MontyRuntimeError):
        return None
    if found := _SYNTAX_LINE.search(str(error)):
        return int(found[1])
    lines = [frame.line for frame in error.traceback() if frame.filename == _PROGRAM_FILE]
    return lines[-1] if lines else None


def clean(text: str) -> str:
    """Bounded, and without the NUL characters that PostgreSQL refuses."""
    text = text.replace("\0", "�")
    return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"
