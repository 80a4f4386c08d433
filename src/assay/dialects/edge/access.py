"""What the dialects' checks of callers have in common."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from assay.core.projects.types import Principal, Scope
from assay.dialects.edge.state import principal_of
from assay.kit.errors import UnauthenticatedError


def bearer_token(request: Request, *, advice: str) -> str:
    """The token of an ``Authorization: Bearer`` header.

    Args:
        request: Any request.
        advice: What to tell who sent none.

    Raises:
        UnauthenticatedError: There is none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError(advice)
    return token.strip()


def caller_with(scope: Scope) -> Any:
    """A dependency that gives the caller, who must hold the scope."""

    def require(request: Request) -> Principal:
        principal = principal_of(request)
        principal.require(scope)
        return principal

    require.scope = scope  # type: ignore[attr-defined] - read by the tests that walk all routes
    return Depends(require)
