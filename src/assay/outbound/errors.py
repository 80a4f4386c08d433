"""What can go wrong with a request to somebody else.

OutboundError
├── UrlRefusedError        the URL itself is not acceptable
├── AddressRefusedError    the name leads where requests of this server must not go; nothing was sent
├── NameNotFoundError      the name leads nowhere
├── ConnectionFailedError  refused, reset, TLS fault, not HTTP
├── OutboundTimeoutError   no answer in time
├── RequestTooLargeError   more to send than is allowed
└── ResponseTooLargeError  more came than is allowed
"""

from __future__ import annotations

from assay.kit.errors import InvalidError


class OutboundError(InvalidError):
    """A request to a user's URL could not be made."""

    code = "outbound"


class UrlRefusedError(OutboundError):
    """The URL is malformed, not HTTPS, or carries credentials."""

    code = "url_refused"


class AddressRefusedError(OutboundError):
    """The URL's host has an address that is not a public one, and is not allow-listed."""

    code = "address_refused"


class NameNotFoundError(OutboundError):
    """The URL's host has no address."""

    code = "name_not_found"


class ConnectionFailedError(OutboundError):
    """No connection, or what came over it was not an HTTP response."""

    code = "connection_failed"


class OutboundTimeoutError(OutboundError):
    """The receiver took too long."""

    code = "outbound_timeout"


class RequestTooLargeError(OutboundError):
    """The body is longer than allowed."""

    code = "request_too_large"


class ResponseTooLargeError(OutboundError):
    """The answer is longer than allowed."""

    code = "response_too_large"
