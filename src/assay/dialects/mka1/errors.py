"""Errors as this dialect writes them (M§1.7, R1): one envelope that every typed error of the SDK accepts.

``code`` stays null because the SDK's file errors want a number there; the word for machines is in ``type``.
"""

from __future__ import annotations

from typing import Any

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.kit.errors import DomainError, ErrorKind, InvalidError

TYPE_OF_KIND: dict[ErrorKind, str] = {
    ErrorKind.INVALID: "invalid_request_error",
    ErrorKind.UNAUTHENTICATED: "authentication_error",
    ErrorKind.FORBIDDEN: "permission_error",
    ErrorKind.NOT_FOUND: "not_found_error",
    ErrorKind.CONFLICT: "conflict_error",
    ErrorKind.LIMIT: "limit_error",
    ErrorKind.UNAVAILABLE: "unavailable_error",
}
SHOWN_FAULTS = 5


class RequestFieldError(InvalidError):
    """A field of the path, query or body is missing or wrong."""

    code = "invalid_field"


def envelope(message: str, *, kind_word: str, param: str | None = None, details: Any = None) -> dict[str, Any]:
    """The body of every error."""
    return {"error": {"message": message, "type": kind_word, "param": param, "code": None, "details": details}}


def render_error(error: DomainError) -> Response:
    """The response for an error; a client that waits a second before it asks again is told so."""
    headers = {"Retry-After": "1"} if error.kind is ErrorKind.UNAVAILABLE else None
    details = {"code": error.code, **error.data}
    body = envelope(error.message, kind_word=TYPE_OF_KIND[error.kind], param=error.param, details=details)
    return JSONResponse(body, STATUS_OF_KIND[error.kind], headers)


def describe_invalid(error: RequestValidationError) -> DomainError:
    """A validation fault as an error of ours that names the first faulty fields (400: the SDK knows no 422)."""
    faults = [(_path(fault["loc"]), str(fault["msg"])) for fault in error.errors()]
    shown = "; ".join(f"{path}: {message}" for path, message in faults[:SHOWN_FAULTS])
    listed = [{"path": path, "message": message} for path, message in faults[:SHOWN_FAULTS]]
    return RequestFieldError(shown, param=faults[0][0] if faults else None, data={"errors": listed})


def _path(location: tuple[int | str, ...]) -> str:
    parts = location[1:] if location and location[0] in {"body", "query", "path", "header"} else location
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return path.removeprefix(".") or str(location[0] if location else "body")
