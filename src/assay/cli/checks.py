"""The checks of ``assay doctor``. Each looks at one part for real: it connects, writes, grades."""

from __future__ import annotations

import asyncio
import shutil
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

import asyncpg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.service import RPCError

from assay.cli.connecting import Services, known_secret_key, open_services, require_migrated
from assay.core.datasets.hub.process import has_extra
from assay.core.files.store import UnsupportedFileStoreError, open_file_store
from assay.db import migrate
from assay.db.engine import async_url, open_engine, session_factory
from assay.embedded.errors import HomeInUseError
from assay.embedded.home import AssayHome
from assay.gateway.gateway import open_gateway
from assay.gateway.types import ModelRole
from assay.kit.errors import DomainError
from assay.kit.logging import mask_text
from assay.kit.secrets import SecretBox
from assay.runtime import connect_temporal
from assay.sandbox.contract import Case, EntryPoint, Graded
from assay.sandbox.monty import MontySandbox
from assay.sandbox.program import check_program
from assay.settings import Settings

OLDEST_POSTGRES = 15
LITTLE_DISK_BYTES = 2 * 1024**3
TOO_LITTLE_DISK_BYTES = 200 * 1024**2
LARGEST_SKEW_SECONDS = 2.0
_TIMEOUT_SECONDS = 30.0

_GRADER = "def grade(sample, item):\n    return 1.0 if sample['output_text'] == item['answer'] else 0.0\n"


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one part."""

    name: str
    status: Status
    detail: str
    advice: str = ""


class FoundProblemError(Exception):
    """A check's own finding: what is wrong, and what to do."""

    def __init__(self, detail: str, advice: str = "", *, status: Status = Status.FAILED) -> None:
        super().__init__(detail)
        self.detail, self.advice, self.status = detail, advice, status


async def examine(settings: Settings) -> list[Check]:
    """Check every part; a part that cannot be reached fails its check and hides none of the others."""
    home = AssayHome(settings.core.home)
    checks = [
        await _check("home", lambda: _check_home(home)),
        await _check("disk", lambda: _check_disk(home.path)),
        await _check("secret key", lambda: _check_secret_key(settings, home)),
        await _check("files", lambda: _check_files(settings, home)),
        await _check("sandbox", _check_sandbox),
        await _check("datasets", lambda: _check_datasets(settings)),
    ]
    return [*checks, *await _examine_services(settings, home)]


async def _examine_services(settings: Settings, home: AssayHome) -> list[Check]:
    try:
        async with open_services(settings, temporal=True) as services:
            return [
                await _check("services", lambda: _check_holder(settings, services)),
                await _check("postgres", lambda: _check_postgres(services.database_url)),
                await _check("schema", lambda: _check_schema(settings, services.database_url)),
                await _check("clock", lambda: _check_clock(services.database_url)),
                await _check("temporal", lambda: _check_temporal(settings, services.temporal_address or "")),
                await _check("models", lambda: _check_models(settings, home, services.database_url)),
            ]
    except DomainError as error:
        advice = "Look into the logs folder of the home, or set ASSAY_DATABASE_URL and ASSAY_TEMPORAL_ADDRESS."
        return [Check("services", Status.FAILED, error.message, "" if isinstance(error, HomeInUseError) else advice)]


async def _check(name: str, look: Callable[[], Awaitable[str]]) -> Check:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return Check(name, Status.OK, await look())
    except FoundProblemError as problem:
        return Check(name, problem.status, problem.detail, problem.advice)
    except TimeoutError:
        return Check(name, Status.FAILED, f"no answer within {_TIMEOUT_SECONDS:g} s", "Is it overloaded?")
    except Exception as error:
        # Whatever a part throws at us is the finding; the other parts are still to be looked at.
        return Check(name, Status.FAILED, mask_text(str(error) or type(error).__name__))


async def _check_home(home: AssayHome) -> str:
    home.prepare()
    for path in (home.credentials_file, home.secret_key_file, home.postgres_password_file):
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise FoundProblemError(f"other users may read {path}", f"Run `chmod 600 {path}` and renew what it holds.")
    return str(home.path)


async def _check_disk(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    detail = f"{free / 1024**3:.1f} GiB free at {folder}"
    if free < TOO_LITTLE_DISK_BYTES:
        raise FoundProblemError(detail, "Make room: PostgreSQL stops when its disk is full.")
    if free < LITTLE_DISK_BYTES:
        raise FoundProblemError(detail, "Make room soon.", status=Status.WARNING)
    return detail


async def _check_secret_key(settings: Settings, home: AssayHome) -> str:
    key = known_secret_key(settings, home)
    if key is None:
        return "none yet; the first start makes one"
    SecretBox(key)
    return "from ASSAY_SECRET_KEY" if settings.core.secret_key is not None else f"in {home.secret_key_file}"


async def _check_datasets(settings: Settings) -> str:
    folder = settings.hub.folder
    if folder is not None and not await asyncio.to_thread(folder.is_dir):
        raise FoundProblemError(f"there is no folder {folder}", "Correct ASSAY_HUB_FOLDER.")
    if not has_extra():
        return "the extra `hf` is not installed: no Hugging Face datasets, no Parquet"
    return f"Hugging Face datasets of {settings.hub.url if folder is None else folder}, and Parquet"


async def _check_files(settings: Settings, home: AssayHome) -> str:
    try:
        store = open_file_store(settings.files.url, folder=home.files)
    except UnsupportedFileStoreError as exc:
        raise FoundProblemError(str(exc)) from exc
    key = f"doctor/{uuid4().hex}"

    async def content() -> AsyncIterator[bytes]:
        yield b"assay doctor"

    try:
        await store.put(key, content(), max_bytes=100)
        await store.delete(key)
    except DomainError as exc:
        where = settings.files.url or str(home.files)
        cause = exc.__cause__ or exc
        raise FoundProblemError(f"cannot write to {where}: {cause}", "Check ASSAY_FILES_URL and its access.") from exc
    return settings.files.url or str(home.files)


async def _check_sandbox() -> str:
    program = check_program(_GRADER, entry_point=EntryPoint.GRADE)
    async with MontySandbox() as sandbox:
        started = time.perf_counter()
        outcome = (await sandbox.grade(program, [Case({"output_text": "42"}, {"answer": "42"})]))[0]
        took = time.perf_counter() - started
    if not isinstance(outcome, Graded) or outcome.scores != {"score": 1.0}:
        raise FoundProblemError(f"a simple grader gave {outcome}", "Reinstall pydantic-monty.")
    return f"graded in {took * 1000:.0f} ms"


async def _check_holder(settings: Settings, services: Services) -> str:
    if settings.database.url is not None and settings.temporal.address is not None:
        return "all external"
    if services.holder is not None:
        return f"run by process {services.holder.data.get('pid')}"
    return "embedded, started for these checks"


async def _check_postgres(url: str) -> str:
    connection = await _connect(url)
    try:
        version = connection.get_server_version()
    finally:
        await connection.close()
    if version.major < OLDEST_POSTGRES:
        raise FoundProblemError(f"version {version.major} is too old", f"Use PostgreSQL {OLDEST_POSTGRES} or newer.")
    return f"version {version.major}.{version.minor} at {_place(url)}"


async def _connect(url: str) -> asyncpg.Connection:
    address = async_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return await asyncpg.connect(address, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as exc:
        raise FoundProblemError(
            f"cannot connect to {_place(url)}: {mask_text(str(exc) or type(exc).__name__)}",
            "Is the server up, and are host, database, user and password in ASSAY_DATABASE_URL right?",
        ) from exc


def _place(url: str) -> str:
    address = async_url(url)
    return f"{address.host}:{address.port or 5432}/{address.database}"


async def _check_schema(settings: Settings, url: str) -> str:
    if settings.database.url is None:
        await migrate.upgrade(url)
    try:
        await require_migrated(url)
    except DomainError as error:
        raise FoundProblemError(error.message) from error
    except OSError as error:
        raise FoundProblemError(f"unknown: {error}") from error
    return f"revision {migrate.head()}"


async def _check_clock(url: str) -> str:
    connection = await _connect(url)
    try:
        before = datetime.now(UTC)
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        after = datetime.now(UTC)
    finally:
        await connection.close()
    # The database read its clock somewhere between the two readings of ours.
    skew = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if skew > LARGEST_SKEW_SECONDS:
        raise FoundProblemError(
            f"{skew:.1f} s apart from the database's", "Synchronise both clocks (NTP): leases and schedules need it."
        )
    return f"within {max(skew, 0.1):.1f} s of the database's"


async def _check_temporal(settings: Settings, address: str) -> str:
    namespace = settings.temporal.namespace
    advice = "Is it up, and are ASSAY_TEMPORAL_ADDRESS, _NAMESPACE, _TLS and _API_KEY right?"
    try:
        client = await connect_temporal(settings.temporal, address)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except DomainError as exc:
        raise FoundProblemError(exc.message, advice) from exc
    except RPCError as exc:
        raise FoundProblemError(f"namespace {namespace!r} at {address}: {exc}", advice) from exc
    return f"namespace {namespace!r} at {address}"


async def _check_models(settings: Settings, home: AssayHome, url: str) -> str:
    key = known_secret_key(settings, home)
    engine = open_engine(url, pool_size=1)
    try:
        secrets = None if key is None else SecretBox(key)
        async with await open_gateway(settings, session_factory(engine), secrets=secrets) as gateway:
            await gateway.catalog.refresh()
            roles = gateway.catalog.roles()
            real = [provider.name for provider in gateway.catalog.list_providers() if provider.name != "simulator"]
            for role in roles:
                gateway.catalog.resolve("auto", role)
    finally:
        await engine.dispose()
    if not real:
        raise FoundProblemError(
            "only simulated models",
            "Set OPENAI_API_KEY or ANTHROPIC_API_KEY, or see docs/models.md.",
            status=Status.WARNING,
        )
    without = ", ".join(role.value for role in ModelRole if role not in roles)
    return f"providers {', '.join(real)}" + (f"; 'auto' has no model as {without}" if without else "")
