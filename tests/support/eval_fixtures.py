"""Fixtures for tests that run suites: a project, and a model server of its own. Import them in a `conftest.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.evals import Evals, open_evals
from tests.support.model_server import ModelServer


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    """The models' provider; change its ``behaviour`` at will."""
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path, models: ModelServer) -> AsyncIterator[Evals]:
    """A project with nobody at work."""
    async with open_evals(
        database_url=database_url, temporal_address=temporal_address, home=tmp_path, models=models
    ) as opened:
        yield opened
