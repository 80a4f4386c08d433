"""The steps of a job, each done once and recorded before it counts; and the purse that pays for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from time import perf_counter
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs.models import JobRow, JobStepRow
from assay.core.jobs.types import JobStatus
from assay.core.jobs.work.faults import BudgetReachedError, FaultCode, JobFaultError, JobStoppedError
from assay.db.engine import SessionFactory
from assay.db.session import transaction
from assay.gateway.errors import UnknownModelError
from assay.gateway.gateway import Gateway
from assay.gateway.types import ModelRequest, ModelRole, Usage
from assay.kit.clock import utc_now
from assay.kit.errors import DomainError
from assay.sandbox import Sandbox

T = TypeVar("T")

CONCURRENCY: Final = 10
"""Calls in flight of one job (O§3.5)."""
HOPELESS_AFTER: Final = 10
"""A model that failed so often and never answered ends the job: waiting for the rest would only take long."""
MAX_ERROR_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a model call."""

    text: str = ""
    error: str | None = None
    """None for a success."""
    model: str = ""
    finish_reason: str | None = None
    seconds: float = 0.0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    """None when the price is not known."""

    @property
    def ok(self) -> bool:
        """Whether the model answered."""
        return self.error is None


class Ledger:
    """The steps of one job's execution.

    Args:
        sessions: Where steps are kept.
        gateway: Asks models.
        job_id: Whose steps they are.
        execution: Which one; what belongs to an earlier one is refused.
        budget_usd: What all calls of the job may cost together; None for no ceiling. Calls in flight when it is
            reached are still paid, so it is passed by ten calls at most.
        sandbox: Runs agents that are code; None where there is none.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        gateway: Gateway,
        *,
        job_id: UUID,
        execution: int,
        budget_usd: Decimal | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self.sessions = sessions
        self.gateway = gateway
        self.job_id = job_id
        self.execution = execution
        self.budget_usd = budget_usd
        self.sandbox = sandbox
        self.spent_usd = Decimal(0)
        self.unpriced = 0
        """Calls whose price is not known."""
        self._steps: dict[str, Any] = {}
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._ready: dict[str, dict[str, Any]] = {}
        # Held by whoever writes: what `_ready` holds must not be written by two at once.
        self._writing = asyncio.Lock()
        self._stopped = False
        self._successes: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()

    async def load(self) -> None:
        """Read what is on record."""
        async with self.sessions() as session:
            rows = await session.scalars(select(JobStepRow).where(JobStepRow.job_id == self.job_id))
            self._steps = {row.key: row.outcome for row in rows}
            spent = await session.scalar(select(JobRow.spent_usd).where(JobRow.id == self.job_id))
            self.spent_usd = spent or Decimal(0)

    async def once(self, key: str, compute: Callable[[], Awaitable[Any]]) -> Any:
        """The JSON-ready value of a step that asks no model; computed the first time, then always the same."""
        if key not in self._steps:
            await self._record(key, await compute(), failed=False, cost=None)
        return self._steps[key]

    async def settle(self, key: str, compute: Callable[[], Awaitable[Answer]]) -> Answer:
        """An answer that is put together from other steps, recorded like that of a model, its cost being theirs.

        Raises:
            JobStoppedError: The job was cancelled, deleted or handed to somebody else.
        """
        if key not in self._steps:
            answer = await compute()
            await self._record(key, asdict(answer), failed=not answer.ok, cost=None)
        return Answer(**self._steps[key])

    async def check_price(self, model: str, role: ModelRole = ModelRole.CANDIDATE) -> str:
        """The catalog's id of a model, once it is sure that it can be paid for.

        Raises:
            JobFaultError: There is no such model, or a budget and no price.
        """
        try:
            price = await self.gateway.price(model, Usage(1_000_000, 1_000_000), role)
            found = self.gateway.catalog.resolve(model, role).id
        except UnknownModelError as error:
            raise JobFaultError(FaultCode.NO_MODEL, error.message) from error
        if price is None and self.budget_usd is not None:
            raise JobFaultError(
                FaultCode.UNPRICED_MODEL,
                f"The job has a budget, and the price of {found} is not known. Give it prices under [models] in "
                "assay.toml, or leave budget_usd out.",
            )
        return found

    async def ask(self, key: str, request: ModelRequest) -> Answer:
        """What a model answers, or how it failed.

        Raises:
            BudgetReachedError: The purse is empty.
            JobFaultError: The model has failed again and again and never answered.
            JobStoppedError: The job was cancelled, deleted or handed to somebody else.
        """
        if key not in self._steps:
            async with self._slots:
                self._check(request.model)
                answer = await self._call(request)
                cost = None if answer.cost_usd is None else Decimal(str(answer.cost_usd))
                # Before the slot is free, so that no more than the slots' calls are ever unrecorded.
                await self._record(key, asdict(answer), failed=not answer.ok, cost=cost)
        answer = Answer(**self._steps[key])
        self._note(request.model, answer)
        return answer

    async def _call(self, request: ModelRequest) -> Answer:
        started = perf_counter()
        try:
            reply = await self.gateway.respond(request)
        except DomainError as error:
            message = error.message[:MAX_ERROR_CHARACTERS] or error.code
            return Answer(error=message, model=request.model, seconds=perf_counter() - started)
        seconds = reply.attempts[-1].seconds if reply.attempts else perf_counter() - started
        return Answer(
            text=reply.text,
            model=reply.model,
            finish_reason=reply.finish_reason,
            seconds=seconds,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cost_usd=None if reply.cost_usd is None else float(reply.cost_usd),
        )

    def _check(self, model: str) -> None:
        if self._stopped:
            raise JobStoppedError
        if self.budget_usd is not None and self.spent_usd >= self.budget_usd:
            raise BudgetReachedError(self.spent_usd, self.budget_usd)
        if self._failures[model] >= HOPELESS_AFTER and not self._successes[model]:
            raise JobFaultError(
                FaultCode.NO_MODEL, f"The model {model} failed {self._failures[model]} times and never answered."
            )

    def _note(self, model: str, answer: Answer) -> None:
        (self._successes if answer.ok else self._failures)[model] += 1
        self.unpriced += answer.ok and answer.cost_usd is None

    async def _record(self, key: str, outcome: Any, *, failed: bool, cost: Decimal | None) -> None:
        """Write a step and its cost, if nobody has yet; only then is it there to be used.

        Whoever comes first writes what the others have ready, too: one commit for up to ten steps.
        """
        self._ready[key] = {
            "job_id": self.job_id,
            "key": key,
            "outcome": outcome,
            "failed": failed,
            "cost_usd": cost,
            "created_at": utc_now(),
        }
        async with self._writing:
            if key not in self._steps:
                await self._write(dict(self._ready))

    async def _write(self, ready: Mapping[str, dict[str, Any]]) -> None:
        async with transaction(self.sessions) as session:
            # The lock makes cancellations and steps take turns.
            job = (await session.scalars(select(JobRow).where(JobRow.id == self.job_id).with_for_update())).one()
            if job.execution == self.execution:
                written = await self._insert(session, job, ready)
            else:
                # Whoever has the job now asks for itself; what was paid was paid all the same.
                job.spent_usd += _cost(ready.values())
                written = {}
        ended = JobStatus(job.status).is_terminal or job.deleted_at is not None
        self._stopped = ended or job.execution != self.execution
        self.spent_usd = job.spent_usd
        self._steps |= written
        for key in ready:
            del self._ready[key]
        if self._stopped:
            raise JobStoppedError

    async def _insert(self, session: AsyncSession, job: JobRow, ready: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """What is on record of the steps from now on. Answers that come in after the job was stopped are kept, too."""
        statement = insert(JobStepRow).values(list(ready.values())).on_conflict_do_nothing()
        new = set(await session.scalars(statement.returning(JobStepRow.key)))
        job.spent_usd += _cost(ready.values())
        written = {key: ready[key]["outcome"] for key in new}
        if len(new) < len(ready):
            known = select(JobStepRow).where(JobStepRow.job_id == self.job_id, JobStepRow.key.in_(ready))
            written |= {row.key: row.outcome for row in await session.scalars(known)}
        return written


def _cost(steps: Iterable[Mapping[str, Any]]) -> Decimal:
    return sum((step["cost_usd"] or Decimal(0) for step in steps), Decimal(0))


async def complete_all(steps: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results in order. When one fails the others still come to their end, since what they asked for is paid; then the
    first failure is raised.
    """
    tasks = [asyncio.ensure_future(step) for step in steps]
    try:
        if tasks:
            await asyncio.wait(tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            # What is cancelled gives its connections back before anybody goes on.
            await asyncio.wait(tasks)
    return [task.result() for task in tasks]
