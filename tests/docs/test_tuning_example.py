"""The bundled tuning task runs as its file says, and comes to what is true of its simulated models."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.docs.pages import ROOT
from tests.docs.test_client_example import serving

from assay.embedded.home import AssayHome
from assay.runtime import Addresses

EXAMPLES = ROOT / "examples"
TRUE_GAIN = 60.0
"""Points: 35 for working step by step, 25 for giving only the number."""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tune", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_it_finds_the_better_prompt_and_says_what_it_gains(
    database_url: str,
    temporal_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = AssayHome(tmp_path / ".assay")
    home.prepare()
    for name in ("assay.toml", "answers.jsonl"):
        shutil.copy(EXAMPLES / name, home.path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_HOME", raising=False)
    tune = load(EXAMPLES / "tuning" / "tune.py")
    async with serving(Addresses(database_url, temporal_address), home):
        job: dict[str, Any] = await asyncio.to_thread(tune.main)

    report = capsys.readouterr().out
    assert job["status"] == "completed", job["result"]
    assert "**A better prompt was found.**" in report
    assert "step by step" in job["best_agent_code"]
    assert "only the number" in job["best_agent_code"]
    assert "kind" not in job["best_agent_code"]
    low, high = (100 * bound for bound in job["result"]["sealed_test"]["interval_95"])
    assert 0 < low <= TRUE_GAIN <= high
