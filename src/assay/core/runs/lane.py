"""One lane of a run: lease chunks, ask models, score, record; many samples in flight, each recorded once.

    feeder ──► queue of each model ──► callers ──► scorer ──► recorder
       leases chunks a little ahead      as many as the lane's     closes chunks whose
       of the callers                    share of concurrency      samples are all settled

Callers take from the model with the fewest calls in flight, so that a slow or rate-limited model never holds the slots
of a fast one. A lane ends when no chunk is left, when its time is up, or when the run is no longer in progress; calls
in flight are abandoned then, and their samples stay queued.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from assay.core.runs import ledger
from assay.core.runs.answers import Answerer
from assay.core.runs.judging import RunModels
from assay.core.runs.ledger import WorkItem
from assay.core.runs.plan import RunPlan
from assay.core.runs.recorder import ChunkProgress, Recorder
from assay.core.runs.scoring import SampleScorer
from assay.core.runs.types import RunStatus, SampleStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.gateway import Gateway
from assay.sandbox.contract import Sandbox

LONGEST_LANE = timedelta(minutes=10)
"""After this long a lane lets its calls end and returns, so that the workflow's history shows progress."""
RENEWAL_SECONDS = 2.0
MOST_UNRECORDED = 4096
"""Results that may wait for the database before no more chunks are taken."""


@dataclass(frozen=True, slots=True)
class LaneOutcome:
    """What a lane did."""

    processed: int
    outstanding: bool
    """Whether it ended because its time was up, with chunks left."""
    stopped: bool
    """Whether it ended because the run is no longer in progress."""


@dataclass(frozen=True, slots=True)
class LaneTools:
    """What a lane works with."""

    sessions: SessionFactory
    gateway: Gateway
    sandbox: Sandbox


@dataclass(slots=True)
class _ModelQueue:
    """Samples that wait for one model."""

    waiting: deque[tuple[WorkItem, ChunkProgress]] = field(default_factory=deque[tuple[WorkItem, ChunkProgress]])
    in_flight: int = 0


class _LaneStoppedError(Exception):
    """Ends a lane from within: the run is no longer in progress."""


class Lane:
    """Works through a run's chunks.

    Args:
        tools: Database, models and sandbox.
        plan: The run, ready to be carried out.
        name: Names the lane in leases; a repetition of the same lane takes over what it held.
        concurrency: Model calls in flight.
        report: Told the number of recorded samples every two seconds, for heartbeats.
    """

    def __init__(
        self, tools: LaneTools, plan: RunPlan, *, name: str, concurrency: int, report: Callable[[int], None]
    ) -> None:
        self._tools = tools
        self._plan = plan
        self._name = name
        self._concurrency = concurrency
        self._report = report
        self._answerer = Answerer(tools.gateway, plan)
        self._recorder = Recorder(
            tools.sessions, plan.run_id, on_status=self._see, before_write=self._answerer.store_in_cache
        )
        self._queues: dict[int, _ModelQueue] = {}
        self._waiting = 0
        self._available = asyncio.Semaphore(0)
        self._hungry = asyncio.Event()
        self._hungry.set()
        self._stopped = asyncio.Event()
        self._exhausted = False

    @property
    def _run_id(self) -> UUID:
        return self._plan.run_id

    async def run(self) -> LaneOutcome:
        """Work until nothing is left, time is up, or the run is no longer in progress.

        Raises:
            DomainError, DBAPIError: The database or the sandbox is not there. What was recorded stays recorded.
        """
        async with transaction(self._tools.sessions) as session:
            await ledger.release_chunks(session, self._run_id, self._name)
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(self._watch())
                renewer = group.create_task(self._renew_forever())
                await self._work()
                watcher.cancel()
                renewer.cancel()
        except* _LaneStoppedError:
            pass
        return LaneOutcome(self._recorder.recorded, outstanding=not self._exhausted, stopped=self._stopped.is_set())

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(self._recorder.run())
            async with asyncio.TaskGroup() as gradings:
                scorer = SampleScorer(
                    self._plan,
                    sandbox=self._tools.sandbox,
                    models=RunModels(self._tools.gateway, self._plan),
                    emit=self._recorder.put,
                    background=gradings,
                )
                async with asyncio.TaskGroup() as callers:
                    callers.create_task(self._feed(scorer))
                    for _ in range(self._concurrency):
                        callers.create_task(self._call_until_fed(scorer))
            self._recorder.close()

    def _see(self, status: RunStatus) -> None:
        if status is not RunStatus.IN_PROGRESS:
            self._stopped.set()
        self._hungry.set()

    async def _watch(self) -> None:
        await self._stopped.wait()
        raise _LaneStoppedError

    async def _renew_forever(self) -> None:
        while True:
            self._report(self._recorder.recorded)
            await asyncio.sleep(RENEWAL_SECONDS)
            async with transaction(self._tools.sessions) as session:
                self._see(await ledger.renew_leases(session, self._run_id, self._name))

    async def _feed(self, scorer: SampleScorer) -> None:
        """Keep a little more waiting than the callers can take at once."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + LONGEST_LANE.total_seconds()
        while clock.time() < deadline:
            async with transaction(self._tools.sessions) as session:
                lease = await ledger.lease_chunk(session, self._run_id, self._name)
                items = [] if lease.chunk is None else await ledger.load_chunk(session, self._run_id, lease.chunk)
            self._see(lease.status)
            if lease.chunk is None:
                self._exhausted = True
                break
            await self._enqueue(lease.chunk, items, scorer)
            while self._waiting > self._concurrency or self._recorder.backlog > MOST_UNRECORDED:
                self._hungry.clear()
                await self._hungry.wait()
        for _ in range(self._concurrency):
            self._available.release()

    async def _enqueue(self, chunk: ledger.Chunk, items: Sequence[WorkItem], scorer: SampleScorer) -> None:
        progress = ChunkProgress(chunk.chunk_no, len(items))
        if not items:
            async with transaction(self._tools.sessions) as session:
                await ledger.close_chunks(session, self._run_id, [chunk.chunk_no])
            return
        queued: list[WorkItem] = []
        for item in items:
            if item.status is SampleStatus.READY_TO_SCORE:
                scorer.resume(item, progress)
            else:
                queued.append(item)
        queue = self._queues.setdefault(chunk.model_no, _ModelQueue())
        for item, answer in zip(queued, await self._answerer.recall(queued), strict=True):
            if answer is not None:
                scorer.submit(item, answer, progress)
                continue
            queue.waiting.append((item, progress))
            self._waiting += 1
            self._available.release()

    async def _call_until_fed(self, scorer: SampleScorer) -> None:
        while True:
            await self._available.acquire()
            queue = self._fairest_queue()
            if queue is None:
                return
            item, progress = queue.waiting.popleft()
            self._waiting -= 1
            if self._waiting <= self._concurrency:
                self._hungry.set()
            queue.in_flight += 1
            try:
                answer = await self._answerer.ask(item)
            finally:
                queue.in_flight -= 1
            scorer.submit(item, answer, progress)

    def _fairest_queue(self) -> _ModelQueue | None:
        """The queue with work whose model has the fewest calls in flight; None once all is fed and taken."""
        candidates = [queue for queue in self._queues.values() if queue.waiting]
        return min(candidates, key=lambda queue: queue.in_flight, default=None)
