"""Writes results in micro-batches: all that is ready, one statement, one commit.

Results gather for a twentieth of a second, which is also how much finished work a crash can lose. While one batch is
being written the next one gathers, so the batches grow by themselves when the database is the slower side. While the
database is away everything is kept and written afterwards. A lane that is given up writes what it has before it goes:
somebody has paid for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from assay.core.runs import ledger
from assay.core.runs.ledger import Execution, SampleResult, Standing
from assay.core.runs.outages import sit_out
from assay.core.runs.types import RunStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction

LINGER_SECONDS = 0.05
LARGEST_WRITE = 512
LAST_WRITE_SECONDS = 3.0
"""How long a lane that is given up may take to write what it has."""
LARGEST_WRITE_CHARACTERS = 16 * 1024 * 1024
"""Long outputs make smaller batches: PostgreSQL takes no parameter over 1 GB."""

_log = structlog.stdlib.get_logger(__name__)


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
        execution: Whose samples.
        lane: Who holds the chunks.
        on_written: Told after each write what was written, and how the run stands then.
        before_write: Awaited before each write, for what must not be newer than the samples.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        execution: Execution,
        *,
        lane: str,
        on_written: Callable[[Sequence[SampleResult], Standing], None],
        before_write: Callable[[], Awaitable[None]],
    ) -> None:
        self._sessions = sessions
        self._execution = execution
        self._lane = lane
        self._on_written = on_written
        self._before_write = before_write
        self._waiting: deque[Settlement] = deque()
        self._in_hand: Sequence[Settlement] = ()
        self._arrived = asyncio.Event()
        self._closing = asyncio.Event()
        self.recorded = 0
        """Results written, a sample's answer and its scores each counted."""
        self.settled = 0
        """Samples written for good, as far as this lane goes."""

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
        try:
            await self._write_until_closed()
        except asyncio.CancelledError:
            await self._save_rest()
            raise

    async def _write_until_closed(self) -> None:
        while True:
            await self._arrived.wait()
            if not self._closing.is_set() and len(self._waiting) < LARGEST_WRITE:
                await self._linger()
            while self._waiting:
                await self._write(self._take_batch())
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

    def _take_batch(self) -> list[Settlement]:
        batch: list[Settlement] = []
        characters = 0
        while self._waiting and len(batch) < LARGEST_WRITE and characters < LARGEST_WRITE_CHARACTERS:
            settlement = self._waiting.popleft()
            values = settlement.result.values
            characters += len(values.get("output_text") or "") + len(values.get("vectors") or "")
            batch.append(settlement)
        return batch

    async def _save_rest(self) -> None:
        """Write results without closing their chunks: whoever takes those next finds what is left of them."""
        try:
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                while batch := self._in_hand or self._take_batch():
                    await self._record(batch, ())
                    self._in_hand = ()
        except Exception as error:
            lost = len(self._in_hand) + len(self._waiting)
            _log.warning("results_lost", run_id=str(self._execution.run_id), results=lost, error=repr(error))

    async def _write(self, batch: Sequence[Settlement]) -> None:
        self._in_hand = batch
        settled = [settlement.chunk for settlement in batch if settlement.chunk is not None]
        done = _settle(settled)
        standing = await sit_out(lambda: self._record(batch, done))
        self._in_hand = ()
        self.recorded += len(batch)
        self.settled += len(settled)
        self._on_written([settlement.result for settlement in batch], standing)

    async def _record(self, batch: Sequence[Settlement], done: Sequence[int]) -> Standing:
        answers = [settlement.result for settlement in batch if not settlement.scores_only]
        scores = [settlement.result for settlement in batch if settlement.scores_only]
        await self._before_write()
        standing = Standing(RunStatus.IN_PROGRESS)
        async with transaction(self._sessions) as session:
            # Answers first: a sample's scores may be in the same batch as its answer.
            if answers:
                standing = await ledger.record_answers(session, self._execution, answers)
            if scores:
                standing = await ledger.record_scores(session, self._execution, scores)
            if done:
                await ledger.close_chunks(session, self._execution.run_id, self._lane, done)
        return standing


def _settle(chunks: Sequence[ChunkProgress]) -> list[int]:
    """Count one sample off each chunk; returns the chunks that are done with that."""
    done: list[int] = []
    for chunk in chunks:
        chunk.remaining -= 1
        if chunk.remaining == 0:
            done.append(chunk.chunk_no)
    return done
