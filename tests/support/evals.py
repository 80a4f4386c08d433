"""Suites run for real: rows become a file, a suite and a run, and workers in this process or others carry it out."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import text
from tests.support.model_server import ModelServer
from tests.support.waiting import eventually

from assay.core.datasets.hub.service import HubReader
from assay.core.files.service import upload_file
from assay.core.projects.service import bootstrap
from assay.core.projects.types import Principal, Role, Scope
from assay.core.runs import service
from assay.core.runs.types import Run, RunConfig, RunStatus, Sample, SampleFilter
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.db.session import transaction
from assay.kit.logging import LogLevel
from assay.outbound.client import GuardedClient
from assay.runtime import Addresses, Runtime, hub_access, open_runtime, outbound_policy
from assay.settings import (
    CoreSettings,
    HubSettings,
    OnlineSettings,
    OutboundSettings,
    ProviderSettings,
    Settings,
    TemporalSettings,
)
from assay.worker import running_dispatcher, running_worker

WORKER = Path(__file__).with_name("worker_process.py")
MODEL = "openai/mock"
START_SECONDS = 60
PROVIDER_KEY = "sk-provider-0123456789"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds everything; JSON-ready, so that another process can be told."""

    database_url: str
    temporal_address: str
    home: str
    task_queue: str
    models_url: str
    longest_lane_seconds: float = 600
    secret_key: str | None = None
    log_level: LogLevel = "warning"
    allow_hosts: Sequence[str] = ()
    webhook_retry_seconds: Sequence[float] = (5,)
    judge_retry_seconds: Sequence[float] = (0.05, 0.1)
    judge_provider: str | None = None
    breaker_failures: int = 100
    breaker_seconds: float = 1
    hub_folder: str | None = None

    def settings(self) -> Settings:
        """Settings of a process at this place."""
        return Settings(
            core=CoreSettings(home=Path(self.home)),
            temporal=TemporalSettings(task_queue=self.task_queue),
            providers=ProviderSettings(openai_api_key=SecretStr(PROVIDER_KEY), openai_base_url=self.models_url),
            outbound=OutboundSettings(
                allow_hosts=tuple(self.allow_hosts), webhook_retry_seconds=tuple(self.webhook_retry_seconds)
            ),
            online=OnlineSettings(
                judge_provider=self.judge_provider,
                judge_retry_seconds=tuple(self.judge_retry_seconds),
                breaker_failures=self.breaker_failures,
                breaker_seconds=self.breaker_seconds,
            ),
            hub=HubSettings(folder=None if self.hub_folder is None else Path(self.hub_folder)),
        )

    def addresses(self) -> Addresses:
        """Where its services are."""
        return Addresses(self.database_url, self.temporal_address)

    @property
    def longest_lane(self) -> timedelta:
        """How long a lane may go on."""
        return timedelta(seconds=self.longest_lane_seconds)


def question_rows(count: int, *, wrong_every: int = 0) -> list[dict[str, str]]:
    """Rows that the model server answers rightly, except that each ``wrong_every``-th expects something else."""
    return [
        {
            "question": f"q{number} answer={number}",
            "answer": "never" if wrong_every and number % wrong_every == 0 else str(number),
        }
        for number in range(count)
    ]


class Evals:
    """A project in which suites are run."""

    def __init__(self, place: Place, runtime: Runtime, principal: Principal, models: ModelServer) -> None:
        self.place = place
        self.runtime = runtime
        self.principal = principal
        self.models = models

    @property
    def hub(self) -> HubReader:
        """What a worker at this place reads datasets with."""
        settings = self.runtime.settings
        return HubReader(hub_access(settings), GuardedClient(outbound_policy(settings)))

    async def upload(self, content: bytes, *, filename: str = "rows.jsonl") -> UUID:
        """Store a file for evals."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        async with transaction(self.runtime.sessions) as session:
            file = await upload_file(
                session,
                self.principal,
                store=self.runtime.files,
                filename=filename,
                purpose="evals",
                chunks=chunks(),
                max_bytes=2**30,
            )
        return file.id

    async def suite(self, rows: Sequence[Mapping[str, Any]], *tasks: Mapping[str, Any]) -> UUID:
        """A suite whose tasks (one ``qa`` task unless given) all read these rows."""
        file_id = await self.upload("\n".join(json.dumps(row) for row in rows).encode())
        dataset = {"file_id": f"file_{file_id.hex}"}
        manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": dataset, **task} for task in tasks or ({},)]}
        async with transaction(self.runtime.sessions) as session:
            new = NewSuite(name="suite", manifest=manifest)
            suite = await create_suite(session, self.principal, store=self.runtime.files, new=new)
        return suite.id

    async def start(
        self,
        suite_id: UUID,
        *,
        models: Sequence[str] = (MODEL,),
        webhook_endpoint_id: UUID | None = None,
        **config: Any,
    ) -> UUID:
        """Queue a run; a worker has to be there for it to go on."""
        async with transaction(self.runtime.sessions) as session:
            run = await service.create_run(
                session,
                self.principal,
                catalog=self.runtime.gateway.catalog,
                suite_id=suite_id,
                config=RunConfig(models=models, **config),
                webhook_endpoint_id=webhook_endpoint_id,
            )
        return run.id

    async def cancel(self, run_id: UUID) -> Run:
        """Ask a run to stop."""
        async with transaction(self.runtime.sessions) as session:
            return await service.cancel_run(session, self.principal, run_id=run_id)

    async def retry(self, run_id: UUID) -> Run:
        """Continue a run."""
        async with transaction(self.runtime.sessions) as session:
            return await service.retry_run(session, self.principal, run_id=run_id)

    async def rerun_failed(self, run_id: UUID) -> Run:
        """Run the failed samples again."""
        async with transaction(self.runtime.sessions) as session:
            return await service.rerun_failed_samples(session, self.principal, run_id=run_id)

    async def delete(self, run_id: UUID) -> None:
        """Hide a run."""
        async with transaction(self.runtime.sessions) as session:
            await service.delete_run(session, self.principal, run_id=run_id)

    async def get(self, run_id: UUID) -> Run:
        """The run as its owner sees it."""
        async with self.runtime.sessions() as session:
            return await service.get_run(session, self.principal, run_id=run_id)

    async def samples(self, run_id: UUID, **wanted: Any) -> list[Sample]:
        """The first 10,000 samples of a run."""
        async with self.runtime.sessions() as session:
            page = await service.list_samples(
                session, self.principal, run_id=run_id, sample_filter=SampleFilter(**wanted), limit=10_000
            )
        return list(page.items)

    async def until(self, run_id: UUID, *statuses: RunStatus, timeout: float = 30) -> Run:
        """Wait until the run has one of the statuses, or any terminal one when none is given."""

        async def check() -> Run | None:
            run = await self.get(run_id)
            there = run.status in statuses if statuses else run.status.is_terminal
            assert there, f"{run.status} {run.completed}+{run.failed} of {run.total}: {run.error}"
            return run

        run = await eventually(check, timeout=timeout)
        assert run is not None
        return run

    async def until_settled(self, run_id: UUID, count: int, *, timeout: float = 30) -> Run:
        """Wait until so many samples are terminal."""

        async def check() -> Run | None:
            run = await self.get(run_id)
            assert run.completed + run.failed >= count, f"{run.status} {run.completed}+{run.failed}: {run.error}"
            return run

        run = await eventually(check, timeout=timeout)
        assert run is not None
        return run

    async def finished(self, suite_id: UUID, *, timeout: float = 30, **config: Any) -> Run:
        """Start a run and wait for its end."""
        return await self.until(await self.start(suite_id, **config), timeout=timeout)

    async def check_counts(self, run_id: UUID) -> None:
        """See that the run's counters equal its rows, and that no sample is there twice."""
        query = text("""
            SELECT r.total, r.completed, r.failed, count(*) AS samples, count(DISTINCT s.id) AS ids,
                   count(*) FILTER (WHERE s.status = 'completed') AS completed_samples,
                   count(*) FILTER (WHERE s.status = 'failed') AS failed_samples
            FROM runs r JOIN run_samples s ON s.run_id = r.id WHERE r.id = :run_id GROUP BY r.id
        """)
        async with self.runtime.sessions() as session:
            row = (await session.execute(query, {"run_id": run_id})).one()
        assert (row.total, row.completed, row.failed) == (row.samples, row.completed_samples, row.failed_samples)
        assert row.ids == row.samples


@asynccontextmanager
async def open_evals(
    *,
    database_url: str,
    temporal_address: str,
    home: Path,
    models: ModelServer,
    longest_lane_seconds: float = 600,
    task_queue: str | None = None,
    **more: Any,
) -> AsyncGenerator[Evals]:
    """A project on a migrated database, with a task queue of its own and nobody at work on it.

    ``more`` are further fields of its ``Place``.
    """
    queue = task_queue or f"test-{uuid4().hex}"
    place = Place(database_url, temporal_address, str(home), queue, models.url, longest_lane_seconds, **more)
    async with open_runtime(place.settings(), place.addresses(), secret_key=place.secret_key) as runtime:
        async with transaction(runtime.sessions) as session:
            issued = await bootstrap(session)
        principal = Principal(
            organization_id=issued.organization_id,
            project_id=issued.project_id,
            user_id=None,
            role=Role.OWNER,
            scopes=frozenset({Scope.ALL}),
            key_id=None,
            on_behalf_of=None,
        )
        yield Evals(place, runtime, principal, models)


@asynccontextmanager
async def working(evals: Evals) -> AsyncGenerator[None]:
    """A worker in this process."""
    async with running_worker(evals.runtime, longest_lane=evals.place.longest_lane):
        yield


@asynccontextmanager
async def dispatching(evals: Evals) -> AsyncGenerator[None]:
    """Only the dispatcher, as in a process that serves the API."""
    async with running_dispatcher(evals.runtime):
        yield


async def spawn_worker(place: Place, *, log: Path | None = None) -> Process:
    """A worker in a process of its own; it has said that it is ready. Its log is appended to a file if one is given."""
    with nullcontext(None) if log is None else log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), json.dumps(asdict(place)), stdout=PIPE, stderr=errors, cwd=WORKER.parents[2]
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        assert line == b"ready\n", line
    except BaseException:
        await kill(process)
        raise
    return process


async def kill(process: Process) -> None:
    """SIGKILL, if it still runs."""
    if process.returncode is None:
        process.kill()
    await process.wait()
