"""Errors as this dialect writes them (P§1.3): four keys, and only the first fault."""

from __future__ import annotations

import re
from typing import Any

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from assay.core.datasets.errors import UnknownDatasetError
from assay.core.evaluators.errors import (
    DefinitionError,
    JudgeKeyError,
    KeyFieldError,
    KeyNotHealthyError,
    KeyRefusedError,
    SourceError,
)
from assay.core.online.errors import TargetMismatchError
from assay.core.projects.errors import InvalidCredentialsError, ProjectNotFoundError
from assay.dialects.edge.bodies import BodyError
from assay.dialects.edge.statuses import STATUS_OF_KIND
from assay.kit.errors import DomainError, ErrorKind, InvalidError
from assay.kit.json import loads

TYPE_OF_KIND: dict[ErrorKind, str] = {
    ErrorKind.INVALID: "validation_error",
    ErrorKind.UNAUTHENTICATED: "authentication_error",
    ErrorKind.FORBIDDEN: "authentication_error",
    ErrorKind.NOT_FOUND: "invalid_request",
    ErrorKind.CONFLICT: "invalid_request",
    ErrorKind.LIMIT: "invalid_request",
    ErrorKind.UNAVAILABLE: "server_error",
}
CODE_OF_KIND: dict[ErrorKind, str] = {
    ErrorKind.INVALID: "invalid",
    ErrorKind.UNAUTHENTICATED: "not_authenticated",
    ErrorKind.FORBIDDEN: "permission_denied",
    ErrorKind.NOT_FOUND: "not_found",
    ErrorKind.CONFLICT: "conflict",
    ErrorKind.LIMIT: "too_large",
    ErrorKind.UNAVAILABLE: "unavailable",
}
ATTRS = {
    "kind": "evaluation_type",
    "output_kind": "output_type",
    "pair": "config",
    "output_config": "config",
    "config.source": "evaluation_config",
    "model": "model_configuration",
    "model.provider_key_id": "model_configuration__provider_key_id",
    "secret": "api_key",
}
"""What this dialect calls parts of evaluators and provider keys."""


class FieldError(InvalidError):
    """A field of the body or the query is missing or wrong.

    Args:
        attr: The field; parts of nested ones are joined with two underscores.
        wire_code: One of the codes of P§1.3.
        message: What is wrong and what to do.
    """

    code = "invalid_field"

    def __init__(self, attr: str, wire_code: str, message: str) -> None:
        super().__init__(message, param=attr)
        self.wire_code = wire_code


def body(kind_word: str, code: str, detail: str, attr: str | None) -> dict[str, Any]:
    """The body of every error."""
    return {"type": kind_word, "code": code, "detail": detail, "attr": attr}


def render_error(error: DomainError) -> Response:
    """The response for an error."""
    kind_word, code, detail = TYPE_OF_KIND[error.kind], CODE_OF_KIND[error.kind], error.message
    attr = error.param if error.kind is ErrorKind.INVALID else None
    match error:
        case FieldError():
            code = error.wire_code
        case BodyError() if error.param is None:
            kind_word, code = "invalid_request", "parse_error"
        case DefinitionError() | KeyFieldError() | KeyRefusedError() | JudgeKeyError():
            attr = attr_of(error.param or "")
        case KeyNotHealthyError():
            return JSONResponse(body("validation_error", "invalid", detail, None), 400)
        case TargetMismatchError():
            code = error.code
        case UnknownDatasetError():
            code = "does_not_exist"
        case InvalidCredentialsError():
            code = "authentication_failed"
        case ProjectNotFoundError():
            detail = "Project not found."
        case _:
            pass
    headers = {"Retry-After": "1"} if error.kind is ErrorKind.UNAVAILABLE else None
    return JSONResponse(body(kind_word, code, detail, attr), STATUS_OF_KIND[error.kind], headers)


def attr_of(param: str) -> str:
    """A place in the core's words as this dialect names it (P§2.4, P§7 no. 15)."""
    return ATTRS.get(param) or "__".join(part for part in re.split(r"[.\[\]]+", param) if part)


def render_superset(error: DomainError) -> Response:
    """The four keys and ``error``, which older clients read: a text, or the messages of a field (P§4.1, P§4.2)."""
    response = render_error(error)
    told: dict[str, Any] = loads(bytes(response.body))
    is_plain = told["attr"] is None or isinstance(error, SourceError)
    told["error"] = told["detail"] if is_plain else {told["attr"]: [told["detail"]]}
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    return JSONResponse(told, response.status_code, headers)


def describe_invalid(error: RequestValidationError) -> DomainError:
    """FastAPI's own faults, which only paths and headers can have: bodies and queries are checked by hand."""
    fault = error.errors()[0]
    return FieldError("__".join(map(str, fault["loc"][1:])), "invalid", str(fault["msg"]))
