"""What can go wrong with a model call.

    DomainError
    ├── InvalidError
    │   ├── UnknownModelError          no such model, or its provider is not configured
    │   ├── UnsupportedParameterError  the model's API has no such parameter
    │   └── CatalogConfigError         assay.toml, or a row of the catalog, is wrong
    └── ProviderError                  the provider was asked and did not answer properly
        ├── RetryableProviderError     the same request may succeed later
        │   ├── RateLimitedError       429 (``retry_after`` seconds, when told)
        │   ├── ProviderOverloadedError  5xx, 408, 409, 425
        │   ├── ProviderTimeoutError   no complete answer within the attempt's time
        │   ├── ProviderConnectionError  refused, reset, unresolvable
        │   └── MalformedReplyError    an answer that is no valid reply (truncated, too large, other JSON)
        └── TerminalProviderError      asking again changes nothing
            ├── RequestRejectedError   400, 413, 422
            │   └── ContextLengthError   prompt and reply exceed the model's context
            ├── ProviderAccessError    401, 403: the operator's key is wrong or may not
            ├── ProviderNotFoundError  404: no such model or path upstream
            └── QuotaExhaustedError    429 for want of money, which waiting does not cure

A ``ProviderError`` that leaves the gateway carries every attempt of its call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.kit.errors import DomainError, ErrorKind, InvalidError

if TYPE_CHECKING:
    from assay.gateway.types import Attempt


class UnknownModelError(InvalidError):
    """The catalog has no such model; the message says how to add one."""

    code = "unknown_model"


class UnsupportedParameterError(InvalidError):
    """A generation parameter has no counterpart in the API that the model is reached by."""

    code = "unsupported_parameter"


class CatalogConfigError(InvalidError):
    """The configuration of providers and models is wrong; ``param`` is the path of the fault."""

    code = "catalog_config"


class ProviderError(DomainError):
    """A model call failed.

    Args:
        message: Starts with the provider's name; bounded, and free of secrets.
        status: HTTP status, or None when no answer came.
        retry_after: Seconds that the provider asked to wait.
    """

    kind = ErrorKind.UNAVAILABLE
    code = "provider_error"

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, data={} if status is None else {"status": status})
        self.status = status
        self.retry_after = retry_after
        self.attempts: tuple[Attempt, ...] = ()


class RetryableProviderError(ProviderError):
    """The same request may succeed later."""

    code = "provider_unavailable"


class RateLimitedError(RetryableProviderError):
    """The provider limits the rate."""

    kind = ErrorKind.LIMIT
    code = "provider_rate_limited"


class ProviderOverloadedError(RetryableProviderError):
    """The provider failed or is too busy."""

    code = "provider_overloaded"


class ProviderTimeoutError(RetryableProviderError):
    """No complete answer came in time."""

    code = "provider_timeout"


class ProviderConnectionError(RetryableProviderError):
    """The provider could not be reached, or the connection broke."""

    code = "provider_unreachable"


class MalformedReplyError(RetryableProviderError):
    """The answer was not what the API promises."""

    code = "provider_malformed_reply"


class TerminalProviderError(ProviderError):
    """Asking again changes nothing."""

    kind = ErrorKind.INVALID
    code = "provider_refused"


class RequestRejectedError(TerminalProviderError):
    """The provider found the request faulty."""

    code = "provider_rejected_request"


class ContextLengthError(RequestRejectedError):
    """Prompt and reply do not fit the model's context window."""

    code = "context_length_exceeded"


class ProviderAccessError(TerminalProviderError):
    """The configured key is missing, wrong or lacks a right."""

    kind = ErrorKind.UNAVAILABLE
    code = "provider_access"


class ProviderNotFoundError(TerminalProviderError):
    """The provider knows no such model, or the base URL is wrong."""

    code = "provider_not_found"


class QuotaExhaustedError(TerminalProviderError):
    """The account has no credit left."""

    kind = ErrorKind.UNAVAILABLE
    code = "provider_quota_exhausted"
