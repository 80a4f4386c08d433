"""The README's client example runs, as it stands, against a server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from tests.docs.pages import ROOT, examples
from tests.support.waiting import eventually

from assay.dialects.edge.state import ApiState
from assay.embedded.home import AssayHome
from assay.installation import Installation, ensure_credentials
from assay.runtime import Addresses, open_runtime
from assay.server import api_state, create_app
from assay.settings import CoreSettings, Settings, TemporalSettings
from assay.worker import running_worker

[PROGRAM] = [example.text for example in examples("python") if example.page == ROOT / "README.md"]


@asynccontextmanager
async def serving(addresses: Addresses, home: AssayHome) -> AsyncGenerator[None]:
    """API and worker in this process, and ``credentials.json`` in the home."""
    home.prepare()
    settings = Settings(core=CoreSettings(home=home.path), temporal=TemporalSettings(task_queue="readme"))
    async with open_runtime(settings, addresses, secret_key=None) as runtime, running_worker(runtime) as dispatcher:

        @asynccontextmanager
        async def open_state() -> AsyncGenerator[ApiState]:
            yield api_state(runtime, wake_dispatcher=dispatcher.wake)

        server = uvicorn.Server(uvicorn.Config(create_app(open_state), port=0, log_config=None))
        serve = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        installation = Installation(addresses, home, home.ensure_secret_key(), services=None)
        await ensure_credentials(settings, installation, base_url=f"http://127.0.0.1:{port}")
        try:
            yield
        finally:
            server.should_exit = True
            await serve


async def test_it_prints_each_model_with_its_interval(
    database_url: str,
    temporal_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving(Addresses(database_url, temporal_address), AssayHome(tmp_path / ".assay")):
        await asyncio.to_thread(exec, compile(PROGRAM, "README.md", "exec"), {})
    lines: list[tuple[str, ...]] = re.findall(
        r"^(simulator/\w+): ([\d.]+) \(([\d.]+) to ([\d.]+)\)$", capsys.readouterr().out, re.MULTILINE
    )
    assert [line[0] for line in lines] == ["simulator/strong", "simulator/weak"]
    strong, weak = [[float(number) for number in line[1:]] for line in lines]
    assert strong[0] > weak[0]
    assert all(low < mean < high for mean, low, high in (strong, weak))
