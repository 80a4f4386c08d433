"""What can be wrong with a run."""

from __future__ import annotations

from decimal import Decimal

from assay.core.runs.types import RunStatus
from assay.kit.errors import ConflictError, InvalidError, LimitError, NotFoundError


class RunNotFoundError(NotFoundError):
    """No such run is visible to the caller."""

    code = "run_not_found"


class SampleNotFoundError(NotFoundError):
    """The run has no such sample, or the sample lacks the part that was asked for."""

    code = "sample_not_found"


class TrajectoryTooLargeError(LimitError):
    """Steps and logs take more bytes than are kept."""

    code = "trajectory_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"`steps` and `logs` have {size:,} bytes; at most {limit:,} are kept. Shorten logs or long observations.",
            data={"bytes": size, "limit": limit},
        )


class ClipTooLargeError(LimitError):
    """An inline clip is too large to be sent."""

    code = "clip_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"The clip has {size:,} bytes; at most {limit:,} are sent. Its row is in the dataset's file.",
            data={"bytes": size, "limit": limit},
        )


class RunInputError(InvalidError):
    """A field of a run request is wrong."""

    code = "invalid_run"


class ItemsDifferError(InvalidError):
    """Two runs are not about the same items, so that they cannot be compared."""

    code = "items_differ"


class ClipUnreadableError(InvalidError):
    """A row has no clip that could be sent to a model."""

    code = "clip_unreadable"


class RunStateError(ConflictError):
    """The run's status does not allow the call (M§7 R3, R4)."""

    code = "run_wrong_state"

    def __init__(self, message: str, status: RunStatus) -> None:
        super().__init__(message, data={"status": status.value})


class RunStoppedError(ConflictError):
    """The run is no longer in progress: it was cancelled, deleted, or has ended."""

    code = "run_stopped"

    def __init__(self, status: RunStatus) -> None:
        super().__init__(f"The run is {status.value}.", data={"status": status.value})


class RunBudgetReachedError(LimitError):
    """The run has cost what it may."""

    code = "budget_reached"

    def __init__(self, spent_usd: Decimal, budget_usd: Decimal) -> None:
        super().__init__(
            f"${spent_usd:.4f} of the budget of ${budget_usd:.4f} is spent. Retry the run with a higher `budget_usd` "
            "to go on where it stopped; nothing that was paid for is asked again.",
            data={"spent_usd": float(spent_usd), "budget_usd": float(budget_usd)},
        )


class UnpricedModelError(InvalidError):
    """The run has a budget, and a model whose calls have no known price."""

    code = "unpriced_model"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"The run has a budget, and the price of {model} is not known. Give it prices under [models] in "
            "assay.toml, or leave `budget_usd` out.",
            param="budget_usd",
        )


class RunIncompleteError(ConflictError):
    """Work ended with samples outstanding, which the run must not hide."""

    code = "run_incomplete"

    def __init__(self, outstanding: int) -> None:
        super().__init__(
            f"{outstanding} samples were not carried out; retry the run to continue with them.",
            data={"outstanding": outstanding},
        )
