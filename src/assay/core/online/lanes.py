"""Lanes: one worker's stretch of work on one project's ledger.

    lease a batch ──► read what it needs ──► carry it out ──► record ──► lease again, until nothing is due or time is up

A lane holds its entries by lease and renews the leases while it lives. When its worker dies, the lane is begun again
under the same name and takes back at once what it held; entries that nobody takes back are free when their lease runs
out. What was recorded is never carried out again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from assay.core.evaluators.types import Definition, Evaluator, EvaluatorKind
from assay.core.events.types import StoredEvent
from assay.core.online import repository
from assay.core.online.batches import Batch, Work, load_batch
from assay.core.online.programs import run_programs
from assay.core.online.recording import record
from assay.core.online.types import Ended, Leased, Outcome, Postponed, Reason
from assay.db.engine import SessionFactory
from assay.db.faults import is_transient
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError, ErrorKind
from assay.sandbox.hog import HogSandbox

LEASE = timedelta(seconds=30)
RENEW_SECONDS = 8.0
LONGEST_PROGRAMS = timedelta(seconds=5)
"""Lanes are short, so that projects take turns where there are more of them than lanes."""
PROGRAMS_SHARE = 250
PROGRAMS_BATCH = 1000

_log = structlog.stdlib.get_logger(__name__)


Source = tuple[Evaluator, Definition, StoredEvent]
Observer = Callable[[Sequence[tuple[Leased, Ended]]], None]
"""Told of outcomes once they are on record; must be quick and must not raise."""


@dataclass(frozen=True, slots=True)
class LaneOutcome:
    """What a lane did, and what it leaves."""

    recorded: int
    due_seconds: float | None
    """Until the next entry is due, 0 if one is now; None when none is open."""


class Holdings:
    """The entries that a lane holds.

    Args:
        sessions: The database.
        project_id: Whose ledger.
        holder: Name of the lane; the same when it is begun again.
        runtimes: Which entries it takes.
        observer: Told of what is recorded.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        project_id: UUID,
        *,
        holder: str,
        runtimes: Sequence[EvaluatorKind],
        observer: Observer,
    ) -> None:
        self.sessions = sessions
        self.project_id = project_id
        self._holder = holder
        self._runtimes = runtimes
        self._observer = observer
        self._held: dict[UUID, Leased] = {}
        self._sources: dict[UUID, Source] = {}
        self.recorded = 0

    async def take_back(self) -> None:
        """Free what an earlier self of this lane held when it died."""
        async with transaction(self.sessions) as session:
            await repository.free_leases(session, self.project_id, holder=self._holder, now=utc_now())

    async def lease(self, *, share: int, most: int) -> list[Leased]:
        """Take what is due."""
        now = utc_now()
        async with transaction(self.sessions) as session:
            entries = await repository.lease_entries(
                session,
                self.project_id,
                runtimes=self._runtimes,
                holder=self._holder,
                share=share,
                most=most,
                now=now,
                until=now + LEASE,
            )
        self._held |= {entry.id: entry for entry in entries}
        return entries

    async def load(self, entries: Sequence[Leased]) -> Batch:
        """Read what entries need, and put aside those about which there is nothing to do."""
        async with self.sessions() as session:
            batch = await load_batch(session, entries, now=utc_now())
        self._sources |= batch.sources
        await self.settle(batch.ended, batch.postponed)
        return batch

    async def settle(self, ended: Sequence[Ended], postponed: Sequence[Postponed] = ()) -> None:
        """Write down what came of entries."""
        if not ended and not postponed:
            return
        async with transaction(self.sessions) as session:
            counted = await record(session, self._held, ended, self._sources)
            await repository.postpone(session, postponed, holder=self._holder)
            await repository.add_spend(
                session, self.project_id, _spent(self._held, (*ended, *postponed)), now=utc_now()
            )
        self.recorded += len(counted)
        self._observer([(self._held[one.entry_id], one) for one in counted])
        for one in (*ended, *postponed):
            self._held.pop(one.entry_id, None)
            self._sources.pop(one.entry_id, None)

    async def next_due(self) -> float | None:
        """Seconds until the next entry of the project is due; None when none is open."""
        async with self.sessions() as session:
            due_at = await repository.next_due(session, self.project_id, self._runtimes)
        return None if due_at is None else max(0.0, (due_at - utc_now()).total_seconds())

    @asynccontextmanager
    async def renewing(self) -> AsyncGenerator[None]:
        """Keep the leases while the block runs."""
        task = asyncio.create_task(self._renew_forever())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with transaction(self.sessions) as session:
                    await repository.renew_leases(
                        session, sorted(self._held), holder=self._holder, until=utc_now() + LEASE
                    )
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("leases_not_renewed", error=repr(error))


async def run_programs_lane(
    holdings: Holdings, sandbox: HogSandbox, *, longest: timedelta = LONGEST_PROGRAMS
) -> LaneOutcome:
    """Carry out Hog and sentiment entries until none is due or time is up.

    Raises:
        SandboxUnavailableError: Hog programs cannot be run.
    """
    end = time.monotonic() + longest.total_seconds()
    async with holdings.renewing():
        while time.monotonic() < end:
            entries = await holdings.lease(share=PROGRAMS_SHARE, most=PROGRAMS_BATCH)
            if not entries:
                break
            batch = await holdings.load(entries)
            await _carry_programs_out(holdings, sandbox, batch)
    return LaneOutcome(holdings.recorded, await holdings.next_due())


async def _carry_programs_out(holdings: Holdings, sandbox: HogSandbox, batch: Batch) -> None:
    try:
        ended = await run_programs(sandbox, batch.work)
    except Exception as error:
        if heals(error):
            raise
        _log.exception("programs_faulty")
        for one in batch.work:
            await _carry_one_out(holdings, sandbox, one)
        return
    await holdings.settle(ended)


async def _carry_one_out(holdings: Holdings, sandbox: HogSandbox, work: Work) -> None:
    """One by one, so that an entry that breaks something of ours breaks nobody else's."""
    try:
        ended = await run_programs(sandbox, [work])
    except Exception as error:
        if heals(error):
            raise
        ended = [internal_fault(work, error)]
    await holdings.settle(ended)


def _spent(entries: Mapping[UUID, Leased], turns: Sequence[Ended | Postponed]) -> list[repository.Spend]:
    """Calls that were made, whatever came of them."""
    return [
        repository.Spend(entries[turn.entry_id].evaluator_id, turn.use.cost_usd)
        for turn in turns
        if turn.use is not None
    ]


def internal_fault(work: Work, error: Exception) -> Ended:
    """The outcome of an entry that broke something of ours."""
    detail = f"{type(error).__name__}: {error.message}" if isinstance(error, DomainError) else type(error).__name__
    return Ended(
        entry_id=work.entry.id,
        outcome=Outcome.FAILED,
        reason=Reason.INTERNAL,
        detail=detail[:2000],
        started_at=utc_now(),
    )


def heals(error: Exception) -> bool:
    """Whether the same may succeed later, because something is away."""
    if isinstance(error, DomainError):
        return error.kind is ErrorKind.UNAVAILABLE
    return is_transient(error)
