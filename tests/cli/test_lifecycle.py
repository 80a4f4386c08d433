"""Starting, stopping and being killed."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.support.assay_process import AssayProcess, run_assay, running_assay
from tests.support.waiting import eventually

from assay.embedded.process import is_alive

# Several programs are started, each of which takes seconds where everything else is busy.
pytestmark = pytest.mark.timeout(120)

SUITES = "/api/v1/llm/evals/suites"
PRESET = "mk-preset-0123456789abcdef"


async def _all_gone(processes: list[psutil.Process]) -> None:
    def gone() -> bool:
        return not any(is_alive(process) for process in processes)

    await eventually(gone, timeout=10.0)


async def _get(http: aiohttp.ClientSession, process: AssayProcess, key: str) -> int:
    async with http.get(process.url + SUITES, headers={"Authorization": f"Bearer {key}"}) as response:
        return response.status


async def test_killed_by_force_it_starts_again_and_ends_cleanly(home: Path, http: aiohttp.ClientSession) -> None:
    async with running_assay("serve", "--port", "0", "--json", home=home) as first:
        key = first.ready["api_key"]
        assert key
        left = first.children()
        assert {child.name() for child in left} >= {"postgres", "temporal"}
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL

    async with running_assay("serve", "--port", "0", "--json", home=home) as second:
        assert second.ready["api_key"] is None, "a key is shown once"
        assert second.credentials["api_key"] == key
        assert await _get(http, second, key) == 200
        await _all_gone(left)
        left = second.children()
        assert await second.end() == 0
        await _all_gone(left)
        assert "stopped" in second.log


async def test_several_workers_are_kept_alive_and_end_with_the_server(home: Path, http: aiohttp.ClientSession) -> None:
    variables = {"ASSAY_BOOTSTRAP_API_KEY": PRESET}
    arguments = ("serve", "--port", "0", "--json", "--workers", "2")
    async with running_assay(*arguments, home=home, variables=variables) as process:
        assert process.ready["api_key"] is None, "whoever presets a key knows it"
        assert process.credentials["api_key"] == PRESET
        assert PRESET not in process.log
        assert await _get(http, process, PRESET) == 200

        def workers() -> set[int]:
            return {child.pid for child in process.direct_children("-m assay worker")}

        def both_started() -> bool:
            return process.log.count("worker_started") >= 2

        await eventually(both_started, timeout=30.0)
        before = workers()
        assert len(before) == 2
        psutil.Process(min(before)).kill()

        def replaced() -> bool:
            return len(workers()) == 2 and workers() != before

        await eventually(replaced, timeout=10.0)
        left = process.children()
        await process.end(signal.SIGKILL)
        await _all_gone(left)


async def test_stopped_while_starting_it_leaves_nothing(home: Path) -> None:
    async with running_assay("serve", "--port", "0", home=home) as process:

        def starting() -> bool:
            return bool(process.children())

        await eventually(starting, timeout=20.0)
        left = process.children()
        assert await process.end(signal.SIGINT) == 0
        await _all_gone(left)
    assert (await run_assay("migrate", "--json", home=home)).json["current"]


async def test_unusable_home_is_explained(home: Path) -> None:
    home.chmod(0o777)
    refused = await run_assay("serve", "--port", "0", home=home)
    assert refused.exit_code == 2
    assert "chmod 700" in refused.err
    assert "Traceback" not in refused.err
