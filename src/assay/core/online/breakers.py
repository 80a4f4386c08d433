"""A circuit breaker for each way to a provider: a key of a project's own, or a provider of the catalog.

    closed ──failures in a row──> open ──time passes──> one probe ──it succeeds──> closed
                                   ^                        │
                                   └──── it fails: longer ──┘

While a way is open its entries wait, and no attempt of theirs is used up: a provider's outage costs time, not verdicts.
Its state is in the database, so all workers know. A way that works has no row, and costs no write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, delete, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.online.models import BreakerRow
from assay.db.base import UtcDateTime

LONGEST_OPEN = timedelta(minutes=10)
PROBE = timedelta(seconds=150)
"""For how long a probe keeps others from probing: longer than a call may take."""
LOOK_AGAIN = timedelta(seconds=5)
"""When those who wait for a probe look at what came of it."""


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a way opens."""

    failures: int = 5
    """In a row."""
    open_for: timedelta = timedelta(seconds=30)
    """At first; doubled with each probe that fails."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether calls may go a way now."""

    blocked_until: datetime | None = None
    """When to look again; None when calls may go."""
    probes: bool = False
    """Whether just one call may go."""
    suspect: bool = False
    """Whether failures are known, so that a success is worth telling."""


class BreakerState(StrEnum):
    """Whether calls go a way."""

    CLOSED = "closed"
    """They do."""
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One may probe."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A breaker as it is shown."""

    state: BreakerState
    failures: int
    open_until: datetime | None


OPEN_WAY = Gate()

_FAIL = text(
    """
    INSERT INTO provider_breakers AS breaker (key, failures, open_until, probing_until, updated_at)
    VALUES (:key, 1, CASE WHEN :threshold <= 1 THEN CAST(:now AS timestamptz) + :open_for END, NULL, :now)
    ON CONFLICT (key) DO UPDATE SET
        failures = breaker.failures + 1,
        open_until = CASE
            WHEN breaker.open_until > :now THEN breaker.open_until
            WHEN breaker.failures + 1 < :threshold THEN NULL
            ELSE CAST(:now AS timestamptz) + least(
                CAST(:longest AS interval),
                CAST(:open_for AS interval) * power(2, least(20, greatest(0, breaker.failures + 1 - :threshold))))
        END,
        probing_until = NULL,
        updated_at = :now
    """
).bindparams(bindparam("now", type_=UtcDateTime()))


async def read_gates(session: AsyncSession, keys: Sequence[str], *, now: datetime) -> Mapping[str, Gate]:
    """The gates of some ways. Whoever is let through to probe has the only probe for ``PROBE``.

    Args:
        session: A session inside a transaction.
        keys: Names of the ways.
        now: The time.
    """
    gates: dict[str, Gate] = {}
    for row in await session.scalars(select(BreakerRow).where(BreakerRow.key.in_(keys))):
        if row.open_until is None:
            gates[row.key] = Gate(suspect=True)
        elif row.open_until > now:
            gates[row.key] = Gate(blocked_until=row.open_until, suspect=True)
        elif await _claim_probe(session, row.key, now):
            gates[row.key] = Gate(probes=True, suspect=True)
        else:
            gates[row.key] = Gate(blocked_until=now + LOOK_AGAIN, suspect=True)
    return gates


async def note_success(session: AsyncSession, key: str) -> None:
    """A call went through: the way is closed, as a circuit is that works."""
    await session.execute(delete(BreakerRow).where(BreakerRow.key == key))


async def note_failure(session: AsyncSession, key: str, rule: BreakerRule, *, now: datetime) -> None:
    """A call found nobody. Calls that were under way when the way opened do not open it for longer."""
    values = {
        "key": key,
        "threshold": rule.failures,
        "open_for": rule.open_for,
        "longest": LONGEST_OPEN,
        "now": now,
    }
    await session.execute(_FAIL, values)


async def read_breakers(session: AsyncSession, keys: Sequence[str], *, now: datetime) -> Mapping[str, Breaker]:
    """The breakers of ways that fail, or failed a moment ago."""
    rows = await session.scalars(select(BreakerRow).where(BreakerRow.key.in_(keys)))
    return {row.key: Breaker(_state(row, now), row.failures, row.open_until) for row in rows}


def _state(row: BreakerRow, now: datetime) -> BreakerState:
    if row.open_until is None:
        return BreakerState.CLOSED
    return BreakerState.OPEN if row.open_until > now else BreakerState.HALF_OPEN


async def _claim_probe(session: AsyncSession, key: str, now: datetime) -> bool:
    free = or_(BreakerRow.probing_until.is_(None), BreakerRow.probing_until <= now)
    claimed = await session.execute(
        update(BreakerRow)
        .where(BreakerRow.key == key, BreakerRow.open_until <= now, free)
        .values(probing_until=now + PROBE, updated_at=now)
        .returning(BreakerRow.key)
        .execution_options(synchronize_session=False)
    )
    return claimed.first() is not None
