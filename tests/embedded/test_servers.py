"""One server at a time: what it finds on disk and on the machine when it starts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import asyncpg
import psutil
import pytest

from assay.embedded.errors import ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres
from assay.embedded.server import EmbeddedServer
from assay.embedded.temporal import EmbeddedTemporal

Kind = Callable[[AssayHome], EmbeddedServer]

# A server answers only when its namespace is there, so these tests cover its making too.
KINDS: list[Kind] = [EmbeddedPostgres, partial(EmbeddedTemporal, namespace="elsewhere")]
by_kind = pytest.mark.parametrize("kind", KINDS, ids=["postgres", "temporal"])


@pytest.fixture
def home(tmp_path: Path) -> AssayHome:
    return AssayHome(tmp_path / "home")


@pytest.fixture
async def postgres(home: AssayHome) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(home, settings={"fsync": "off"})
    yield server
    await server.stop()


async def answer(postgres: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(postgres.address, ssl=False)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@by_kind
async def test_surviving_server_of_an_earlier_run_is_ended(home: AssayHome, kind: Kind) -> None:
    survivor, successor = kind(home), kind(home)
    await survivor.start()
    try:
        await successor.start()
        assert survivor.pid is None
        assert successor.pid is not None
        await successor.probe()
    finally:
        await survivor.stop()
        await successor.stop()


@by_kind
async def test_taken_port_is_exchanged(home: AssayHome, kind: Kind) -> None:
    home.prepare()
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        server = kind(home)
        home.remember_port(server.name, taken)
        try:
            await server.start()
            assert server.port != taken
            assert home.recall_port(server.name) == server.port
        finally:
            await server.stop()


@by_kind
async def test_stopped_server_does_not_answer_and_stops_twice(home: AssayHome, kind: Kind) -> None:
    server = kind(home)
    with pytest.raises(ServiceFailedError, match="was not started"):
        _ = server.address
    await server.start()
    assert psutil.pid_exists(server.pid or 0)
    await server.stop()
    await server.stop()
    assert server.pid is None
    with pytest.raises(ServiceFailedError, match="does not answer"):
        await server.probe()


async def test_settings_reach_the_server(postgres: EmbeddedPostgres) -> None:
    await postgres.start()
    expected = {"fsync": "off", "synchronous_commit": "on", "max_connections": "200", "jit": "off", "TimeZone": "UTC"}
    assert {name: await answer(postgres, f"SHOW {name}") for name in expected} == expected
    assert await answer(postgres, "SELECT datlocale FROM pg_database WHERE datname = 'assay'") == "C.UTF-8"


async def test_server_that_refuses_its_settings_says_so(home: AssayHome) -> None:
    server = EmbeddedPostgres(home, settings={"shared_buffers": "a lot"})
    with pytest.raises(ServiceFailedError, match=r'ended at once.*postgres\.log(?s:.*)"shared_buffers": "a lot"'):
        await server.start()
    assert server.pid is None


async def test_process_number_that_was_used_again_is_no_obstacle(postgres: EmbeddedPostgres, home: AssayHome) -> None:
    await postgres.start()
    os.kill(postgres.pid or 0, signal.SIGKILL)
    await postgres.wait_exit()
    owner = home.postgres_data.stat().st_uid
    user = owner if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=user) as bystander:
        lines = (home.postgres_data / "postmaster.pid").read_text().split("\n")
        (home.postgres_data / "postmaster.pid").write_text("\n".join([str(bystander.pid), *lines[1:]]))
        try:
            await postgres.start()
            assert bystander.poll() is None
        finally:
            bystander.kill()
    assert await answer(postgres, "SELECT 1") == 1


async def test_interrupted_first_start_is_begun_again(postgres: EmbeddedPostgres, home: AssayHome) -> None:
    home.prepare()
    (home.path / "postgres.new" / "base").mkdir(parents=True)
    await postgres.start()
    assert await answer(postgres, "SELECT 1") == 1
    assert not (home.path / "postgres.new").exists()


async def test_lost_password_is_renewed(postgres: EmbeddedPostgres, home: AssayHome) -> None:
    before = await postgres.start()
    await postgres.stop()
    home.postgres_password_file.unlink()
    assert await postgres.start() != before
    assert await answer(postgres, "SELECT 1") == 1


async def test_data_of_an_unknown_version_is_refused(postgres: EmbeddedPostgres, home: AssayHome) -> None:
    home.prepare()
    home.ensure_secret(home.postgres_password_file, length=24)
    home.postgres_data.mkdir()
    (home.postgres_data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServiceFailedError, match="made by PostgreSQL 9"):
        await postgres.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="about root")
async def test_under_root_the_server_is_not_root(postgres: EmbeddedPostgres, home: AssayHome) -> None:
    await postgres.start()
    assert psutil.Process(postgres.pid).uids().effective != 0
    assert home.path.stat().st_mode & 0o077 == 0
