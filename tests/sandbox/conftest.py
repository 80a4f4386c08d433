from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from assay.sandbox import MontySandbox, Sandbox

BACKENDS = {"monty": lambda: MontySandbox(max_workers=2, max_model_workers=4)}


@pytest.fixture(scope="session", params=sorted(BACKENDS))
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """Every backend in turn; one instance serves all tests, so what one test breaks the next one feels."""
    async with BACKENDS[request.param]() as backend:
        yield backend
