"""What the five kinds of jobs share: the job at work, and what is written of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.jobs.models import JobIterationRow, JobRow
from assay.core.jobs.types import Decision, JobStatus
from assay.core.jobs.work.faults import JobStoppedError
from assay.core.jobs.work.ledger import Ledger
from assay.core.jobs.work.rows import add_log, add_to_result
from assay.core.jobs.work.target import Parameters, Target
from assay.core.ownership import OwnerColumns
from assay.db.session import transaction
from assay.gateway.tokens import count_tokens
from assay.gateway.types import ModelRole, Usage
from assay.kit.clock import utc_now

AUTO: Final = "auto"
EXPECTED_OUTPUT_TOKENS: Final = 300
"""Of a reply, for estimates; nobody knows before."""
_PROGRESS_SECONDS: Final = 1.0


@dataclass(slots=True)
class Work:
    """A job that is being carried out."""

    job: JobRow
    """As it was when the execution began."""
    parameters: Parameters
    target: Target
    ledger: Ledger
    _told: float = field(default=0.0)

    @property
    def owner(self) -> OwnerColumns:
        """Whose the things are that the job makes."""
        job = self.job
        return OwnerColumns(project_id=job.project_id, created_by=job.created_by, on_behalf_of=job.on_behalf_of)

    def made_id(self, what: str) -> UUID:
        """The id of something that this execution makes, the same whenever it makes it again."""
        return uuid5(self.job.id, f"{self.ledger.execution}/{what}")

    async def resolve(self, model: str, role: ModelRole = ModelRole.CANDIDATE) -> str:
        """The catalog's id of a model that the job needs, once it is sure that it can be paid for.

        Raises:
            JobFaultError: There is no such model, or a budget and no price.
        """
        return await self.ledger.check_price(model or AUTO, role)

    async def estimate(self, calls: Sequence[tuple[str, ModelRole, int]]) -> None:
        """Write down what is to be expected, before the first call.

        Args:
            calls: Model, role and number of calls of each.
        """
        texts = [case.text for case in self.target.cases[:50]]
        each = count_tokens(self.target.prompt) + sum(map(count_tokens, texts)) // max(1, len(texts))
        usage = Usage(each, EXPECTED_OUTPUT_TOKENS)
        prices = [(await self.ledger.gateway.price(model, usage, role), count) for model, role, count in calls]
        known = [price * count for price, count in prices if price is not None]
        cost = float(sum(known, Decimal(0))) if len(known) == len(prices) else None
        await self.write(result={"estimate": {"calls": sum(count for *_, count in calls), "cost_usd": cost}})

    async def progress(self, phase: str, done: int, total: int) -> None:
        """Say how far the job is; at most once a second, but always when a phase is done."""
        now = time.monotonic()
        if done < total and now - self._told < _PROGRESS_SECONDS:
            return
        self._told = now
        await self.write(result={"progress": {"phase": phase, "done": done, "total": total}})

    async def log(self, message: str, *, level: str = "info") -> None:
        """Add a line to the job's log."""
        await self.write(log=(level, message))

    async def write(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        result: Mapping[str, Any] | None = None,
        log: tuple[str, str] | None = None,
    ) -> None:
        """Write columns, keys of ``result`` and a line of the log; what others have put into ``result`` stays.

        Raises:
            JobStoppedError: The job has ended, or belongs to somebody else.
        """
        async with transaction(self.ledger.sessions) as session:
            row = await self.locked(session)
            for name, value in (values or {}).items():
                setattr(row, name, value)
            if result:
                add_to_result(row, result)
            if log is not None:
                add_log(row, *log)
            row.updated_at = utc_now()

    async def locked(self, session: AsyncSession) -> JobRow:
        """The job's row as it is now, locked.

        Raises:
            JobStoppedError: The job has ended, or belongs to somebody else.
        """
        row = (await session.scalars(select(JobRow).where(JobRow.id == self.job.id).with_for_update())).one()
        ended = JobStatus(row.status).is_terminal or row.deleted_at is not None
        if ended or row.execution != self.ledger.execution:
            raise JobStoppedError
        return row

    async def add_iteration(
        self,
        position: int,
        name: str,
        *,
        score: float,
        decision: Decision,
        description: str = "",
        code: str = "",
        dimensions: Mapping[str, float] | None = None,
        candidates: Any = None,
    ) -> UUID:
        """Add an iteration, once.

        Args:
            position: From 0.
            name: Up to 64 characters.
            score: In points.
            decision: What became of it.
            description: For people.
            code: The prompt.
            dimensions: Points by dimension.
            candidates: What else was tried; JSON-ready.
        """
        iteration_id = self.made_id(f"iteration/{position}")
        row = {
            "id": iteration_id,
            "job_id": self.job.id,
            **self.owner,
            "created_at": utc_now(),
            "position": position,
            "name": name[:64],
            "avg_score": score,
            "status": decision.value,
            "description": description,
            "code": code,
            "dimension_scores": dict(dimensions or {}),
            "candidates": candidates,
        }
        async with transaction(self.ledger.sessions) as session:
            job = await self.locked(session)
            await session.execute(insert(JobIterationRow).values(**row).on_conflict_do_nothing())
            job.current_iteration = max(job.current_iteration, position)
            job.updated_at = utc_now()
        return iteration_id


def mean_dimensions(dimensions: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean points by dimension, each over the answers that have it."""
    names = dict.fromkeys(name for one in dimensions for name in one)
    found = {name: [one[name] for one in dimensions if name in one] for name in names}
    return {f"avg_{name}": sum(values) / len(values) for name, values in found.items()}
