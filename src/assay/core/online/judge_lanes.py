"""Lanes of judges: calls in flight, each entry recorded as soon as its reply is there, and the next one taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.access import JudgeAccess, open_judge
from assay.core.evaluators.errors import JudgeKeyError, KeyStorageError
from assay.core.evaluators.types import TargetKind
from assay.core.online.batches import Batch, Work
from assay.core.online.breakers import LOOK_AGAIN, OPEN_WAY, Gate, note_failure, note_success, read_gates
from assay.core.online.budgets import read_allowance
from assay.core.online.judging import Asker, Judges, Turn
from assay.core.online.lanes import Holdings, LaneOutcome, internal_fault
from assay.core.online.types import Ended, Outcome, Postponed, Reason
from assay.db.session import transaction
from assay.kit.clock import utc_now

CALLS = 64
"""In flight, of one lane; the gateway limits them further for each model."""
LONGEST = timedelta(seconds=20)
LOOK_AGAIN_SECONDS = 1.0
"""A lane that waits for replies looks for new entries this often, should no other lane be free to take them."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that may be made."""

    work: Work
    access: JudgeAccess

    @property
    def way(self) -> str:
        """Name of its way in the breaker."""
        return self.access.model.provider.name


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why no call of a version may be made."""

    reason: Reason
    message: str


class JudgeLane:
    """One lane.

    Args:
        holdings: Its entries.
        judges: How they are judged.
        longest: After this long nothing new is taken; calls in flight are waited for.
    """

    def __init__(self, holdings: Holdings, judges: Judges, *, longest: timedelta = LONGEST) -> None:
        self._holdings = holdings
        self._judges = judges
        self._asker = Asker(judges)
        self._end = time.monotonic() + longest.total_seconds()
        self._running: dict[asyncio.Task[Turn], _Call] = {}
        self._suspects: set[str] = set()
        """Ways of which failures are known, so that a success is worth a write."""

    async def run(self) -> LaneOutcome:
        """Work until nothing is due or time is up."""
        async with self._holdings.renewing():
            try:
                while await self._fill() or self._running:
                    await self._collect()
            finally:
                for task in self._running:
                    task.cancel()
        return LaneOutcome(self._holdings.recorded, await self._holdings.next_due())

    async def _fill(self) -> bool:
        """Take entries while there is room; whether any came."""
        room = CALLS - len(self._running)
        if room <= 0 or time.monotonic() >= self._end:
            return False
        entries = await self._holdings.lease(share=room, most=room)
        if not entries:
            return False
        for call in await self._admit(await self._holdings.load(entries)):
            self._running[asyncio.create_task(self._asker.ask(call.work, call.access))] = call
        return True

    async def _admit(self, batch: Batch) -> list[_Call]:
        """The calls that may be made; the other entries are settled."""
        if not batch.work:
            return []
        now = utc_now()
        calls: list[_Call] = []
        ended: list[Ended] = []
        postponed: list[Postponed] = []
        async with transaction(self._holdings.sessions) as session:
            ways = await self._open_ways(session, batch.work)
            names = {way.model.provider.name for way in ways.values() if isinstance(way, JudgeAccess)}
            gates = dict(await read_gates(session, sorted(names), now=now))
            in_flight = [call.work.entry.evaluator_id for call in self._running.values()]
            allowance = await read_allowance(session, self._holdings.project_id, in_flight=in_flight, now=now)
        self._suspects |= {name for name, gate in gates.items() if gate.suspect}
        for work in batch.work:
            way = ways[work.entry.version_id]
            if _is_errored(work):
                ended.append(_ended(work, Outcome.SKIPPED, Reason.TRACE_ERRORED))
            elif isinstance(way, _Refused):
                ended.append(_ended(work, Outcome.FAILED, way.reason, way.message))
            elif (until := (gate := gates.get(way.model.provider.name, OPEN_WAY)).blocked_until) is not None:
                postponed.append(Postponed(entry_id=work.entry.id, due_at=until))
            elif (spent := allowance.take(work.entry.evaluator_id)) is not None:
                ended.append(_ended(work, Outcome.OVER_BUDGET, spent))
            else:
                calls.append(_Call(work, way))
                if gate.probes:
                    gates[way.model.provider.name] = Gate(blocked_until=now + LOOK_AGAIN, suspect=True)
        await self._holdings.settle(ended, postponed)
        return calls

    async def _open_ways(self, session: AsyncSession, work: Sequence[Work]) -> Mapping[UUID, JudgeAccess | _Refused]:
        """How each version reaches its model, or why it cannot."""
        first = {one.entry.version_id: one for one in reversed(work)}
        return {version_id: await self._open_way(session, one) for version_id, one in first.items()}

    async def _open_way(self, session: AsyncSession, work: Work) -> JudgeAccess | _Refused:
        choice = work.definition.model
        if choice is None:
            return _Refused(Reason.PROVIDER_KEY_REQUIRED, "The judge names no model.")
        try:
            return await open_judge(session, work.entry.project_id, choice, self._judges.tools)
        except JudgeKeyError as error:
            return _Refused(Reason(error.reason.value), error.message)
        except KeyStorageError as error:
            return _Refused(Reason.INTERNAL, error.message)

    async def _collect(self) -> None:
        """Wait for replies, and write down what they came to."""
        if not self._running:
            return
        pause = LOOK_AGAIN_SECONDS if time.monotonic() < self._end else None
        done, _ = await asyncio.wait(self._running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        ended: list[Ended] = []
        postponed: list[Postponed] = []
        turns: list[tuple[str, Turn]] = []
        for task in done:
            call = self._running.pop(task)
            turn = _turn_of(task, call)
            turns.append((call.way, turn))
            if isinstance(turn.result, Ended):
                ended.append(turn.result)
            else:
                postponed.append(turn.result)
        await self._holdings.settle(ended, postponed)
        await self._tell_breakers(turns)

    async def _tell_breakers(self, turns: Sequence[tuple[str, Turn]]) -> None:
        worked = {way for way, turn in turns if turn.answered} & self._suspects
        failed = sorted(way for way, turn in turns if turn.faulty)
        if not worked and not failed:
            return
        async with transaction(self._holdings.sessions) as session:
            for way in failed:
                await note_failure(session, way, self._judges.rules.breaker, now=utc_now())
            for way in sorted(worked):
                await note_success(session, way)
        self._suspects = (self._suspects | set(failed)) - worked


def _turn_of(task: asyncio.Task[Turn], call: _Call) -> Turn:
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    _log.error("judge_faulty", entry_id=str(call.work.entry.id), exc_info=error)
    return Turn(internal_fault(call.work, error), answered=False, faulty=False)


def _is_errored(work: Work) -> bool:
    """Whether the generation itself failed, so that there is nothing to judge (P§3.5)."""
    if work.entry.target is not TargetKind.GENERATION:
        return False
    said = work.source.properties.get("$ai_is_error")
    return said is True or (isinstance(said, str) and said.lower() == "true")


def _ended(work: Work, outcome: Outcome, reason: Reason, detail: str | None = None) -> Ended:
    # The key's own fault is known already where a refusal comes from its state.
    return Ended(entry_id=work.entry.id, outcome=outcome, reason=reason, detail=detail, started_at=utc_now())
