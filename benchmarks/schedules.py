"""Schedules under load: is every due fire accounted for, and how late are they?

    python -m benchmarks.schedules --schedules 1000 --interval 300 --minutes 10

Embedded services, one process with a worker, simulated models. Intervals below a minute are put into the rows, past the
checks, for a quick look. Lateness is from the due instant to the record, which is when the run is queued.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles
from uuid import UUID

from sqlalchemy import text

from assay.core.files.service import upload_file
from assay.core.projects.service import bootstrap, get_operator
from assay.core.projects.types import Principal
from assay.core.schedules.service import create_schedule
from assay.core.schedules.types import NewSchedule, OverlapPolicy
from assay.core.suites.service import create_suite
from assay.core.suites.types import NewSuite
from assay.core.webhooks.types import WebhookTools
from assay.db import migrate
from assay.db.session import transaction
from assay.embedded.home import AssayHome
from assay.embedded.services import EmbeddedServices
from assay.kit.logging import configure_logging
from assay.outbound.policy import OutboundPolicy
from assay.runtime import Addresses, Runtime, open_runtime
from assay.settings import CoreSettings, Settings
from assay.worker import running_worker

NO_SECRETS = WebhookTools(OutboundPolicy.of([], []), None)

MODEL = "simulator/echo"
SETTLING_SECONDS = 40.0
"""Longer than the reconciler takes to come round."""

_ACCOUNT = text("""
    SELECT extract(epoch FROM date_trunc('second', s.anchor_at)) AS anchor, s.interval_seconds AS every,
           coalesce(sum(f.count), 0) AS recorded
    FROM schedules s
    LEFT JOIN schedule_fires f ON f.schedule_id = s.id AND f.last_due_at <= to_timestamp(:ended)
    GROUP BY s.id
""")
_FIRES = text("""
    SELECT outcome, count AS instants, extract(epoch FROM recorded_at - due_at) AS lateness FROM schedule_fires
    WHERE last_due_at <= to_timestamp(:ended)
""")


@asynccontextmanager
async def installation() -> AsyncGenerator[tuple[Runtime, Principal]]:
    """Everything embedded in a throw-away home, a worker in this process, and its operator."""
    configure_logging("warning")
    with tempfile.TemporaryDirectory(prefix="assay-bench-") as folder:
        home = AssayHome(Path(folder) / "home")
        home.prepare()
        async with EmbeddedServices(home) as services:
            addresses = Addresses(str(services.database_url), str(services.temporal_address))
            await migrate.upgrade(addresses.database_url)
            settings = Settings(core=CoreSettings(home=home.path))
            async with open_runtime(settings, addresses, secret_key=None) as runtime, running_worker(runtime):
                async with transaction(runtime.sessions) as session:
                    await bootstrap(session)
                    principal = await get_operator(session)
                yield runtime, principal


async def measure(*, schedules: int, interval: int, minutes: float) -> None:
    """Make schedules, let them fire, print what became of every due instant."""
    async with installation() as (runtime, principal):
        await _fill(runtime, principal, schedules=schedules, interval=interval)
        await asyncio.sleep(minutes * 60)
        ended = time.time()
        await asyncio.sleep(SETTLING_SECONDS)
        await _report(runtime, ended=ended)


async def _fill(runtime: Runtime, principal: Principal, *, schedules: int, interval: int) -> None:
    suite_id = await _suite(runtime, principal)
    started = time.perf_counter()
    for number in range(schedules):
        new = NewSchedule(
            name=f"s{number}",
            suite_id=suite_id,
            run={"models": [MODEL]},
            interval_seconds=max(interval, 60),
            overlap_policy=list(OverlapPolicy)[number % 3],
        )
        async with transaction(runtime.sessions) as session:
            made = await create_schedule(session, principal, new=new, webhooks=NO_SECRETS)
            # Spread over the interval, as schedules of many people are.
            shift = number * interval // schedules
            await session.execute(
                text("""
                    UPDATE schedules SET interval_seconds = CAST(:every AS integer),
                        anchor_at = anchor_at - make_interval(secs => CAST(:shift AS integer)),
                        next_due_at = date_trunc('second', anchor_at)
                            + make_interval(secs => CAST(:every AS integer) - CAST(:shift AS integer))
                    WHERE id = :id
                """),
                {"every": interval, "shift": shift, "id": made.id},
            )
    print(f"made {schedules} schedules in {time.perf_counter() - started:.1f} s")


async def _suite(runtime: Runtime, principal: Principal) -> UUID:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"question": "q", "answer": "a"}\n'

    async with transaction(runtime.sessions) as session:
        file = await upload_file(
            session,
            principal,
            store=runtime.files,
            filename="rows.jsonl",
            purpose="evals",
            chunks=chunks(),
            max_bytes=1000,
        )
    manifest = {"tasks": [{"id": "t", "type": "qa", "dataset": {"file_id": f"file_{file.id.hex}"}}]}
    async with transaction(runtime.sessions) as session:
        new = NewSuite(name="suite", manifest=manifest)
        return (await create_suite(session, principal, store=runtime.files, new=new)).id


async def _report(runtime: Runtime, *, ended: float) -> None:
    async with runtime.sessions() as session:
        accounts = (await session.execute(_ACCOUNT, {"ended": ended})).all()
        fires = (await session.execute(_FIRES, {"ended": ended})).all()
        runs = Counter(await session.scalars(text("SELECT status FROM runs")))
    # Anchors lie less than an interval before the schedules were made, so nothing before that counts.
    due = sum(int((ended - float(row.anchor)) // row.every) for row in accounts)
    recorded = sum(int(row.recorded) for row in accounts)
    lateness = sorted(float(row.lateness) for row in fires if row.outcome != "missed")
    cuts = quantiles(lateness, n=100) if len(lateness) > 1 else [0.0] * 99
    outcomes = Counter[str]()
    for row in fires:
        outcomes[row.outcome] += row.instants
    print(f"due {due}, recorded {recorded}, unaccounted {due - recorded}")
    print(f"outcomes {dict(outcomes)}, runs {dict(runs)}")
    print(f"lateness p50 {cuts[49]:.3f} s, p99 {cuts[98]:.3f} s, most {lateness[-1] if lateness else 0:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=1000)
    parser.add_argument("--interval", type=int, default=300, help="Seconds.")
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    asyncio.run(measure(schedules=arguments.schedules, interval=arguments.interval, minutes=arguments.minutes))


if __name__ == "__main__":
    main()
