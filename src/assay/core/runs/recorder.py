"""Writes results in micro-batches: all that is ready, one statement, one commit.

Results gather for a twentieth of a second, which is also how much finished work a crash can lose. While one batch is
being written the next one gathers, so the batches grow by themselves when the database is the slower side.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from assay.core.runs import ledger
from assay.core.runs.ledger import SampleResult
from assay.core.runs.types import RunStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction

LINGER_SECONDS = 0.05
LARGEST_WRITE = 512


@dataclass(slots=True)
class ChunkProgress:
    """How many samples of a leased chunk are still to be settled."""

    chunk_no: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """A result on its way to the database."""

    result: SampleResult
    chunk: ChunkProgress | None
    """The chunk in which this settles the sample; None when a later result will."""
    scores_only: bool = False
    """Whether the answer itself is stored already."""


class Recorder:
    """Collects settlements and writes them.

    Args:
        sessions: Where samples live.
        run_id: Whose samples.
        on_status: Told the run's status after each write.
        before_write: Awaited before each write, for what must not be newer than the samples.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        run_id: UUID,
        *,
        on_status: Callable[[RunStatus], None],
        before_write: Callable[[], Awaitable[None]],
    ) -> None:
        self._sessions = sessions
        self._run_id = run_id
        self._on_status = on_status
        self._before_write = before_write
        self._waiting: deque[Settlement] = deque()
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self.recorded = 0

    @property
    def backlog(self) -> int:
        """Settlements that are not written yet."""
        return len(self._waiting)

    def put(self, settlement: Settlement) -> None:
        """Take over a result; it is durable after the next write."""
        self._waiting.append(settlement)
        self._arrived.set()

    def close(self) -> None:
        """Nothing more comes: write what there is without lingering, then end."""
        self._closing.set()
        self._arrived.set()

    async def run(self) -> None:
        """Write until closed and empty."""
        while True:
            await self._arrived.wait()
            if not self._closing.is_set() and len(self._waiting) < LARGEST_WRITE:
                await self._linger()
            while self._waiting:
                await self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), LARGEST_WRITE))])
                if not self._closing.is_set() and len(self._waiting) < LARGEST_WRITE:
                    break
            if self._waiting:
                continue
            if self._closing.is_set():
                return
            self._arrived.clear()

    async def _linger(self) -> None:
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._closing.wait()
        except TimeoutError:
            return

    async def _write(self, batch: Sequence[Settlement]) -> None:
        answers = [settlement.result for settlement in batch if not settlement.scores_only]
        scores = [settlement.result for settlement in batch if settlement.scores_only]
        await self._before_write()
        status = RunStatus.IN_PROGRESS
        async with transaction(self._sessions) as session:
            # Answers first: a sample's scores may be in the same batch as its answer.
            if answers:
                status = await ledger.record_answers(session, self._run_id, answers)
            if scores:
                status = await ledger.record_scores(session, self._run_id, scores)
            done = _close_chunks(batch)
            if done:
                await ledger.close_chunks(session, self._run_id, done)
        self.recorded += len(batch)
        self._on_status(status)


def _close_chunks(batch: Sequence[Settlement]) -> list[int]:
    done: list[int] = []
    for settlement in batch:
        if settlement.chunk is None:
            continue
        settlement.chunk.remaining -= 1
        if settlement.chunk.remaining == 0:
            done.append(settlement.chunk.chunk_no)
    return done
