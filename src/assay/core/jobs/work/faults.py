"""Why a job does not go on."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum


class FaultCode(StrEnum):
    """What is wrong with a job that cannot be carried out (O§3.2)."""

    NO_TARGET = "no_target"
    NO_CRITERIA = "no_criteria"
    NOT_ENOUGH_DATA = "not_enough_data"
    NO_MODEL = "no_model"
    UNPRICED_MODEL = "unpriced_model"
    """There is a budget, and a model whose calls have no known price."""
    UNSUPPORTED_CODE = "unsupported_code"
    """The agent is code that the sandbox cannot run."""
    INVALID_PARAMETERS = "invalid_parameters"
    EXCEPTION = "exception"


class JobFaultError(Exception):
    """The job has failed, and for a reason that its owner can do something about.

    Args:
        code: For machines.
        message: What was wrong and what to do.
    """

    def __init__(self, code: FaultCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BudgetReachedError(Exception):
    """The purse is empty; the job waits for more."""

    def __init__(self, spent_usd: Decimal, budget_usd: Decimal) -> None:
        super().__init__(f"${spent_usd:.4f} of the budget of ${budget_usd:.4f} is spent")
        self.spent_usd = spent_usd
        self.budget_usd = budget_usd


class JobStoppedError(Exception):
    """The job was cancelled, deleted or handed to somebody else; there is nothing more to write."""
