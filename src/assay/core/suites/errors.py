"""What can be wrong with a suite."""

from __future__ import annotations

from assay.kit.errors import ConflictError, InvalidError, NotFoundError


class SuiteNotFoundError(NotFoundError):
    """No such suite is visible to the caller."""

    code = "suite_not_found"


class SuiteVersionNotFoundError(NotFoundError):
    """The suite has no such version."""

    code = "suite_version_not_found"


class SuiteInputError(InvalidError):
    """A field of a suite, other than its manifest, is wrong."""

    code = "invalid_suite"


class ShareNotFoundError(NotFoundError):
    """The suite is not shared with that organization."""

    code = "share_not_found"


class ShareLimitError(ConflictError):
    """The suite is shared with as many organizations as it can be."""

    code = "share_limit"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The suite is shared with {limit} organizations, which is the limit; withdraw a share first.",
            data={"limit": limit},
        )


class RecipientNotFoundError(NotFoundError):
    """A suite was to be shared with an organization that does not exist."""

    code = "recipient_not_found"
