"""What can be wrong with responses.

NotFoundError
└── ResponseNotFoundError
InvalidError
└── ResponseInputError       a field is out of its bounds
ConflictError
├── ResponseStateError       its status does not allow the call
└── ApprovalUsedError        an approval request was decided before
"""

from __future__ import annotations

from assay.core.responses.types import ResponseStatus
from assay.kit.errors import ConflictError, InvalidError, NotFoundError


class ResponseNotFoundError(NotFoundError):
    """No such response is visible to the caller."""

    code = "response_not_found"


class ResponseInputError(InvalidError):
    """A field is out of its bounds."""

    code = "invalid_response_input"


class ResponseStateError(ConflictError):
    """The response's status does not allow the call (R3)."""

    code = "response_state"

    def __init__(self, message: str, *, status: ResponseStatus) -> None:
        super().__init__(message, data={"status": status.value})


class ApprovalUsedError(ConflictError):
    """A decision is made once."""

    code = "approval_decided"
