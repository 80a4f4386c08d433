"""What a run may cost: answers, judges and graders together."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from assay.core.runs.ledger import SampleResult


@dataclass(slots=True)
class Purse:
    """One lane's view of the run's money.

    What all lanes have written down is known at every write; what this lane's own calls cost, at once. So a lane
    begins nothing more once the ceiling is reached, and what passes it are calls that were in flight.
    """

    budget_usd: Decimal | None
    """None for no ceiling."""
    stored_usd: Decimal = Decimal(0)
    """What was written down by all lanes, when last looked at."""
    unstored_usd: Decimal = Decimal(0)
    """What this lane knows of and has not written down yet."""

    @property
    def spent_usd(self) -> Decimal:
        """As far as this lane knows."""
        return self.stored_usd + self.unstored_usd

    @property
    def is_empty(self) -> bool:
        """Whether the ceiling is reached."""
        return self.budget_usd is not None and self.spent_usd >= self.budget_usd

    def pay(self, cost: Decimal) -> None:
        """Note what a result cost, as it arrives."""
        self.unstored_usd += cost

    def store(self, cost: Decimal, stored_usd: Decimal) -> None:
        """Note that results of this cost were written down, and what all results come to with them."""
        self.unstored_usd -= cost
        self.stored_usd = max(self.stored_usd, stored_usd)


def cost_of(result: SampleResult) -> Decimal:
    """What a result says that it cost, its judge included; 0 where no price is known."""
    judge: dict[str, Any] = result.values.get("judge") or {}
    known = (result.values.get("cost_usd"), judge.get("cost_usd"))
    return sum((Decimal(str(cost)) for cost in known if cost is not None), Decimal(0))
