"""One lane of a run: lease chunks, ask models, score, record; many samples in flight, each recorded once.

    feeder ──► queue of each model ──► callers ──► scorer ──► recorder
       leases chunks a little ahead      as many as the lane's     closes chunks whose
       of the callers                    share of concurrency      samples are all settled

Callers take from the model with the fewest calls in flight, so that a slow or rate-limited model never holds the slots
of a fast one. A lane ends

- when no chunk is left;
- when its time is up or its worker shuts down: calls in flight come to their end, what waits is left for the next lane;
- when the run is no longer in progress: calls in flight are abandoned, and their samples stay queued.

While the database is away the lane keeps what it has and waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.datasets.hub.service import HubReader
from assay.core.datasets.hub.types import HubAccess
from assay.core.runs import ledger
from assay.core.runs.agents import AgentRunner
from assay.core.runs.answers import Answerer, AnswerTools
from assay.core.runs.errors import RunBudgetReachedError
from assay.core.runs.judging import RunModels
from assay.core.runs.ledger import SampleResult, Standing, WorkItem
from assay.core.runs.outages import sit_out
from assay.core.runs.plan import RunPlan
from assay.core.runs.purse import Purse, cost_of
from assay.core.runs.recorder import ChunkProgress, Recorder, Settlement
from assay.core.runs.scoring import SampleScorer
from assay.core.runs.similarity import Comparer
from assay.core.runs.types import RunConfig, RunStatus, SampleStatus
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.gateway import Gateway
from assay.outbound.client import GuardedClient
from assay.outbound.policy import OutboundPolicy
from assay.sandbox.contract import Sandbox

T = TypeVar("T")

LONGEST_LANE = timedelta(minutes=10)
"""After this long a lane lets its calls end and returns, so that the workflow's history shows progress."""
RENEWAL_SECONDS = 2.0
MOST_UNSETTLED = 4096
"""Samples that a lane may hold, asked, graded or waiting for the database, before it takes no more chunks."""


@dataclass(frozen=True, slots=True)
class LaneOutcome:
    """What a lane did."""

    processed: int
    outstanding: bool
    """Whether it left chunks that no other lane is at work on."""
    stopped: bool
    """Whether it ended because the run is no longer in progress."""


@dataclass(frozen=True, slots=True)
class LaneTools:
    """What a lane works with."""

    sessions: SessionFactory
    gateway: Gateway
    sandbox: Sandbox
    agents: AgentRunner = field(default_factory=AgentRunner)
    outbound: GuardedClient = field(default_factory=lambda: GuardedClient(OutboundPolicy()))
    """For web addresses in rows."""
    hub: HubReader = field(default_factory=lambda: HubReader(HubAccess(), GuardedClient(OutboundPolicy())))
    """For Hugging Face datasets and Parquet files."""


@dataclass(slots=True)
class _ModelQueue:
    """Samples that wait for one model."""

    waiting: deque[tuple[Sequence[WorkItem], ChunkProgress]] = field(
        default_factory=deque[tuple[Sequence[WorkItem], ChunkProgress]]
    )
    """What goes out in one call: a sample, or as many texts as a model embeds at once."""
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class LaneShare:
    """One lane's part of what the run may do at one time."""

    generation: int
    """Model calls in flight."""
    grading: int
    """Executions of graders that ask models."""

    @classmethod
    def of(cls, config: RunConfig, *, lane: int, lanes: int) -> LaneShare:
        """The share of lane number ``lane``, from 0. Shares add up to the run's concurrency, but are at least 1."""
        generation, more_generation = divmod(config.effective_generation_concurrency, lanes)
        grading, more_grading = divmod(config.effective_grader_concurrency, lanes)
        return cls(max(1, generation + (lane < more_generation)), max(1, grading + (lane < more_grading)))


class _LaneStoppedError(Exception):
    """Ends a lane from within: the run is no longer in progress."""


class Lane:
    """Works through a run's chunks.

    Args:
        tools: Database, models and sandbox.
        plan: The run, ready to be carried out.
        number: Names the lane in leases, together with the execution; a repetition of the same lane takes over what it
            held.
        share: What it may do at one time.
        longest: When its time is up.
    """

    def __init__(
        self, tools: LaneTools, plan: RunPlan, *, number: int, share: LaneShare, longest: timedelta = LONGEST_LANE
    ) -> None:
        self._tools = tools
        self._plan = plan
        self._name = f"{plan.execution.number}/{number}"
        self._concurrency = share.generation
        self._grader_concurrency = share.grading
        self._longest = longest
        asking = AnswerTools(tools.sessions, tools.gateway, tools.outbound, tools.agents)
        self._answerer = Answerer(asking, plan)
        self._recorder = Recorder(
            tools.sessions,
            plan.execution,
            lane=self._name,
            on_written=self._note_written,
            before_write=self._answerer.store_in_cache,
        )
        self._queues: dict[int, _ModelQueue] = {}
        self._waiting = 0
        self._available = asyncio.Semaphore(0)
        self._hungry = asyncio.Event()
        self._hungry.set()
        self._taken = 0
        self._stopped = asyncio.Event()
        self._ending = False
        self._purse = Purse(plan.config.budget_usd)

    @property
    def recorded(self) -> int:
        """Results written so far."""
        return self._recorder.recorded

    def end_soon(self) -> None:
        """Let calls in flight come to their end, begin no more, and return."""
        self._ending = True
        self._hungry.set()
        self._release_callers()

    async def run(self) -> LaneOutcome:
        """Work until nothing is left, time is up, or the run is no longer in progress.

        Raises:
            UnknownModelError: A model has gone from the catalog.
            UnpricedModelError: The run has a budget, and a model without a price.
            RunBudgetReachedError: The run has cost what it may, and something is left to be done.
            ExceptionGroup: Of whatever went wrong: a sandbox that is not there, a database that was away for too long.
                What was recorded stays recorded.
        """
        await self._answerer.check_models()
        if self._purse.budget_usd is not None:
            self._purse.store(Decimal(0), await self._in_transaction(lambda s: ledger.read_spent(s, self._plan.run_id)))
            self._end_if_empty()
        timer = asyncio.get_running_loop().call_later(self._longest.total_seconds(), self.end_soon)
        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(self._watch())
                await self._in_transaction(lambda s: ledger.release_chunks(s, self._plan.run_id, self._name))
                renewer = group.create_task(self._renew_forever())
                await self._work()
                outstanding = await self._in_transaction(
                    lambda s: ledger.has_free_chunks(s, self._plan.run_id, self._name)
                )
                watcher.cancel()
                renewer.cancel()
        except* _LaneStoppedError:
            outstanding = True
        finally:
            timer.cancel()
        if outstanding and self._purse.budget_usd is not None and self._purse.is_empty and not self._stopped.is_set():
            raise RunBudgetReachedError(self._purse.spent_usd, self._purse.budget_usd)
        return LaneOutcome(self.recorded, outstanding=outstanding, stopped=self._stopped.is_set())

    async def _in_transaction(self, step: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with transaction(self._tools.sessions) as session:
                return await step(session)

        return await sit_out(attempt)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(self._recorder.run())
            async with asyncio.TaskGroup() as gradings:
                scorer = SampleScorer(
                    self._plan,
                    sandbox=self._tools.sandbox,
                    models=RunModels(self._tools.gateway, self._plan),
                    comparer=Comparer(self._tools.gateway, self._plan),
                    emit=self._emit,
                    background=gradings,
                    grader_concurrency=self._grader_concurrency,
                    ending=lambda: self._ending,
                )
                async with asyncio.TaskGroup() as callers:
                    callers.create_task(self._feed(scorer))
                    for _ in range(self._concurrency):
                        callers.create_task(self._call_until_fed(scorer))
            self._recorder.close()

    def _emit(self, settlement: Settlement) -> None:
        if self._purse.budget_usd is not None:
            self._purse.pay(cost_of(settlement.result))
            self._end_if_empty()
        self._recorder.put(settlement)

    def _note_written(self, results: Sequence[SampleResult], standing: Standing) -> None:
        if self._purse.budget_usd is not None:
            self._purse.store(sum(map(cost_of, results), Decimal(0)), standing.spent_usd)
            self._end_if_empty()
        self._see(standing.status)

    def _end_if_empty(self) -> None:
        if self._purse.is_empty:
            self.end_soon()

    def _see(self, status: RunStatus) -> None:
        if status is not RunStatus.IN_PROGRESS:
            self._stopped.set()
        self._hungry.set()

    async def _watch(self) -> None:
        await self._stopped.wait()
        raise _LaneStoppedError

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            self._see(
                await self._in_transaction(lambda s: ledger.renew_leases(s, self._plan.execution, self._name)),
            )

    async def _feed(self, scorer: SampleScorer) -> None:
        """Keep a little more waiting than the callers can take at once."""
        while not self._ending:
            lease, items = await self._in_transaction(self._take_chunk)
            self._see(lease.status)
            if lease.chunk is None:
                break
            await self._enqueue(lease.chunk, items, scorer)
            while self._is_sated() and not self._ending:
                self._hungry.clear()
                await self._hungry.wait()
        self._release_callers()

    async def _take_chunk(self, session: AsyncSession) -> tuple[ledger.Lease, list[WorkItem]]:
        lease = await ledger.lease_chunk(session, self._plan.execution, self._name)
        if lease.chunk is None:
            return lease, []
        items = await ledger.load_chunk(session, self._plan.run_id, lease.chunk)
        if not items:
            await ledger.close_chunks(session, self._plan.run_id, self._name, [lease.chunk.chunk_no])
        return lease, items

    def _is_sated(self) -> bool:
        return self._waiting > self._concurrency or self._taken - self._recorder.settled > MOST_UNSETTLED

    def _release_callers(self) -> None:
        for _ in range(self._concurrency):
            self._available.release()

    async def _enqueue(self, chunk: ledger.Chunk, items: Sequence[WorkItem], scorer: SampleScorer) -> None:
        progress = ChunkProgress(chunk.chunk_no, len(items))
        self._taken += len(items)
        queued: list[WorkItem] = []
        for item in items:
            if item.status is SampleStatus.READY_TO_SCORE:
                scorer.resume(item, progress)
            else:
                queued.append(item)
        queue = self._queues.setdefault(chunk.model_no, _ModelQueue())
        unanswered: list[WorkItem] = []
        for item, answer in zip(queued, await self._answerer.recall(queued), strict=True):
            if answer is not None:
                scorer.submit(item, answer, progress)
            else:
                unanswered.append(item)
        for parcel in self._answerer.cut(unanswered):
            queue.waiting.append((parcel, progress))
            self._waiting += 1
            self._available.release()

    async def _call_until_fed(self, scorer: SampleScorer) -> None:
        while True:
            await self._available.acquire()
            queue = None if self._ending else self._fairest_queue()
            if queue is None:
                return
            parcel, progress = queue.waiting.popleft()
            self._waiting -= 1
            if self._waiting <= self._concurrency:
                self._hungry.set()
            queue.in_flight += 1
            try:
                answers = await self._answerer.ask(parcel)
            finally:
                queue.in_flight -= 1
            for item, answer in zip(parcel, answers, strict=True):
                scorer.submit(item, answer, progress)

    def _fairest_queue(self) -> _ModelQueue | None:
        """The queue with work whose model has the fewest calls in flight; None once all is fed and taken."""
        candidates = [queue for queue in self._queues.values() if queue.waiting]
        return min(candidates, key=lambda queue: queue.in_flight, default=None)
