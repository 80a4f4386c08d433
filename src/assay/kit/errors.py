"""The root of every error that Assay raises on purpose.

    DomainError
    ├── NotFoundError      the object is not there, or not visible to the caller
    ├── ConflictError      the object is in a state that does not allow the call
    ├── InvalidError       the input is wrong; ``param`` names the place
    ├── ForbiddenError     the caller is known and may not do this
    ├── UnauthenticatedError  the caller is not known
    ├── LimitError         a bound (size, count, rate) was exceeded
    └── UnavailableError   a part that is needed is briefly not there; trying again later helps

Features subclass these and set ``code``, a stable word for machines. No HTTP status lives here: each dialect has one
table from ``kind`` (and, where it must, ``code``) to its own status and body.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class ErrorKind(StrEnum):
    """What a caller can do about an error."""

    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    UNAUTHENTICATED = "unauthenticated"
    LIMIT = "limit"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """An error with a stable code, a message for people and data for machines.

    Args:
        message: What was wrong, where, and what to do, in a sentence.
        param: Path of the faulty input (``tasks[3].grader.source``), when one input is at fault.
        data: JSON-ready details.
    """

    kind: ClassVar[ErrorKind]
    code: ClassVar[str]

    def __init__(self, message: str, *, param: str | None = None, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.data: dict[str, Any] = dict(data or {})


class NotFoundError(DomainError):
    """The object does not exist, was deleted, or belongs to somebody else."""

    kind = ErrorKind.NOT_FOUND
    code = "not_found"


class ConflictError(DomainError):
    """The object's present state does not allow the call."""

    kind = ErrorKind.CONFLICT
    code = "conflict"


class InvalidError(DomainError):
    """The input is wrong."""

    kind = ErrorKind.INVALID
    code = "invalid"


class ForbiddenError(DomainError):
    """The caller may not do this."""

    kind = ErrorKind.FORBIDDEN
    code = "forbidden"


class UnauthenticatedError(DomainError):
    """The caller sent no key, or one that is not known, expired or revoked."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "unauthenticated"


class LimitError(DomainError):
    """A bound was exceeded."""

    kind = ErrorKind.LIMIT
    code = "limit_exceeded"


class UnavailableError(DomainError):
    """A needed part is not reachable at the moment."""

    kind = ErrorKind.UNAVAILABLE
    code = "unavailable"
