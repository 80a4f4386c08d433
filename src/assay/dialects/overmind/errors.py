"""Errors as this dialect writes them (O§1.4): faults of a body by field, everything else as ``detail`` and ``code``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails

from assay.core.projects.errors import InvalidCredentialsError, ProjectForbiddenError
from assay.dialects.edge.bodies import BodyError, QueryError
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.kit.errors import DomainError, ErrorKind, InvalidError, NotFoundError

NO_FIELD = "non_field_errors"
CODE_OF_KIND: dict[ErrorKind, str] = {
    ErrorKind.INVALID: "invalid",
    ErrorKind.UNAUTHENTICATED: "not_authenticated",
    ErrorKind.FORBIDDEN: "permission_denied",
    ErrorKind.NOT_FOUND: "not_found",
    ErrorKind.CONFLICT: "conflict",
    ErrorKind.LIMIT: "too_large",
    ErrorKind.UNAVAILABLE: "unavailable",
}
_FIELDS: Mapping[str, str] = {
    "active_dataset_id": "active_dataset",
    "agent_id": "agent",
    "job_id": "job",
    "project_id": "project",
    "expires_at": "expires_in_days",
}
"""Fields of the core whose name on the wire is another."""
_MESSAGES: Mapping[str, str] = {
    "missing": "This field is required.",
    "string_too_long": "Ensure this field has no more than {max_length} characters.",
    "string_too_short": "This field may not be blank.",
    "string_type": "Not a valid string.",
    "int_type": "A valid integer is required.",
    "int_from_float": "A valid integer is required.",
    "float_type": "A valid number is required.",
    "finite_number": "A valid number is required.",
    "bool_type": "Must be a valid boolean.",
    "uuid_type": "Must be a valid UUID.",
    "uuid_parsing": "Must be a valid UUID.",
    "list_type": "Expected a list of items.",
    "model_type": "Invalid data. Expected a dictionary.",
    "greater_than_equal": "Ensure this value is greater than or equal to {ge}.",
    "less_than_equal": "Ensure this value is less than or equal to {le}.",
}


class FieldErrors(InvalidError):
    """Fields of a body or a query are wrong.

    Args:
        faults: By field: a list of messages, or for a list of objects one such mapping each.
    """

    code = "invalid_fields"

    def __init__(self, faults: Mapping[str, Any]) -> None:
        super().__init__(f"These fields are wrong: {', '.join(faults)}.", param=next(iter(faults), None))
        self.faults = dict(faults)

    @classmethod
    def of(cls, field: str, message: str) -> FieldErrors:
        """One fault of one field."""
        return cls({field: [message]})


class InvalidPageError(NotFoundError):
    """A page that the list does not have."""

    code = "invalid_page"

    def __init__(self) -> None:
        super().__init__("Invalid page.")


class MediaTypeError(InvalidError):
    """The body is no JSON."""

    code = "unsupported_media_type"

    def __init__(self, given: str) -> None:
        super().__init__(f'Unsupported media type "{given[:100]}" in request. Send application/json.')


def render_error(error: DomainError) -> Response:
    """The response for an error."""
    match error:
        case FieldErrors():
            return JSONResponse(error.faults, 400)
        case MediaTypeError():
            return _detail(415, error.message, error.code)
        case BodyError() if error.param is None:
            return _detail(400, f"JSON parse error - {error.message}", "parse_error")
        case InvalidError():
            field = NO_FIELD if error.param is None else _FIELDS.get(error.param, error.param)
            return JSONResponse({field: [error.message]}, 400)
        case InvalidPageError():
            return _detail(404, error.message, "not_found")
        # What belongs to another project is as if it were not there.
        case NotFoundError() | ProjectForbiddenError():
            return _detail(404, "Not found.", "not_found")
        case InvalidCredentialsError():
            return _detail(401, error.message, "authentication_failed")
        case _:
            return _detail(STATUS_OF_KIND[error.kind], error.message, CODE_OF_KIND[error.kind])


def render_status(status: int, *, error_id: str = "") -> Response:
    """The response for a path or a verb that no route has, or for a fault of ours."""
    if status == 404:
        return _detail(404, "Not found.", "not_found")
    if status == 405:
        return _detail(405, "Method not allowed.", "method_not_allowed")
    body = {"detail": "Internal error.", "code": "internal_error", "error_id": error_id}
    return JSONResponse(body, status)


def describe_invalid(error: RequestValidationError) -> DomainError:
    """FastAPI's own faults, which only paths and headers can have: bodies and queries are checked by hand."""
    return FieldErrors(faults_by_field(cast("Sequence[ErrorDetails]", error.errors()), skip=1))


def faults_by_field(faults: Sequence[ErrorDetails], *, skip: int = 0) -> dict[str, Any]:
    """What a model found wrong, in this dialect's form; lists keep their nesting.

    Args:
        faults: Of Pydantic.
        skip: How many leading parts of each place to leave out.
    """
    found: dict[str, Any] = {}
    for fault in faults:
        # Alternatives of a union add their own names to the place; they come after the names of fields.
        place = [part for part in fault["loc"][skip:] if isinstance(part, int) or part.islower()]
        _note(found, place or [NO_FIELD], _message(fault))
    return found


def check_query(error: QueryError) -> FieldErrors:
    """A parameter that cannot be compared with anything."""
    return FieldErrors.of(error.param or NO_FIELD, error.message)


def _note(found: dict[str, Any], place: Sequence[str | int], message: str) -> None:
    name = str(place[0])
    index = place[1] if len(place) > 2 and isinstance(place[1], int) else None
    if index is None:
        messages = found.setdefault(name, [])
        if message not in messages:
            messages.append(message)
        return
    rows: list[Any] = found.setdefault(name, [])
    rows.extend({} for _ in range(index + 1 - len(rows)))
    if isinstance(rows[index], dict):
        _note(rows[index], place[2:], message)


def _message(fault: ErrorDetails) -> str:
    kind = fault["type"]
    if kind != "missing" and fault["input"] is None:
        return "This field may not be null."
    if kind in ("enum", "literal_error"):
        return f'"{str(fault["input"])[:100]}" is not a valid choice.'
    return _MESSAGES.get(kind, f"{fault['msg']}.").format(**fault.get("ctx", {}))


def _detail(status: int, detail: str, code: str) -> Response:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}.get(status)
    return JSONResponse({"detail": detail, "code": code}, status, headers)
