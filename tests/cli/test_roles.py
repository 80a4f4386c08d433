"""API and worker as processes of their own, on services that somebody else runs."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from meetkai_mka1 import SDK
from tests.support.assay_process import run_assay, running_assay

from assay.db import migrate

# Several programs are started, each of which takes seconds where everything else is busy.
pytestmark = pytest.mark.timeout(120)

PRESET = "mk-preset-0123456789abcdef"


def _variables(database_url: str, temporal_address: str, **more: str) -> dict[str, str]:
    return {
        "ASSAY_DATABASE_URL": database_url,
        "ASSAY_TEMPORAL_ADDRESS": temporal_address,
        "ASSAY_TEMPORAL_TASK_QUEUE": "cli-roles",
        "ASSAY_SECRET_KEY": "0123456789abcdef0123456789abcdef",
        **more,
    }


async def test_database_is_migrated_before_it_is_used(
    home: Path, bare_database_url: str, temporal_address: str
) -> None:
    variables = _variables(bare_database_url, temporal_address)
    early = await run_assay("api", "--port", "0", home=home, variables=variables)
    assert early.exit_code == 1
    assert "Run `assay migrate`" in early.err
    assert (await run_assay("migrate", "--check", home=home, variables=variables)).exit_code == 1
    migrated = (await run_assay("migrate", "--json", home=home, variables=variables)).json
    assert migrated["before"] is None
    assert migrated["current"]

    found = await run_assay("doctor", "--json", home=home, variables=variables)
    assert found.exit_code == 0, found.out
    assert {check["name"]: check["detail"] for check in found.json["checks"]}["services"] == "all external"
    assert not (home / "postgres").exists(), "nothing embedded was started"


async def test_api_and_worker_carry_out_a_run(home: Path, bare_database_url: str, temporal_address: str) -> None:
    await migrate.upgrade(bare_database_url)
    variables = _variables(bare_database_url, temporal_address, ASSAY_BOOTSTRAP_API_KEY=PRESET)
    async with (
        running_assay("worker", "--metrics-port", "0", home=home, variables=variables) as worker,
        running_assay("api", "--port", "0", "--json", home=home, variables=variables) as api,
    ):
        status, counts = await asyncio.to_thread(_run_suite, api.url)
        [address] = re.findall(r"http://127\.0\.0\.1:\d+/metrics", worker.log)
        async with aiohttp.ClientSession() as http, http.get(address) as response:
            metrics = await response.text()
    assert status == "completed"
    assert counts["completed"] == 20
    [calls] = re.findall(r"^assay_model_calls_total\{.*simulator/echo.*\} (.*)$", metrics, re.MULTILINE)
    assert float(calls) == 20


async def test_a_worker_whose_metrics_have_no_port_says_so(
    home: Path, bare_database_url: str, temporal_address: str
) -> None:
    variables = _variables(bare_database_url, temporal_address)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = await run_assay("worker", "--metrics-port", port, home=home, variables=variables)
    assert ended.exit_code == 4
    assert f"port {port}: another program uses it. Choose another with --metrics-port" in ended.err


def _run_suite(url: str) -> tuple[str, Mapping[str, int]]:
    rows = "\n".join(json.dumps({"question": f"row {n}", "answer": f"row {n}"}) for n in range(20))
    with SDK(bearer_auth=PRESET, server_url=url) as sdk:
        file = sdk.llm.files.upload(file={"file_name": "rows.jsonl", "content": rows.encode()}, purpose="evals")
        suite = sdk.llm.evals.create_suite(
            name="s", manifest={"tasks": [{"id": "t", "type": "qa", "dataset": {"file_id": file.id}}]}
        )
        run = sdk.llm.evals.create_run(suite_id=suite.id, models=["simulator/echo"])
        while run.status not in ("completed", "failed", "cancelled"):
            run = sdk.llm.evals.get_run(run_id=run.id)
        return run.status, run.request_counts.model_dump()


@pytest.mark.parametrize("role", ["api", "worker"])
async def test_roles_name_the_setting_they_miss(home: Path, role: str) -> None:
    refused = await run_assay(role, home=home)
    assert refused.exit_code == 2
    assert "Set ASSAY_DATABASE_URL" in refused.err


async def test_worker_that_cannot_work_ends_with_its_reason(
    home: Path, bare_database_url: str, temporal_address: str
) -> None:
    variables = _variables(bare_database_url, temporal_address, ASSAY_TEMPORAL_NAMESPACE="no-such-namespace")
    await migrate.upgrade(bare_database_url)
    ended = await run_assay("worker", home=home, variables=variables)
    assert ended.exit_code == 5
    assert "no-such-namespace" in ended.err.splitlines()[-1]


async def test_first_project_of_an_empty_database_comes_with_a_key(home: Path, bare_database_url: str) -> None:
    variables = {"ASSAY_DATABASE_URL": bare_database_url}
    await migrate.upgrade(bare_database_url)
    assert (await run_assay("projects", "list", "--json", home=home, variables=variables)).json == []
    first = (await run_assay("projects", "create", "One", "--json", home=home, variables=variables)).json
    second = (await run_assay("projects", "create", "Two", "--json", home=home, variables=variables)).json
    assert first["api_key"].startswith("mk-")
    assert second["api_key"] is None
    listed = (await run_assay("projects", "list", "--json", home=home, variables=variables)).json
    assert [project["name"] for project in listed] == ["One", "Two"]


async def test_doctor_finds_every_broken_part(home: Path) -> None:
    home.chmod(0o755)
    (home / "credentials.json").write_text("{}")
    (home / "credentials.json").chmod(0o644)
    variables = {
        "ASSAY_DATABASE_URL": "postgresql://assay:hidden-password@127.0.0.1:9/assay",
        "ASSAY_TEMPORAL_ADDRESS": "127.0.0.1:9",
        "ASSAY_FILES_URL": "ftp://somewhere",
        "ASSAY_SECRET_KEY": "short",
        "ASSAY_HUB_FOLDER": str(home / "absent"),
    }
    found = await run_assay("doctor", "--json", home=home, variables=variables)
    assert found.exit_code == 1
    assert "hidden-password" not in found.out + found.err
    failed = {check["name"]: check for check in found.json["checks"] if check["status"] == "failed"}
    broken = {"home", "secret key", "files", "datasets", "postgres", "schema", "clock", "temporal", "models"}
    assert set(failed) == broken
    assert "ASSAY_HUB_FOLDER" in failed["datasets"]["advice"]
    assert "chmod 600" in failed["home"]["advice"]
    assert "ASSAY_DATABASE_URL" in failed["postgres"]["advice"]
    assert "ASSAY_TEMPORAL_ADDRESS" in failed["temporal"]["advice"]
    assert "at least 16" in failed["secret key"]["detail"]
    assert "s3://" in failed["files"]["detail"]
