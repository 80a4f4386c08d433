"""Starting, killing and restarting real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
import temporalio.client
from tests.support.waiting import eventually

from assay.embedded.errors import HomeInUseError, ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.services import DEATHS_ALLOWED, DEATHS_WINDOW_SECONDS, DeathRecord, EmbeddedServices

SUPERVISOR = Path(__file__).parents[1] / "support" / "supervisor.py"


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A process that runs embedded services, and what it said about them."""

    process: Process
    database_url: str
    temporal_address: str
    pids: dict[str, int]


@asynccontextmanager
async def supervisor(home: AssayHome, **environment: str) -> AsyncGenerator[Supervisor]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SUPERVISOR), str(home.path), stdout=PIPE, env={**os.environ, **environment}
    )
    try:
        assert process.stdout is not None
        report = json.loads(await asyncio.wait_for(process.stdout.readline(), 20))
        yield Supervisor(process, **report)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    await eventually(lambda: not processes_of(home))


@pytest.fixture
def home(tmp_path: Path) -> AssayHome:
    return AssayHome(tmp_path / "home")


def processes_of(home: AssayHome) -> list[psutil.Process]:
    """Every process that works in the home's data or names it on its command line, except test processes."""
    return [process for process in psutil.process_iter() if works_on(process, home)]


def works_on(process: psutil.Process, home: AssayHome) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE or SUPERVISOR.name in " ".join(process.cmdline()):
            return False
        return process.cwd() == str(home.postgres_data) or str(home.path) in " ".join(process.cmdline())
    except psutil.Error:
        return False


async def write_row(url: str | None, text: str) -> None:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (text text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", text)
    finally:
        await connection.close()


async def read_rows(url: str | None) -> list[str]:
    connection = await asyncpg.connect(url, ssl=False)
    try:
        return [row["text"] for row in await connection.fetch("SELECT text FROM kept ORDER BY text")]
    finally:
        await connection.close()


async def start_workflow(address: str | None, workflow_id: str) -> None:
    client = await temporalio.client.Client.connect(address or "")
    await client.start_workflow("not-polled", id=workflow_id, task_queue="nobody")


async def is_running(address: str | None, workflow_id: str) -> bool:
    client = await temporalio.client.Client.connect(address or "")
    description = await client.get_workflow_handle(workflow_id).describe()
    return description.status is temporalio.client.WorkflowExecutionStatus.RUNNING


async def test_a_full_cycle_keeps_data_and_addresses_and_leaves_nothing_behind(home: AssayHome) -> None:
    async with EmbeddedServices(home) as services:
        first = (services.database_url, services.temporal_address)
        await write_row(services.database_url, "kept")
        await start_workflow(services.temporal_address, "kept")
        assert len(processes_of(home)) > 2
    assert processes_of(home) == []

    async with EmbeddedServices(home) as services:
        assert (services.database_url, services.temporal_address) == first
        assert await read_rows(services.database_url) == ["kept"]
        assert await is_running(services.temporal_address, "kept")


async def test_only_what_is_asked_for_runs(home: AssayHome) -> None:
    async with EmbeddedServices(home, temporal=False) as services:
        assert services.temporal_address is None
        assert list(services.pids) == ["postgres"]
    assert not home.temporal_database.exists()


async def test_killed_servers_come_back_on_their_ports_with_their_data(home: AssayHome) -> None:
    async with EmbeddedServices(home) as services:
        before = services.pids
        addresses = (services.database_url, services.temporal_address)
        await write_row(services.database_url, "committed")
        await start_workflow(services.temporal_address, "started")
        for pid in before.values():
            os.kill(pid or 0, signal.SIGKILL)

        async def both_are_back() -> bool:
            now = services.pids
            return all(now[name] not in (None, before[name]) for name in before)

        await eventually(both_are_back, timeout=20)
        await eventually(lambda: readable(services), timeout=20)
        assert (services.database_url, services.temporal_address) == addresses


async def readable(services: EmbeddedServices) -> bool:
    try:
        rows = await read_rows(services.database_url)
        running = await is_running(services.temporal_address, "started")
    except (OSError, RuntimeError, asyncpg.PostgresError, temporalio.service.RPCError):
        return False
    return rows == ["committed"] and running


async def test_killed_supervisor_leaves_no_orphan_and_no_obstacle(home: AssayHome) -> None:
    async with supervisor(home) as other:
        await write_row(other.database_url, "committed")
        await start_workflow(other.temporal_address, "started")
        other.process.kill()
        await other.process.wait()
        # At once, while the children may still be on their way out.
        async with EmbeddedServices(home) as services:
            assert (services.database_url, services.temporal_address) == (other.database_url, other.temporal_address)
            assert await read_rows(services.database_url) == ["committed"]
            assert await is_running(services.temporal_address, "started")
            assert not set(services.pids.values()) & set(other.pids.values())


async def test_everything_killed_at_once_recovers(home: AssayHome) -> None:
    async with supervisor(home) as other:
        await write_row(other.database_url, "committed")
        for pid in (*other.pids.values(), other.process.pid):
            os.kill(pid, signal.SIGKILL)
        await other.process.wait()
        async with EmbeddedServices(home, temporal=False) as services:
            assert await read_rows(services.database_url) == ["committed"]


async def test_sigterm_ends_in_order(home: AssayHome) -> None:
    async with supervisor(home) as other:
        other.process.terminate()
        assert await asyncio.wait_for(other.process.wait(), 15) == 0
        assert processes_of(home) == []
        assert not (home.postgres_data / "postmaster.pid").exists()


async def test_second_instance_is_refused_and_the_first_goes_on(home: AssayHome) -> None:
    async with supervisor(home) as other:
        with pytest.raises(HomeInUseError, match=rf"process {other.process.pid}\)"):
            await EmbeddedServices(home).start()
        await write_row(other.database_url, "undisturbed")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; only Linux signals children of a dead parent")
async def test_children_know_no_keys_have_no_terminal_and_die_with_their_parent(home: AssayHome) -> None:
    async with supervisor(home, OPENAI_API_KEY="sk-must-not-leak", ASSAY_SECRET_KEY="must-not-leak") as other:
        for pid in other.pids.values():
            assert set(psutil.Process(pid).environ()) <= {"PATH", "LC_ALL", "TZ", "HOME", "TMPDIR"}
            assert os.getsid(pid) != os.getsid(0)
        other.process.kill()
        await eventually(lambda: not processes_of(home))


async def test_server_that_cannot_come_back_is_given_up(home: AssayHome) -> None:
    async with EmbeddedServices(home, temporal=False) as services:
        (home.postgres_data / "PG_VERSION").unlink()
        os.kill(services.pids["postgres"] or 0, signal.SIGKILL)
        with pytest.raises(ServiceFailedError, match=r"postgres died .* PG_VERSION"):
            await asyncio.wait_for(services.wait_failed(), 30)


async def test_failed_start_gives_the_home_free(home: AssayHome) -> None:
    home.prepare()
    home.postgres_data.mkdir()
    for _ in range(2):
        with pytest.raises(ServiceFailedError, match="not a PostgreSQL data folder"):
            await EmbeddedServices(home).start()
    assert processes_of(home) == []


def test_pauses_double_until_the_server_is_given_up() -> None:
    deaths = DeathRecord()
    pauses = [deaths.record(float(second)) for second in range(DEATHS_ALLOWED + 1)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, None]


def test_rare_deaths_are_forgiven() -> None:
    deaths = DeathRecord()
    assert {deaths.record(n * (DEATHS_WINDOW_SECONDS + 1)) for n in range(20)} == {0.1}
