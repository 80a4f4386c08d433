"""The HTTP status of each kind of error. A dialect whose contract differs has a table of its own."""

from __future__ import annotations

from assay.kit.errors import ErrorKind

STATUS_OF_KIND: dict[ErrorKind, int] = {
    ErrorKind.INVALID: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.LIMIT: 413,
    ErrorKind.UNAVAILABLE: 503,
}
