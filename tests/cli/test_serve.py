"""``assay serve`` while it runs: one instance, looked at from all sides."""

from __future__ import annotations

import json
import stat
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import psutil
import pytest
from tests.support.assay_process import AssayProcess, run_assay
from tests.support.waiting import eventually

from assay.embedded.home import AssayHome
from assay.embedded.postgres import EmbeddedPostgres

SUITES = "/api/v1/llm/evals/suites"


async def _status(http: aiohttp.ClientSession, url: str, key: str | None = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        async with http.get(url, headers=headers) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_operations_answer(served: AssayProcess, http: aiohttp.ClientSession, path: str) -> None:
    assert await _status(http, served.url + path) == 200


async def test_credentials_are_private_and_let_in(served: AssayProcess, http: aiohttp.ClientSession) -> None:
    credentials = served.credentials
    assert stat.S_IMODE((served.home / "credentials.json").stat().st_mode) == 0o600
    assert set(credentials) == {
        "base_url",
        "api_key",
        "capture_token",
        "organization_id",
        "project_id",
        "project_uuid",
    }
    assert credentials["base_url"] == served.url
    assert credentials["api_key"] == served.ready["api_key"]
    assert await _status(http, served.url + SUITES, credentials["api_key"]) == 200
    assert await _status(http, served.url + SUITES) == 401


async def test_keys_are_not_logged(served: AssayProcess) -> None:
    password = (served.home / "postgres.password").read_text()
    assert "serving" in served.log
    for secret in (served.credentials["api_key"], password, (served.home / "secret.key").read_text()):
        assert secret not in served.log


async def test_every_log_line_is_json(served: AssayProcess) -> None:
    lines = served.log.splitlines()
    assert lines
    assert all("event" in json.loads(line) for line in lines)


async def test_second_instance_is_refused(served: AssayProcess) -> None:
    second = await run_assay("serve", "--port", "0", home=served.home)
    assert second.exit_code == 3
    assert f"in use by another Assay (process {served.pid})" in second.err
    assert "Traceback" not in second.err


async def test_taken_port_is_refused(served: AssayProcess) -> None:
    port = str(urlsplit(served.url).port)
    second = await run_assay("serve", "--port", port, home=served.home)
    assert second.exit_code == 4
    assert f"cannot listen on port {port}" in second.err


async def test_key_is_made_used_and_revoked(served: AssayProcess, http: aiohttp.ClientSession) -> None:
    made = (await run_assay("keys", "create", "ci", "--scope", "read:evals", "--json", home=served.home)).json
    assert await _status(http, served.url + SUITES, made["api_key"]) == 200

    listed = (await run_assay("keys", "list", "--json", home=served.home)).json
    assert {key["name"]: key["status"] for key in listed}["ci"] == "active"
    assert made["api_key"] not in json.dumps(listed)

    revoked = await run_assay("keys", "revoke", made["id"], "--json", home=served.home)
    assert revoked.json["status"] == "revoked"

    async def refused() -> bool:
        return await _status(http, served.url + SUITES, made["api_key"]) == 401

    await eventually(refused, timeout=5.0)


async def test_stored_model_is_listed_and_its_key_is_not_readable(
    served: AssayProcess, http: aiohttp.ClientSession
) -> None:
    secret = "sk-very-secret-0123456789"
    added = await run_assay(
        *("models", "add", "house/large", "--provider", "house", "--base-url", "http://127.0.0.1:9/v1"),
        *("--role", "judge", "--key-stdin"),
        home=served.home,
        stdin=secret + "\n",
    )
    assert added.exit_code == 0, added.err
    assert secret not in added.out + added.err

    server = EmbeddedPostgres.running_in(AssayHome(served.home))
    assert server is not None
    connection = await asyncpg.connect(server.address, ssl=False)
    try:
        stored = await connection.fetchval("SELECT api_key FROM providers WHERE name = 'house'")
    finally:
        await connection.close()
    assert stored
    assert secret.encode() not in stored

    async def listed() -> bool:
        headers = {"Authorization": f"Bearer {served.credentials['api_key']}"}
        async with http.get(served.url + "/api/v1/llm/models", headers=headers) as response:
            return "house/large" in await response.text()

    await eventually(listed, timeout=8.0)
    shown = (await run_assay("models", "list", "--json", home=served.home)).json
    assert shown["roles"] == {"judge": "house/large"}
    assert (await run_assay("models", "remove", "house/large", home=served.home)).exit_code == 0
    again = await run_assay("models", "remove", "house/large", home=served.home)
    assert again.exit_code == 1
    assert "no model 'house/large'" in again.err


async def test_doctor_names_the_running_instance(served: AssayProcess) -> None:
    found = await run_assay("doctor", "--json", home=served.home)
    assert found.exit_code == 0, found.out
    checks = {check["name"]: check for check in found.json["checks"]}
    assert checks["services"]["detail"] == f"run by process {served.pid}"
    assert {name for name, check in checks.items() if check["status"] != "ok"} <= {"models"}


@pytest.mark.parametrize("service", ["postgres", "temporal"])
async def test_killed_service_comes_back(served: AssayProcess, http: aiohttp.ClientSession, service: str) -> None:
    victim = served.child(service)
    victim.kill()

    def replaced() -> bool:
        return [child.pid for child in served.direct_children(service)] not in ([], [victim.pid])

    await eventually(replaced, timeout=20.0)

    async def ready() -> bool:
        return await _status(http, served.url + "/readyz") == 200

    await eventually(ready, timeout=20.0)
    assert await _status(http, served.url + SUITES, served.credentials["api_key"]) == 200


async def test_api_says_so_while_the_database_is_away(served: AssayProcess, http: aiohttp.ClientSession) -> None:
    database = served.child("postgres")
    for process in [database, *database.children()]:
        process.suspend()

    async def unavailable() -> bool:
        return await _status(http, served.url + "/readyz") == 503

    try:
        await eventually(unavailable, timeout=8.0)
        assert await _status(http, served.url + "/healthz") == 200
    finally:
        for process in [database, *database.children()]:
            process.resume()

    async def ready() -> bool:
        return await _status(http, served.url + "/readyz") == 200

    await eventually(ready, timeout=8.0)


async def test_resident_memory_is_within_budget(served: AssayProcess) -> None:
    assert psutil.Process(served.pid).memory_info().rss < 400 * 1024**2
