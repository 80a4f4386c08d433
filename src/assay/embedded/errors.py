"""What can go wrong with the home folder and the services in it."""

from __future__ import annotations

from assay.kit.errors import ConflictError, InvalidError, UnavailableError


class HomeInUseError(ConflictError):
    """Another Assay runs on the same home; the message names its process."""

    code = "home_in_use"


class HomeUnusableError(InvalidError):
    """The home folder, or a file in it, cannot be used safely; the message says how to mend it."""

    code = "home_unusable"


class ServiceFailedError(UnavailableError):
    """An embedded service did not start, or died too often; the message holds the end of its log."""

    code = "embedded_service_failed"
