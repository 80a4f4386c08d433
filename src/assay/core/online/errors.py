"""What can go wrong with asking for evaluations.

NotFoundError
├── TargetEventNotFoundError
└── BackfillNotFoundError
InvalidError
├── TargetMismatchError   a single event cannot be given to an evaluator of traces or sessions
└── BackfillScopeError    the events of a backfill are not well described
ConflictError
└── EvaluatorOffError     an evaluator that switched itself off cannot be taken over stored events
"""

from __future__ import annotations

from uuid import UUID

from assay.kit.errors import ConflictError, InvalidError, NotFoundError


class TargetEventNotFoundError(NotFoundError):
    """The caller has no such event on that day, by that name or of that person."""

    code = "target_event_not_found"

    def __init__(self, event_id: UUID | str) -> None:
        super().__init__(f"Event {event_id} was not found with this timestamp, name and distinct id.")


class TargetMismatchError(InvalidError):
    """The evaluator judges traces or sessions, not single events."""

    code = "evaluation_target_mismatch"

    def __init__(self, target: str) -> None:
        super().__init__(
            f"This evaluation judges a {target} as a whole, and runs when one is complete. Only evaluations of "
            "generations can be run on one event.",
            param="evaluation_id",
        )


class BackfillNotFoundError(NotFoundError):
    """The evaluator has no such backfill."""

    code = "backfill_not_found"

    def __init__(self, backfill_id: UUID | str) -> None:
        super().__init__(f"Backfill {backfill_id} not found.")


class BackfillScopeError(InvalidError):
    """The events of a backfill are not well described; ``param`` names the part."""

    code = "invalid_backfill"


class EvaluatorOffError(ConflictError):
    """The evaluator switched itself off."""

    code = "evaluator_off"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The evaluation is in status `error` ({reason}); its backfill would come to nothing. Mend and enable it."
        )
