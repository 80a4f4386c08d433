"""Schedules of agents: how long after its instant does a run begin?

    uv run python -m benchmarks.agent_schedules

Embedded services, one process with a worker, a simulated model. A third of the schedules fire once, at instants spread
over the time of the measurement, a third by an interval, a third by a cron line every minute. Lateness is from the due
instant to the record of the run.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.rig import run_bounded
from benchmarks.schedules import installation
from sqlalchemy import text

from assay.core.agents.schedules import create_schedule
from assay.core.agents.sealing import ToolSealer
from assay.core.agents.service import create_agent
from assay.core.agents.types import AgentConfiguration, NewAgentSchedule
from assay.core.projects.types import Principal
from assay.db.session import transaction
from assay.kit.clock import utc_now
from assay.runtime import Runtime

KINDS = ("once", "interval", "cron")
_LATENESS = text("""
    SELECT s.spec ->> 'type' AS kind, extract(epoch FROM r.created_at - r.due_at)::float8 AS seconds, r.status
    FROM agent_runs r JOIN agent_schedules s ON s.id = r.schedule_id ORDER BY 1, 2
""")
_MISSED = text("SELECT sum(missed_count) FROM agent_schedules")


def spec_of(number: int, *, minutes: int, interval: int) -> dict[str, Any]:
    """The timing of one schedule."""
    kind = KINDS[number % len(KINDS)]
    if kind == "once":
        at = utc_now() + timedelta(seconds=5 + number * 7 % (minutes * 60 - 10))
        return {"type": kind, "run_at": at.isoformat()}
    if kind == "interval":
        return {"type": kind, "interval_seconds": interval}
    return {"type": kind, "cron_expression": "* * * * *", "timezone": "Australia/Lord_Howe"}


async def fill(runtime: Runtime, principal: Principal, arguments: argparse.Namespace) -> None:
    """One agent with all the schedules."""
    async with transaction(runtime.sessions) as session:
        configuration = AgentConfiguration(name="a", model="simulator/echo")
        agent = await create_agent(session, principal, configuration=configuration, sealer=ToolSealer(None))
    for number in range(arguments.schedules):
        spec = spec_of(number, minutes=arguments.minutes, interval=arguments.interval)
        async with transaction(runtime.sessions) as session:
            new = NewAgentSchedule(spec=spec, input="hello")
            await create_schedule(session, principal, agent_id=agent.id, new=new)


async def measure(arguments: argparse.Namespace) -> None:
    """Make schedules, let them fire, print how late."""
    async with installation() as (runtime, principal):
        await fill(runtime, principal, arguments)
        await asyncio.sleep(arguments.minutes * 60)
        async with runtime.sessions() as session:
            found = (await session.execute(_LATENESS)).all()
            missed = (await session.execute(_MISSED)).scalar_one()
    rows: list[list[str]] = []
    for kind in KINDS:
        late = [row.seconds for row in found if row.kind == kind]
        within = sum(seconds <= 2 for seconds in late)
        middle, most = (f"{value:.2f}" for value in (median(late), late[-1]))
        rows.append([kind, str(len(late)), middle, f"{late[int(0.99 * (len(late) - 1))]:.2f}", most, str(within)])
    report.print_table(["schedule", "fires", "p50 s", "p99 s", "most s", "within 2 s"], rows)
    failed = sum(row.status == "failed" for row in found)
    print(f"Missed instants: {missed}. Failed runs: {failed}.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.agent_schedules", description="Lateness of agents' schedules.")
    parser.add_argument("--schedules", type=int, default=150)
    parser.add_argument("--interval", type=int, default=20, help="seconds")
    parser.add_argument("--minutes", type=int, default=3)
    arguments = parser.parse_args()
    report.print_surroundings(f"{arguments.schedules} schedules of agents for {arguments.minutes} minutes")
    run_bounded(measure(arguments))


if __name__ == "__main__":
    main()
